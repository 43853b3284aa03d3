"""A workspace as a file: exported, applied to an empty installation, exported again: the same."""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plane import API_KEY, starting

from headwater.cli import root
from headwater.cli.configuration import document
from headwater.control.api import described

HOOK = "https://example.com/hook"
CODE = "async function onTrack(event) {\n  return event;\n}\n"


@pytest.fixture
def two(tmp_path):
    """Two control planes: a full one and an empty one."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with starting(tmp_path / "a") as first, starting(tmp_path / "b") as second:
        yield first(), second()


@pytest.fixture
def fresh(tmp_path):
    """One control plane with nothing in it."""
    with starting(tmp_path) as started:
        yield started()


def run(running, *arguments, given="", environment=None, fails=False):
    token = running.tokens["owner"]
    at = {"HEADWATER_URL": running.url.removesuffix("/api"), "HEADWATER_TOKEN": token, **(environment or {})}
    result = CliRunner().invoke(root, [*arguments], input=given, env=at)
    assert (result.exit_code != 0) is fails, result.output
    return result


def filled(running):
    """Give a workspace one of everything."""

    def call(method, path, body=None):
        status, answer, _ = running.http(method, path, body)
        assert status == 200, answer
        return answer["data"]

    shop = call("POST", "/sources", {"slug": "shop", "enabled": True, "metadataId": "http-api", "name": "Schön: #1"})[
        "source"
    ]
    mail = call("POST", "/sources", {"slug": "mail", "enabled": False, "metadataId": "activecampaign"})["source"]
    insert = {"code": CODE, "displayName": "Stamp", "resourceType": "INSERT_DESTINATION"}
    insert["settings"] = [{"name": "key", "sensitive": True}]
    stamp = call("POST", "/functions", insert)["function"]["id"]
    call("POST", f"/functions/{stamp}/deploy")
    own = call("POST", "/functions", {"code": CODE, "displayName": "Own", "resourceType": "DESTINATION"})["function"][
        "id"
    ]
    call("POST", f"/functions/{own}/deploy")
    hook = {"sourceId": shop["id"], "metadataId": "webhook", "name": "My hook", "delivery": {"concurrency": 3}}
    hook["settings"] = {"url": "https://example.com/hook", "secret": "whsec_canary0123456789canary0123456789"}
    hook_id = call("POST", "/destinations", hook)["destination"]["id"]
    wanted = {"sourceId": shop["id"], "metadataId": "function", "name": "By code", "settings": {"function": own}}
    call("POST", "/destinations", wanted)
    drop = {"title": "No tests", "if": 'type = "track"', "actions": [{"type": "DROP"}]}
    call("POST", f"/destination/{hook_id}/filters", drop)
    mapping = {"name": "Names", "trigger": 'type = "track"', "settings": {"properties.x": "1"}}
    call("POST", f"/destinations/{hook_id}/subscriptions", mapping)
    instance = {"functionId": stamp, "integrationId": hook_id, "name": "Stamped", "settings": {"key": "canary-two"}}
    call("POST", "/insert-function-instances", instance | {"enabled": True})
    (warehouse,) = call("GET", "/warehouses")["warehouses"]
    call("PATCH", f"/warehouses/{warehouse['id']}", {"keepDays": 90, "rules": {"conflicts": "overflow"}})
    call("DELETE", f"/warehouses/{warehouse['id']}/connected-sources/{mail['id']}")
    left = {"sourceId": shop["id"], "collection": "pages", "enabled": False}
    call("PATCH", f"/warehouses/{warehouse['id']}/selective-sync", {"syncOverrides": [left]})
    connection = {"accountUrl": "https://acme.api-us1.com", "apiKey": API_KEY, "writeKey": shop["writeKeys"][0]}
    call("POST", "/activecampaign/connections", connection)
    channel = {"kind": "slack", "name": "#email", "url": "https://hooks.example.com/canary-three"}
    channel = call("POST", "/alerts/channels", channel)["channel"]["id"]
    call("PATCH", "/alerts/rules/delivery-rate", {"threshold": 95, "channelIds": [channel]})
    call("POST", "/alerts/rules", {"kind": "source-silent", "subjectId": shop["id"], "windowMinutes": 60})
    call("PATCH", f"/functions/{stamp}", {"code": CODE + "// not in use yet\n"})
    call("PATCH", f"/workspaces/{shop['workspaceId']}", {"name": 'Acme: "no"'})
    protocols(call, shop["id"], mail["id"])


def protocols(call, shop, mail):
    """Decide what sources shall send, also of names that nobody has sent yet."""
    for value in ("prod", "test"):
        call("POST", "/labels", {"label": {"key": "environment", "value": value, "description": "where: it runs"}})
    call("PUT", f"/sources/{shop}/labels", {"labels": [{"key": "environment", "value": "prod"}]})
    call("PATCH", f"/sources/{shop}", {"retentionDays": 30, "retentionBytes": 2**30})
    blocked = {"track": {"allowUnplannedEvents": False}, "forwardingViolationsTo": mail}
    call("PATCH", f"/sources/{shop}/settings", blocked)
    names = [("TRACK", "Never: seen", ""), ("IDENTIFY", "", "ssn"), ("TRACK", "Order", "card.number")]
    changes = [{"type": kind, "name": name, "property": field, "allowed": False} for kind, name, field in names]
    call("PATCH", f"/sources/{shop}/schema", {"changes": changes})
    call("PATCH", f"/sources/{shop}/schema", {"changes": [{"type": "TRACK", "name": "Order", "allowed": True}]})
    plan = call("POST", "/tracking-plans", {"name": "Plan", "type": "LIVE", "description": "1e3"})["trackingPlan"]["id"]
    schema = {"type": "object", "properties": {"env": {"type": "string", "enum": ["no", "1e3", "2026-01-01", ""]}}}
    rule = {"type": "TRACK", "key": "Order", "version": 1, "jsonSchema": schema}
    call("PUT", f"/tracking-plans/{plan}/rules", {"rules": [rule]})
    call("POST", f"/tracking-plans/{plan}/sources", {"sourceId": mail})


def secrets_of(text):
    """Return a value for each variable that a file names."""

    def names(value):
        if isinstance(value, dict) and value.keys() == {"env"} and isinstance(value["env"], str):
            yield value["env"]
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from names(each)

    found = dict.fromkeys(names(yaml.safe_load(text)), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    special = {"API_KEY": API_KEY, "URL": "https://hooks.example.com/other"}
    return {name: next((v for end, v in special.items() if name.endswith(end)), value) for name, value in found.items()}


def test_an_export_applied_to_an_empty_installation_exports_the_same(two, tmp_path):
    first, second = two
    filled(first)
    text = run(first, "export").stdout
    assert "canary" not in text
    assert API_KEY not in text
    file = tmp_path / "workspace.yaml"
    file.write_text(text)
    environment = secrets_of(text)
    assert len(environment) >= 4
    shown = run(second, "apply", "-f", str(file), "--dry-run").stdout
    assert "+ source shop" in shown
    refused = run(second, "apply", "-f", str(file), "--yes", fails=True)
    assert "Nothing was changed" in refused.stderr
    assert second.control.sources.all(second.workspace.id) == []
    run(second, "apply", "-f", str(file), "--yes", environment=environment)
    assert run(second, "export").stdout == text
    again = run(second, "apply", "-f", str(file), "--yes")
    assert "Nothing changes." in again.stderr
    told = yaml.safe_load(text)
    (schema,) = told["schema"]
    assert schema["blocked"] == [
        {"type": "IDENTIFY", "property": "ssn"},
        {"type": "TRACK", "name": "Never: seen"},
        {"type": "TRACK", "name": "Order", "property": "card.number"},
    ]
    assert schema["planned"] == [{"type": "TRACK", "name": "Order"}]
    assert schema["settings"]["forwardingViolationsTo"] == "mail"
    assert [each["sources"] for each in told["trackingPlans"]] == [["mail"]]
    assert told["functions"][0]["deployedCode"] == CODE
    (hook,) = (each for each in second.control.snapshot().destinations if each.name == "My hook")
    assert hook.settings["secret"] == environment["HEADWATER_DESTINATION_SHOP_MY_HOOK_SECRET"]


def test_a_change_is_shown_made_and_pruned(two, tmp_path):
    first, _ = two
    filled(first)
    told = yaml.safe_load(run(first, "export").stdout)
    told["sources"][0]["name"] = "Shop"
    told["destinations"] = [each for each in told["destinations"] if each["name"] == "My hook"]
    told["destinations"][0]["filters"] = []
    told["destinations"][0]["settings"]["url"] = "https://example.com/hook?v=2"
    del told["warehouses"]
    file = tmp_path / "w.yaml"
    file.write_text(yaml.safe_dump(told))
    shown = run(first, "apply", "-f", str(file), "--prune", "--dry-run").stdout
    assert 'name: "Schön: #1" → "Shop"' in shown
    assert "- destination shop / By code" in shown
    assert "- filter shop / My hook / No tests" in shown
    assert "warehouse" not in shown
    changes = json.loads(run(first, "apply", "-f", str(file), "--prune", "--json").stdout)
    assert changes["applied"] is True
    assert [each.name for each in first.control.destinations.all(first.workspace.id)] == ["My hook"]
    assert "Nothing changes." in run(first, "apply", "-f", str(file), "--prune").stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sources: []", "begins with `version: 1`"),
        ("version: 1\nsorces: []", "unknown section 'sorces'"),
        ("version: 1\nsources: [1]", "a list of mappings"),
        ("version: 1\nsources: [{type: http-api}]", "number 1 has no slug"),
        ("version: 1\nsources: [{slug: a}, {slug: a}]", "there twice"),
        ("version: 1\nversion: 1", "there twice"),
        ("version: 1\na: &x [1]\nb: *x", "aliases are not taken"),
        ("version: 1\nsources: [", "no YAML, line 3"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("version: 1\nworkspace: {region: eu}", "is for the region eu"),
        ("version: 1\nsources: [{slug: shop, type: nonsense}]", "The catalog has no source"),
        ("version: 1\nsources: [{slug: a, type: http-api, retentionDay: 3}]", "has no member 'retentionDay'"),
        ("version: 1\nsources: [{slug: a, type: http-api, name: no}]", "put quotes"),
        ("version: 1\nsources: [{slug: 12, type: http-api}]", "a slug that is no text"),
        ("version: 1\nsources: [{slug: a, type: http-api, labels: {a: b}}]", "a list of texts"),
        ("version: 1\nsources: [{slug: a}]", "is new, and has no type"),
        ("version: 1\nworkspace: [1]", "workspace is a list of mappings"),
        ("version: 1\n1: []", "unknown section '1'"),
        ("version: 1\nsources: [{slug: SHOP, type: http-api}]", "0 of 1 changes were made"),
        ("version: 1\ndestinations: [{source: x, name: y, type: webhook}]", "There is no 'x' among the sources"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(shared, text, told):
    refused = run(shared, "apply", "-f", "-", "--yes", given=text + "\n", fails=True)
    assert told in refused.stderr
    assert "Traceback" not in refused.output
    assert shared.control.sources.all(shared.workspace.id) == []


def applied(running, wanted, *options):
    """Apply a document from standard input; return the changes that were made."""
    text = yaml.safe_dump({"version": 1, **wanted}, allow_unicode=True)
    return json.loads(run(running, "apply", "-f", "-", "--json", *options, given=text).stdout)["changes"]


def test_two_things_of_one_name_are_told_apart_by_nobody(fresh):
    for _ in range(2):
        fresh.api("POST", "/tracking-plans", {"name": "Twin", "type": "LIVE"})
    refused = run(fresh, "export", fails=True)
    assert "tracking plan Twin" in refused.stderr
    assert refused.stdout == ""
    assert applied(fresh, {"sources": []}) == []  # plans are not in it
    assert (
        "tracking plan Twin" in run(fresh, "apply", "-f", "-", given="version: 1\ntrackingPlans: []", fails=True).stderr
    )


def test_what_was_made_before_a_refusal_stands_and_is_said(fresh):
    sources = [{"slug": "one", "type": "http-api"}, {"slug": "two", "type": "http-api", "retentionDays": 0}]
    text = yaml.safe_dump({"version": 1, "sources": [*sources, {"slug": "three", "type": "http-api"}]})
    refused = run(fresh, "apply", "-f", "-", "--yes", given=text, fails=True).stderr
    assert "+ source two" in refused
    assert "1 of 3 changes were made and stand" in refused
    assert "1 were not tried" in refused
    mended = text.replace("retentionDays: 0", "retentionDays: 7")
    assert "~ source two" in run(fresh, "apply", "-f", "-", "--yes", given=mended).stdout
    assert "Nothing changes." in run(fresh, "apply", "-f", "-", "--yes", given=mended).stderr


def test_another_name_is_another_thing(fresh):
    applied(fresh, {"labels": [{"key": "team", "value": "web"}], "sources": [{"slug": "a", "type": "http-api"}]})
    made = applied(fresh, {"labels": [{"key": "team", "value": "shop"}]}, "--prune")
    assert [(each["deed"], each["key"]) for each in made] == [("create", ["team", "shop"]), ("delete", ["team", "web"])]


def test_a_source_moves_to_another_plan_and_its_decisions_go_back(fresh):
    site = {"slug": "site", "type": "http-api"}
    blocked = [{"type": "TRACK", "name": "Debug"}]
    plans = [{"name": "Old", "sources": ["site"]}, {"name": "New", "sources": []}]
    controls = [{"source": "site", "blocked": blocked, "settings": {"track": {"allowUnplannedEvents": False}}}]
    applied(fresh, {"sources": [site], "schema": controls, "trackingPlans": plans})
    moved = [{"name": "New", "sources": ["site"]}, {"name": "Old", "sources": []}]
    changes = applied(fresh, {"schema": [], "trackingPlans": moved}, "--prune")
    assert [(each["deed"], each["key"]) for each in changes] == [
        ("update", ["New"]),
        ("update", ["Old"]),
        ("delete", ["site"]),
    ]
    told = yaml.safe_load(run(fresh, "export").stdout)
    assert told["schema"] == []
    assert {each["name"]: each["sources"] for each in told["trackingPlans"]} == {"Old": [], "New": ["site"]}
    assert applied(fresh, {"schema": [], "trackingPlans": moved}, "--prune") == []


def test_a_new_source_is_loaded_where_the_file_says_nothing_of_warehouses(fresh):
    applied(fresh, {"sources": [{"slug": "alone", "type": "http-api"}]})
    (warehouse,) = yaml.safe_load(run(fresh, "export").stdout)["warehouses"]
    assert "alone" in warehouse["sources"]
    applied(fresh, {"sources": [{"slug": "apart", "type": "http-api"}], "warehouses": [warehouse]})
    assert "apart" not in yaml.safe_load(run(fresh, "export").stdout)["warehouses"][0]["sources"]


def test_a_secret_that_stands_in_the_file_is_not_printed(fresh):
    def hook(**settings):
        return {
            "destinations": [{"source": "site", "name": "H", "type": "webhook", "settings": {"url": HOOK, **settings}}]
        }

    secret = "whsec_canary0123456789canary0123456789"
    applied(fresh, {"sources": [{"slug": "site", "type": "http-api"}], **hook()})
    for written in (secret, secret.replace("y", "z")):  # where there was none, and where there was one
        text = yaml.safe_dump({"version": 1, **hook(secret=written)})
        dry = run(fresh, "apply", "-f", "-", "--dry-run", given=text)
        made = run(fresh, "apply", "-f", "-", "--json", given=text)
        assert "canar" not in dry.output + made.output
        assert json.loads(made.stdout)["applied"] is True
    (stored,) = fresh.control.snapshot().destinations
    assert stored.settings["secret"] == written


def test_secrets_of_things_with_like_names_are_apart(fresh):
    hook = {
        "metadataId": "webhook",
        "settings": {"url": "https://example.com/", "secret": "whsec_canary0123456789canary0123456789"},
    }
    site = fresh.api("POST", "/sources", {"slug": "site", "enabled": True, "metadataId": "http-api"})["source"]["id"]
    for name in ("My hook", "my-hook", "Мой", "Твой"):
        fresh.api("POST", "/destinations", hook | {"sourceId": site, "name": name})
    text = run(fresh, "export").stdout
    assert len(secrets_of(text)) == 4
    assert "canary" not in text


TEXTS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12).map(str.strip)
ODD = st.sampled_from(["1e3", "no", "2026-01-01", "null", "~", "'", '"', "a: b", "- a", "#x", "0o17", "=", "<<", 'é"{'])
NAMES = (TEXTS | ODD).filter(bool)
CODES = st.text(max_size=30).filter(str.strip) | st.sampled_from(["a\n\n b\n", "\tx: 1\r\n", " lead\n", "end  \n\n"])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | ODD | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def documents(draw):
    """Return a small configuration whose texts look like anything."""
    slugs = draw(st.lists(st.sampled_from(["shop", "no", "e1", "null", "y"]), unique=True, max_size=3))
    sources = [
        {
            "slug": slug,
            "type": "http-api",
            "name": draw(NAMES),
            "enabled": draw(st.booleans()),
            "retentionDays": draw(st.none() | st.integers(1, 900)),
        }
        for slug in slugs
    ]
    blocked = [{"source": s, "blocked": [{"type": "TRACK", "name": draw(NAMES)}]} for s in slugs if draw(st.booleans())]
    rules = [
        {"type": "TRACK", "key": k, "version": 1, "jsonSchema": {"type": "object", "default": draw(JSONS)}}
        for k in draw(st.sets(NAMES, max_size=2))
    ]
    hooks = [
        {
            "source": slug,
            "name": draw(NAMES),
            "type": "webhook",
            "enabled": False,
            "settings": {"url": "https://example.com/x"},
            "mappings": [
                {"name": draw(NAMES), "trigger": 'type = "track"', "settings": {"properties.env": draw(NAMES)}}
            ],
        }
        for slug in slugs
        if draw(st.booleans())
    ]
    functions = [{"kind": "DESTINATION", "name": draw(NAMES), "code": draw(CODES), "description": draw(NAMES)}]
    plans = [{"name": draw(NAMES), "description": draw(CODES), "rules": rules, "sources": slugs[:1]}]
    return {
        "workspace": {"name": draw(NAMES)},
        "sources": sources,
        "schema": blocked,
        "destinations": hooks,
        "functions": draw(st.sampled_from([[], functions])),
        "trackingPlans": draw(st.sampled_from([[], plans])),
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two control planes that many documents are applied to."""
    with starting(tmp_path_factory.mktemp("a")) as first, starting(tmp_path_factory.mktemp("b")) as second:
        yield first(), second()


@given(documents())
@settings(max_examples=7, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_any_configuration_goes_from_one_installation_to_another(pair, wanted):
    first, second = pair
    applied(first, wanted, "--prune")
    text = run(first, "export").stdout
    assert applied(first, wanted, "--prune") == []
    run(second, "apply", "-f", "-", "--prune", "--yes", given=text)
    again = run(second, "export").stdout
    assert {name: _sorted(part) for name, part in yaml.safe_load(again).items()} == {
        name: _sorted(part) for name, part in yaml.safe_load(text).items()
    }
    told = yaml.safe_load(text)
    assert told["workspace"]["name"] == wanted["workspace"]["name"]
    assert {each["slug"]: each["name"] for each in told["sources"]} == {e["slug"]: e["name"] for e in wanted["sources"]}
    codes = {each["name"]: each["code"] for each in wanted["functions"]}
    assert {each["name"]: each["code"] for each in told["functions"]} == codes


def _sorted(part):
    """Return a section with its things in one order: what was there before is older than what is new."""
    return sorted(part, key=str) if isinstance(part, list) else part


@given(JSONS | CODES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_read_as_it_was_written(value):
    text = yaml.dump({"v": value}, Dumper=document._Dumper, allow_unicode=True, width=120)
    assert yaml.load(text, Loader=document._Loader) == {"v": value}  # noqa: S506 - a SafeLoader


IN_THE_FILE = {
    "/activecampaign/connections",
    "/activecampaign/connections/{connectionId}",
    "/alerts/channels",
    "/alerts/channels/{channelId}",
    "/alerts/rules",
    "/alerts/rules/{ruleId}",
    "/destination/{destinationId}/filters",
    "/destination/{destinationId}/filters/{filterId}",
    "/destinations",
    "/destinations/{destinationId}",
    "/destinations/{destinationId}/subscriptions",
    "/destinations/{destinationId}/subscriptions/{subscriptionId}",
    "/functions",
    "/functions/{functionId}",
    "/functions/{functionId}/deploy",
    "/insert-function-instances",
    "/insert-function-instances/{instanceId}",
    "/labels",
    "/labels/{key}/{value}",
    "/sources",
    "/sources/{sourceId}",
    "/sources/{sourceId}/labels",
    "/sources/{sourceId}/schema",
    "/sources/{sourceId}/settings",
    "/tracking-plans",
    "/tracking-plans/{trackingPlanId}",
    "/tracking-plans/{trackingPlanId}/rules",
    "/tracking-plans/{trackingPlanId}/sources",
    "/warehouses",
    "/warehouses/{warehouseId}",
    "/warehouses/{warehouseId}/advanced-sync-schedule",
    "/warehouses/{warehouseId}/connected-sources/{sourceId}",
    "/warehouses/{warehouseId}/rules",
    "/warehouses/{warehouseId}/selective-sync",
    "/workspaces/{workspaceId}",
}
"""Where what changes is configuration, and so is in the file."""


def test_everything_that_changes_anything_is_in_the_file_or_said_to_be_left_out(shared):
    page = (Path(__file__).parents[3] / "docs" / "configuration-file.md").read_text()
    table = page.partition("## Not in the file")[2].partition("\n\nFor scripts")[0]
    left_out = {path for row in table.splitlines() if row.startswith("| `") for path in re.findall(r"`(/[^`]*)`", row)}
    paths = described(shared.routes)["paths"]
    changing = {path for path, methods in paths.items() if methods.keys() & {"post", "put", "patch", "delete"}}
    assert changing == IN_THE_FILE | left_out
    assert not IN_THE_FILE & left_out


def test_labels_and_what_became_of_events_are_told_at_the_shell(fresh):
    assert "makes one" in run(fresh, "labels", "list").stderr
    assert "Made team:web." in run(fresh, "labels", "create", "team:web", "--description", "Theirs").stdout
    run(fresh, "sources", "create", "site", "--type", "http-api")
    assert "site has team:web." in run(fresh, "labels", "give", "site", "team:web").stdout
    assert re.search(r"team:web\s+1\s+Theirs", run(fresh, "labels", "list").stdout)
    assert "site has no labels." in run(fresh, "labels", "give", "site", "--only").stdout
    assert json.loads(run(fresh, "labels", "list", "--json").stdout) == [
        {"key": "team", "value": "web", "description": "Theirs"}
    ]
    assert "Deleted" in run(fresh, "labels", "delete", "team:web").stdout
    assert "KEY:VALUE" in run(fresh, "labels", "delete", "team", fails=True).stderr
    applied(fresh, {"destinations": [{"source": "site", "name": "H", "type": "webhook", "settings": {"url": HOOK}}]})
    told = run(fresh, "overview", "source", "site", "--since", "24h").stdout
    assert re.search(r"successfully-received\s+0", told)
    assert re.search(r"filtered-at-destination\s+H\s+2\s+FILTERED_BY_RULES 2", told)
    assert len(json.loads(run(fresh, "overview", "source", "site", "--json").stdout)) == 6
    assert "Nothing came" in run(fresh, "overview", "volume", "--by", "event").stderr
    run(fresh, "schema", "block", "site", "Never seen")
    assert re.search(r"track\s+Never seen", run(fresh, "schema", "blocked", "site").stdout)
