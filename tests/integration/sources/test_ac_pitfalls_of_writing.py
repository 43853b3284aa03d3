"""Traps for whoever writes to an account: each is there over HTTP, and the source steps into none.

The source reads and keeps its own webhook; nothing else of the account may ever change because of it. So a connected
account is led through everything that the source does, with every request of the whole program recorded on its way.
"""

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from account import SimulatedAccount, connect, run_to_its_end, status, within
from program import Program

PAST = ("--history", "past", "--contacts", "1200", "--history-campaigns", "2", "--api-rate", "0", "--seed", "5")
LIVE = ("--live-campaigns", "1", "--speed", "4000", "--paused", "--splits", "0.5", "--report-page", "100")
READS = re.compile(r"GET (users/me|campaigns|messages|contacts|lists|webhooks)(/\S+)?")
V1 = "/admin/api.php"
OWN_WEBHOOK = {"POST webhooks", "PUT webhooks/{id}", "DELETE webhooks/{id}"}
REPORTS = {f"campaign_report_{name}_list" for name in ("open", "unopen", "link", "bounce", "unsubscription")}


@dataclass
class Recorder:
    """Stands between Headwater and the account, passes everything on and writes down what it was."""

    account_url: str
    url: str = ""
    requests: set[tuple[str, str, str]] = field(default_factory=set)

    def note(self, method: str, path: str, form: bytes) -> None:
        asked = urlsplit(path)
        action = dict(parse_qsl(asked.query) + parse_qsl(form.decode("latin-1"))).get("api_action", "")
        self.requests.add((method, re.sub(r"/\d+(?=/|$)", "/{id}", asked.path.removeprefix("/api/3")), action))

    @property
    def calls(self) -> set[str]:
        """What was asked of API v3, such as `GET contacts/{id}`."""
        return {f"{method} {path[1:]}" for method, path, _ in self.requests if path != V1}

    @property
    def reports(self) -> set[str]:
        return {action for _, path, action in self.requests if path == V1}

    def touched(self, *resources: str) -> set[str]:
        """Return the calls that write something of these resources."""
        return {call for call in self.calls if not call.startswith("GET ") and call.split(" ")[1].startswith(resources)}


@contextmanager
def recording(account_url: str) -> Iterator[Recorder]:
    recorder = Recorder(account_url)

    class Passage(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            recorder.note(self.command, self.path, body)
            kept = {name: self.headers[name] for name in ("api-token", "content-type") if name in self.headers}
            passed = urllib.request.Request(account_url + self.path, body or None, kept, method=self.command)
            try:
                with urllib.request.urlopen(passed, timeout=60) as answer:
                    self._answer(answer.status, answer.headers["content-type"], answer.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.headers["content-type"], error.read())

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    recorder.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Recorder:
    """Everything that the source asks of an account from its connection to its end."""
    data_dir = tmp_path_factory.mktemp("writing") / "data"
    with (
        SimulatedAccount(*PAST, *LIVE) as account,
        recording(account.url) as recorder,
        Program(data_dir, allow_networks="127.0.0.0/8") as program,
    ):
        source = program.source("mail", "activecampaign")
        beside = SimulatedAccount()
        beside.url = recorder.url
        connection = connect(program, beside, source, {"account": "acme", "extra_events": True})
        path = f"/activecampaign/connections/{connection['id']}"
        run_to_its_end(program, connection, "backfill")
        account.begin()
        account.wait_until_played()
        within(60, lambda: status(program, connection)["state"] == "sending", "no webhook arrived")
        complaint = {"email": "ada@example.com", "campaignId": "1", "at": "2025-01-01T00:00:00Z"}
        program.api("POST", f"{path}/complaints", {"rows": [complaint]})
        program.api("POST", f"{path}/rotate-secret", {"now": True})
        program.api("POST", f"{path}/verify")
        run_to_its_end(program, connection, "reconcile")
        program.api("DELETE", path)
    return recorder


@pytest.fixture(scope="module")
def account() -> Iterator[SimulatedAccount]:
    with SimulatedAccount(*PAST, "--live-campaigns", "0") as running:
        yield running


def call(account: SimulatedAccount, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Call API v3 as a destination would; return status and answer."""
    head = {"api-token": account.KEY, "content-type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{account.url}/api/3/{path}", sent, head, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def made(account: SimulatedAccount, path: str, body: Any) -> Any:
    code, answer = call(account, "POST", path, body)
    assert code in {200, 201}, answer
    return answer


def new_contact(account: SimulatedAccount, email: str) -> str:
    return made(account, "contact/sync", {"contact": {"email": email}})["contact"]["id"]


def tracked(account: SimulatedAccount, email: str, name: str, **more: str) -> int:
    """Send an event to the tracker; return its `success`, which comes with 200 whatever it is."""
    state = call(account, "GET", "eventTracking")[1]["eventTracking"]
    form = {"actid": state["actid"], "key": state["eventkey"], "event": name, "visit": json.dumps({"email": email})}
    with urllib.request.urlopen(f"{account.url}/event", urlencode({**form, **more}).encode(), timeout=60) as answer:
        assert answer.status == 200
        return json.loads(answer.read())["success"]


def named(account: SimulatedAccount, name: str) -> None:
    made(account, "eventTrackingEvents", {"eventTrackingEvent": {"name": name}})


def logged(account: SimulatedAccount, contact_id: str) -> list[dict[str, Any]]:
    return call(account, "GET", f"contacts/{contact_id}/trackingLogs")[1]["trackingLogs"]


@pytest.mark.timeout(300)
def test_a_connected_source_reads_and_keeps_its_own_webhook_and_nothing_else(recorded):
    writes = {each for each in recorded.calls if not READS.fullmatch(each)}
    assert writes == OWN_WEBHOOK
    assert recorded.reports == REPORTS


def test_pitfall_42_nobody_who_left_is_brought_back(account, recorded):
    contact = call(account, "GET", "contacts?status=2&limit=1")[1]["contacts"][0]["id"]
    before = call(account, "GET", f"contacts/{contact}/contactLists")[1]["contactLists"][0]
    assert before["status"] == "2"
    made(account, "contactLists", {"contactList": {"list": before["list"], "contact": contact, "status": 1}})
    after = call(account, "GET", f"contacts/{contact}/contactLists")[1]["contactLists"][0]
    assert (after["list"], after["status"]) == (before["list"], "1")
    assert recorded.touched("contactLists", "contact", "import") == set()


def test_pitfall_43_event_names_are_short_made_first_and_of_text(account, recorded):
    mail = "names@example.com"
    id_ = new_contact(account, mail)
    longest, first, second = "n" * 32, "n" * 32 + " one", "n" * 32 + " two"
    for name in (longest, first):
        named(account, name)
    assert [tracked(account, mail, name) for name in (longest, first, second, "Nobody made it")] == [1, 0, 0, 0]
    assert [tracked(account, mail, name[:32], eventdata="12") for name in (first, second)] == [1, 1]
    told = [(row["type"], row["value"]) for row in logged(account, id_)]
    assert told == [(longest, ""), (longest, "12"), (longest, "12")]  # cut, two names are one; a number is text
    assert recorded.touched("event") == set()


def test_pitfall_44_a_tracked_event_has_no_time_but_now_and_counts_each_time(account, recorded):
    mail = "times@example.com"
    id_ = new_contact(account, mail)
    named(account, "Bought")
    for _ in range(2):
        assert tracked(account, mail, "Bought", tstamp="2020-01-01T00:00:00Z", timestamp="2020-01-01", id="1") == 1
    rows = logged(account, id_)
    assert len(rows) == len({row["id"] for row in rows}) == 2
    assert not [row for row in rows if row["tstamp"].startswith(("2019", "2020-01-01"))]
    assert recorded.touched("event", "localevent", "siteTracking") == set()


def test_pitfall_45_a_contact_has_one_company_and_a_company_its_own_name(account, recorded):
    id_ = new_contact(account, "company@example.com")
    one, two = (made(account, "accounts", {"account": {"name": name}})["account"]["id"] for name in ("Tea", "Tea Two"))
    code, answer = call(account, "POST", "accounts", {"account": {"name": "Tea"}})
    assert (code, answer["errors"][0]["code"]) == (422, "duplicate")
    found = call(account, "GET", "accounts?search=Tea")[1]["accounts"]
    assert {each["id"] for each in found} == {one, two}  # a search is no comparison
    made(account, "accountContacts", {"accountContact": {"contact": id_, "account": one}})
    code, answer = call(account, "POST", "accountContacts", {"accountContact": {"contact": id_, "account": two}})
    assert (code, answer["errors"][0]["source"]["pointer"]) == (422, "/data/attributes/account,contact")
    assert recorded.touched("account") == set()


def test_pitfall_46_a_field_is_shown_once_related_and_made_by_one_only(account, recorded):
    wanted = {"field": {"title": "Hat size", "type": "text", "perstag": "hat_size"}}
    with ThreadPoolExecutor(4) as workers:
        answers = list(workers.map(lambda _: call(account, "POST", "fields", wanted), range(4)))
    assert sorted(code for code, _ in answers) == [201, 422, 422, 422]
    (field_made,) = [answer["field"] for code, answer in answers if code == 201]
    assert field_made["perstag"] == "HAT_SIZE"

    def related() -> list[str]:
        rows = call(account, "GET", "fields?limit=100")[1]["fieldRels"]
        return [row["relid"] for row in rows if row["field"] == field_made["id"]]

    assert related() == []
    made(account, "fieldRels", {"fieldRel": {"field": field_made["id"], "relid": 0}})
    assert related() == ["0"]
    assert recorded.touched("field") == set()


def test_pitfall_47_a_tag_goes_by_its_association_and_between_two_calls_all_are_gone(account, recorded):
    id_ = new_contact(account, "tags@example.com")
    tags = [made(account, "tags", {"tag": {"tag": name, "tagType": "contact"}})["tag"]["id"] for name in ("x, y", "z")]

    def has() -> dict[str, str]:
        rows = call(account, "GET", f"contacts/{id_}/contactTags")[1]["contactTags"]
        return {row["tag"]: row["id"] for row in rows}

    for tag in tags:
        made(account, "contactTags", {"contactTag": {"contact": id_, "tag": tag}})
    assert [call(account, "DELETE", f"contactTags/{tag}")[0] for tag in tags] == [404, 404]
    assert set(has()) == set(tags)
    assert [call(account, "DELETE", f"contactTags/{row}")[0] for row in has().values()] == [200, 200]
    assert has() == {}  # what anybody reads who asks before the new tags are there
    made(account, "contactTags", {"contactTag": {"contact": id_, "tag": tags[0]}})
    assert set(has()) == {tags[0]}
    assert recorded.touched("tags", "contactTags") == set()


def test_pitfall_48_one_bad_row_refuses_an_import_and_no_webhook_tells_of_one(account, recorded):
    everything = call(account, "GET", "webhook/events")[1]["webhookEvents"]
    hook = {"name": "All", "url": f"{account.url}/receiver", "events": everything}
    made(account, "webhooks", {"webhook": {**hook, "sources": ["public", "admin", "api", "system"]}})
    total = call(account, "GET", "contacts?limit=1")[1]["meta"]["total"]
    rows = [{"email": f"import-{number}@example.com", "subscribe": [{"listid": 1}]} for number in range(249)]
    code, answer = call(account, "POST", "import/bulk_import", {"contacts": [*rows, {"email": "no address"}]})
    assert (code, [each["contact"] for each in answer["failureReasons"]]) == (400, [249])
    assert call(account, "GET", "contacts?limit=1")[1]["meta"]["total"] == total
    queued = made(account, "import/bulk_import", {"contacts": rows})
    assert (queued["Success"], queued["queued_contacts"]) == (1, 249)
    account.send("POST", "/test-button", {})
    assert account.get("/receiver")["received"] == 1  # the button's alone: the address does hear
    assert recorded.touched("import") == set()
