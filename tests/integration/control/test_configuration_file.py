"""A workspace as a file: exported, applied to an empty installation, exported again: the same."""

import json

import pytest
import yaml
from click.testing import CliRunner
from plane import API_KEY, starting

from headwater.cli import root

CODE = "async function onTrack(event) {\n  return event;\n}\n"


@pytest.fixture
def two(tmp_path):
    """Two control planes: a full one and an empty one."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with starting(tmp_path / "a") as first, starting(tmp_path / "b") as second:
        yield first(), second()


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


def secrets_of(text):
    """Return a value for each variable that a file names."""

    def names(value):
        if isinstance(value, dict) and value.keys() == {"env"}:
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
        ("version: 1\nsources: [{slug: SHOP, type: http-api}]", "0 of 1 changes were made"),
        ("version: 1\ndestinations: [{source: x, name: y, type: webhook}]", "there is no 'x'"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(shared, text, told):
    refused = run(shared, "apply", "-f", "-", "--yes", given=text + "\n", fails=True)
    assert told in refused.stderr
    assert "Traceback" not in refused.output
    assert shared.control.sources.all(shared.workspace.id) == []
