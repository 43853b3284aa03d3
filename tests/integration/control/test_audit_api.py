"""The audit trail through the API, the pages and the command line; `trail.Law` holds over all other API tests, too."""

import csv
import io
import json
import subprocess
import sys
from urllib.parse import urlencode

import pytest
from plane import starting
from sqlalchemy import select, update
from trail import ASKS

from headwater.control.audit.tables import entries
from headwater.control.audit.witness import DEEDS
from headwater.control.pipeline import Pipeline

SITE = {"slug": "site", "metadataId": "http-api", "enabled": True}
HOOK = {"metadataId": "webhook", "sourceId": "site", "name": "Hook", "settings": {"url": "https://example.com/hook"}}
SEGMENTS = {"id", "timestamp", "type", "actor", "resourceId", "resourceType", "resourceName"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A control plane in which some things were done."""
    with starting(tmp_path_factory.mktemp("told")) as started:
        running = started()
        running.source = running.api("POST", "/sources", SITE)["source"]
        running.hook = running.api("POST", "/destinations", HOOK, token="member")["destination"]
        running.api("PATCH", f"/destinations/{running.hook['id']}", {"enabled": False}, token="member")
        yield running


def events(running, **query):
    return running.api("GET", f"/audit-events?{urlencode(query)}")["events"]


def test_the_newest_is_first_and_tells_who_did_what_to_which_thing(told):
    newest, *_ = events(told)
    assert newest.keys() >= SEGMENTS
    assert (newest["type"], newest["actor"], newest["actorKind"]) == ("Destination Disabled", "member", "token")
    assert (newest["resourceType"], newest["resourceId"]) == ("DESTINATION", told.hook["id"])
    assert newest["address"] == "127.0.0.1"
    (change,) = newest["changes"]
    assert (change["before"], change["after"]) == ({"enabled": True}, {"enabled": False})


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ({"actor": "member", "resourceType": "DESTINATION"}, ["Destination Disabled", "Destination Created"]),
        ({"type": "Source Created"}, ["Source Created"]),
        ({"resourceId": "nothing"}, []),
        ({"startTime": "2999-01-01T00:00:00Z"}, []),
        ({"endTime": "2001-01-01T00:00:00Z"}, []),
        ({"resourceType": "SOURCE", "startTime": "2001-01-01", "endTime": "2999-01-01"}, ["Source Created"]),
    ],
)
def test_it_is_chosen_by_time_person_and_resource(told, query, types):
    assert [each["type"] for each in events(told, **query)] == types


def test_pages_hold_each_entry_once(told):
    whole = [each["id"] for each in events(told)]
    paged, cursor = [], {}
    while True:
        found = told.api("GET", f"/audit-events?{urlencode({'pagination[count]': 2, **cursor})}")
        paged += [each["id"] for each in found["events"]]
        if "next" not in found["pagination"]:
            break
        cursor = {"pagination[cursor]": found["pagination"]["next"]}
    assert paged == whole


@pytest.mark.parametrize("query", ["startTime=yesterday", "endTime=9", "pagination.cursor=x", "pagination.count=0"])
def test_a_wrong_choice_is_told(told, query):
    assert told.refused("GET", f"/audit-events?{query}")[0] == 422


@pytest.mark.parametrize("role", ["read-only", "source-admin", "member"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/audit-events"), ("POST", "/audit-events/export"), ("GET", "/audit-events/verification")],
)
def test_it_is_for_owners(told, role, method, path):
    assert told.refused(method, path, token=role)[0] == 403


def test_it_is_exported_as_a_file_which_leaves_an_entry(told):
    status, ndjson, headers = told.raw("POST", "/audit-events/export?resourceType=DESTINATION")
    assert (status, headers["content-disposition"]) == (200, 'attachment; filename="audit.ndjson"')
    found = [json.loads(line) for line in ndjson.splitlines()]
    assert [each["type"] for each in found] == ["Destination Disabled", "Destination Created"]
    _, text, _ = told.raw("POST", "/audit-events/export?format=csv&resourceType=DESTINATION")
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [row["type"] for row in rows] == ["Destination Disabled", "Destination Created"]
    assert [each["details"] for each in events(told, type="Audit Trail Exported")] == [
        {"format": "csv"},
        {"format": "ndjson"},
    ]
    assert told.refused("POST", "/audit-events/export?format=xlsx")[0] == 422


def test_what_is_ordered_of_the_pipeline_leaves_an_entry_and_a_trial_leaves_none(told):
    replay = {"destinationId": told.hook["id"], "from": "2026-01-01T00:00:00Z"}
    told.api("POST", "/replay", {**replay, "dryRun": True})
    assert events(told, type="Replay Started") == []
    told.api("POST", "/replay", replay)
    (entry,) = events(told, type="Replay Started")
    assert (entry["resourceId"], entry["resourceName"], entry["actor"]) == (told.hook["id"], "Hook", "owner")
    assert entry["details"]["since"].startswith("2026-01-01")


def test_each_deed_of_the_pipeline_that_is_written_down_exists():
    assert all(hasattr(Pipeline, name) for name in DEEDS)


def test_an_operation_that_is_refused_leaves_no_entry_whichever_it_is(told):
    """Generated from the routes: each operation that changes something, with ids that nobody has."""
    tried = 0
    for route in told.routes:
        for method, operation in getattr(route.endpoint, "operations", {}).items():
            if method in ASKS or operation.path == "/audit-events/export":
                continue
            path = "/".join("x" if part.startswith("{") else part for part in operation.path.split("/"))
            body = {"nothing": "known"} if operation.body else None
            is_harmless = body is not None or "{" in operation.path  # an owner may do the others
            status, *_ = told.raw(method, path, body, token="owner" if is_harmless else "read-only")
            assert status in {403, 404, 409, 422}, (method, path)  # the plane holds the law: no entry
            tried += 1
    assert tried > 40


def test_the_chain_is_verified_and_an_edit_is_found(running):
    running.api("POST", "/sources", SITE)
    found = running.api("GET", "/audit-events/verification")["verification"]
    assert (found["ok"], found["brokenAt"], found["reason"]) == (True, None, "")
    with running.control._engine.begin() as connection:
        connection.execute(update(entries).where(entries.c.seq == 2).values(actor_name="Nobody"))
    found = running.api("GET", "/audit-events/verification")["verification"]
    assert (found["ok"], found["brokenAt"], found["reason"]) == (False, 2, "it was edited")


def test_the_page_shows_finds_opens_and_exports(page, running):
    running.api("POST", "/sources", {**SITE, "name": "<b>Shop</b>"})
    shown = page("/audit")
    assert "Source Created" in shown
    assert "&lt;b&gt;Shop&lt;/b&gt;" in shown
    assert "Nothing matches" in page("/audit?actor=nobody")
    csrf = shown.partition('name="csrf" value="')[2].partition('"')[0]
    assert "The chain holds" in page("/audit/verify", csrf=csrf)
    assert page("/audit/export", csrf=csrf, format="csv").startswith("timestamp,type,actor")


def test_entries_of_another_workspace_are_nowhere(told):
    with told.control._engine.begin() as connection:
        row = dict(connection.execute(select(entries).limit(1)).mappings().one())
        newest = connection.execute(select(entries.c.seq).order_by(entries.c.seq.desc()).limit(1)).scalar()
        theirs = {"id": "theirs", "seq": newest + 50, "workspace_id": "w2", "resource_name": "Their Secret"}
        connection.execute(entries.insert().values({**row, **theirs}))
    try:
        answers = [told.raw("GET", "/audit-events?resourceName=Their")[1]]
        answers += [told.raw("POST", f"/audit-events/export?format={each}")[1] for each in ("csv", "ndjson")]
        assert not [answer for answer in answers if b"Their Secret" in answer]
    finally:
        with told.control._engine.begin() as connection:
            connection.execute(entries.delete().where(entries.c.id == "theirs"))


def test_the_command_line_lists_exports_and_verifies(told, tmp_path):
    at = ("--url", told.url.removesuffix("/api"), "--token", told.tokens["owner"])

    def command(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "headwater", *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    assert "Destination Disabled" in command("audit", "list", "--resource-type", "DESTINATION", *at)
    target = tmp_path / "audit.csv"
    command("audit", "export", "--format", "csv", "--output", str(target), *at)
    assert target.read_text().startswith("timestamp,type,actor")
    command("token", "create", "--name", "ci", "--data-dir", str(tmp_path / "data"))
    verify = ("audit", "verify", "--json", "--data-dir", str(tmp_path / "data"))
    found = json.loads(command(*verify, "--expect", "0" * 63 + "1", code=1))
    assert found["reason"] == "the expected hash is not in the chain"
    rotated = json.loads(command("secrets", "rotate", "--json", "--data-dir", str(tmp_path / "data")))
    (former,) = rotated["former"]
    assert former != rotated["key"]
