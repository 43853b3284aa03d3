"""A canary in every field for a secret; the program works and fails with them; then all that it wrote or says is read.

What is shown by design is left out: an answer that gives a token once, the set-up link on the operator's screen, and
write keys, which admins see and devices carry.
"""

import base64
import http.client
import json
import re
import runpy
import urllib.parse
from itertools import count
from pathlib import Path

import pytest

from headwater.control.catalog import Catalog, Kind
from program import Program

EXAMPLES = Path(__file__).parents[2] / "unit" / "destinations"
MARK = "CanaryInACoalMine"
# Where a setting has a form of its own, the canary takes it.
FORMS = {
    ("webhook", "secret"): lambda canary: "whsec_" + base64.b64encode(canary.encode()).decode(),
    ("webhook", "previous_secret"): lambda canary: "whsec_" + base64.b64encode(canary.encode()).decode(),
    ("webhook", "headers"): lambda canary: {"X-Api-Key": canary},
    ("slack", "url"): lambda canary: f"https://hooks.slack.com/services/T0/B0/{canary}",
    ("function", "settings"): lambda canary: {"apiKey": canary},
    ("bigquery", "credentials"): lambda canary: json.dumps({"type": "service_account", "private_key": canary}),
}
PAGES = (
    "", "sources", "sources/shop/overview", "sources/shop/settings", "sources/shop/rejected", "destinations",
    "warehouse", "sql", "alerts", "audit", "apps/activecampaign", "settings/members", "settings/tokens", "profile",
)  # fmt: skip
LISTS = (
    "", "sources", "destinations", "warehouses", "functions", "insert-function-instances", "tokens", "users", "invites",
    "audit-events", "alerts", "alerts/channels", "activecampaign/connections", "delivery/overview", "dead-letters",
    "rejections", "openapi.json", "replays", "syncs",
)  # fmt: skip


class Cage:
    """Makes canaries, and finds them however they were written."""

    def __init__(self):
        self._number, self.canaries = count(100), {}

    def new(self, where):
        canary = f"{MARK}{next(self._number)}xQ7"
        self.canaries[canary] = where
        return canary

    def found_in(self, raw: bytes):
        """Return where the canaries come from that stand in some bytes: plain or in base64."""
        coded = (base64.b64encode(b"x" * shift + MARK.encode())[4:-4] for shift in range(3))
        if not any(each in raw for each in (MARK.encode(), *coded)):
            return []
        return [where for canary, where in self.canaries.items() if canary.encode() in raw] or ["in base64"]


@pytest.fixture
def cage():
    return Cage()


def settings_of(cage, kind, entry):
    """Return settings in which every secret is a canary."""
    given = {}
    path = EXAMPLES / f"test_{entry.module_name}.py"
    if kind is Kind.DESTINATION and path.exists():
        given = dict(runpy.run_path(str(path))["EXAMPLE"].settings)
    for option in entry.options:
        if option.secret:
            canary = cage.new(f"{kind} {entry.slug} {option.name}")
            given[option.name] = FORMS.get((entry.slug, option.name), str)(canary)
        elif option.required and option.name not in given:
            given[option.name] = "127.0.0.1" if "host" in option.name else "canary"
    return given


def furnished(program, cage):
    """Put a canary wherever the API takes a secret; return the destinations and warehouses that were made."""
    source, made, refused = program.source("shop"), [], []
    code = "async function onTrack(event, settings) { throw new Error(settings.apiKey) }"
    setting = {"name": "apiKey", "label": "Key", "type": "STRING", "required": True, "sensitive": True}
    function = {"code": code, "displayName": "Fn", "resourceType": "DESTINATION", "settings": [setting]}
    function_id = program.api("POST", "/functions", function)["function"]["id"]
    for kind, path in ((Kind.DESTINATION, "/destinations"), (Kind.WAREHOUSE, "/warehouses")):
        for entry in Catalog().entries(kind):
            settings = settings_of(cage, kind, entry)
            if entry.slug == "function":
                settings["function"] = function_id
            body = {"metadataId": entry.slug, "settings": settings, "enabled": entry.slug in {"webhook", "function"}}
            if kind is Kind.DESTINATION:
                body["sourceId"] = source["id"]
            status, answer = asked(program, "POST", path, body)
            assert not cage.found_in(answer), (entry.slug, answer)
            (made if status == 200 else refused).append((path, entry.slug, answer))
            # asked again with what is wrong: a refusal repeats no secret
            wrong = asked(program, "POST", path, {**body, "settings": {**settings, "nothing": "known"}})
            assert not cage.found_in(wrong[1]), (entry.slug, wrong)
    assert len(made) >= 15, [(slug, answer) for _, slug, answer in refused]
    return source, [(path, json.loads(answer)["data"][path.strip("/").rstrip("s")]["id"]) for path, _, answer in made]


def asked(program, method, path, body=None, **headers):
    return program.http(method, f"/api{path}", body, headers={"authorization": f"Bearer {program.token}", **headers})


def shown_once(program, cage):
    """Make what is shown once, and let it be found nowhere else: tokens, invitations, a repeated answer."""
    token = {"name": "once", "role": "member"}
    for _ in range(2):
        _, answer = asked(program, "POST", "/tokens", token, **{"idempotency-key": "same"})
    cage.canaries[max(re.findall(rb"hwt_[\w-]+", answer), key=len).decode()] = "a new token"
    _, answer = asked(program, "POST", "/invites", {"invites": [{"email": "ana@example.com"}]})
    for found in re.findall(rb"/invitation/([\w-]+)", answer):
        cage.canaries[found.decode()] = "an invitation"
    channel = {"kind": "slack", "name": "Ops", "url": f"http://127.0.0.1:9/services/{cage.new('alert channel')}"}
    assert asked(program, "POST", "/alerts/channels", channel)[0] == 200
    account = {"accountUrl": "https://127.0.0.1:9", "apiKey": cage.new("account key"), "sourceId": "shop"}
    assert not cage.found_in(asked(program, "POST", "/activecampaign/connections", account)[1])


def answers_of(program, cage, made):
    """Yield (address, answer) of everything that can be read, and of trials that fail."""
    for path, row_id in made:
        yield path, asked(program, "GET", f"{path}/{row_id}")[1]
    for name in LISTS:
        yield name, asked(program, "GET", f"/{name}")[1]
    csrf, cookie = signed_in(program)
    assert csrf
    rooms = {"/destinations": "destinations/{}/settings", "/warehouses": "warehouse/{}/settings"}
    for page in (*PAGES, *(rooms[path].format(row_id) for path, row_id in made)):
        yield page, program.http("GET", f"/default/{page}", headers={"cookie": cookie})[1]
    wrong = urllib.parse.urlencode({"email": "ana@example.com", "password": cage.new("wrong password")}).encode()
    form = {"content-type": "application/x-www-form-urlencoded", "origin": program.url}
    yield "sign-in", program.http("POST", "/sign-in", wrong, headers=form)[1]
    for words in (("audit", "export"), ("doctor", "--json")):
        yield " ".join(words), program.cli(*words, check=False).encode()
    yield "metrics", program.http("GET", "/metrics")[1]


def signed_in(program):
    """Return a form token and the cookie of a session that the program's own token opens."""
    parts = urllib.parse.urlsplit(program.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    form = urllib.parse.urlencode({"token": program.token})
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": program.url}
    connection.request("POST", "/sign-in", form, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    cookies = "; ".join(each.split(";")[0] for each in answer.headers.get_all("set-cookie") or [])
    page = program.http("GET", "/default/audit", headers={"cookie": cookies})[1].decode()
    return page.partition('name="csrf" value="')[2].partition('"')[0], cookies


def test_no_secret_is_in_any_file_output_answer_or_page(tmp_path, cage):
    settings = {
        "log_level": "debug",
        "allow_networks": "127.0.0.0/8",
        "smtp_url": f"smtp://ana:{cage.new('mail password')}@127.0.0.1:9",
        "mail_from": "headwater@example.com",
        "oidc_issuer": "http://127.0.0.1:9",
        "oidc_client_id": "headwater",
        "oidc_client_secret": cage.new("identity provider"),
    }
    with Program(tmp_path / "data", **settings) as program:
        source, made = furnished(program, cage)
        shown_once(program, cage)
        event = {"writeKey": source["writeKeys"][0], "event": "Bought", "userId": "ann"}
        assert program.http("POST", "/v1/track", event)[0] == 200
        program.api("POST", "/sync", {"wait": True})
        webhook = {"url": "http://127.0.0.1:9/hook", "headers": {"X-Api-Key": cage.new("a trial")}}
        trial = {"metadataId": "webhook", "settings": webhook}
        assert not cage.found_in(asked(program, "POST", "/destinations/test", trial)[1])
        program.cli("secrets", "rotate")
        leaks = {
            address: found for address, answer in answers_of(program, cage, made) if (found := cage.found_in(answer))
        }
        assert leaks == {}
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) > 10
    texts = {path.name: path.read_bytes() for path in files}
    leaks = {name: found for name, raw in texts.items() if (found := cage.found_in(raw))}
    assert leaks == {}
    once = {canary: where for canary, where in cage.canaries.items() if not canary.startswith(MARK)}
    assert len(once) == 2
    assert {name: where for name, raw in texts.items() for each, where in once.items() if each.encode() in raw} == {}
