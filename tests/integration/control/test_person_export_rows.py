"""A person's export has the rows of warehouses, too."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from headwater.control.privacy.export import PersonExport
from headwater.control.service import open_control
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading.engine import Loading, Target
from headwater.privacy.subjects import Kind, Subject
from headwater.reports.query import Queries
from headwater.spec.event import Record

TIMES = dict.fromkeys(("receivedAt", "sentAt", "originalTimestamp", "timestamp"), "2026-05-04T12:00:00.000Z")
EVENTS = [
    {"messageId": "m1", "type": "track", "event": "Seen", "userId": "ann", "properties": {"n": 1, "text": "a\nb, {"}},
    {"messageId": "m2", "type": "identify", "userId": "bob", "traits": {"email": "joann@x.org"}},
    {"messageId": "m3", "type": "identify", "userId": "ann", "traits": {"email": "Ann@x.org"}},
]


@pytest.fixture
def control(tmp_path):
    opened = open_control(f"sqlite:///{tmp_path}/control.db", b"k" * 32)
    yield opened
    opened.close()


async def test_rows_of_the_person_follow_their_events_and_a_silent_warehouse_says_so(control, tmp_path):
    workspace = control.workspaces.all()[0]
    source = control.sources.create(workspace.id, "site", "http-api")
    warehouse = control.warehouses.all(workspace.id)[0]
    log = MemoryLog()
    records = [Record(each["messageId"], msgspec.json.encode(each | TIMES)) for each in EVENTS]
    await log.append(Topic.EVENTS, source.id, datetime.now(UTC), records)

    async def exported():
        queries = Queries(tmp_path / "warehouses", control.warehouses.opened)
        made = PersonExport(control, log, queries)
        parts = made.lines(workspace.id, [Subject(Kind.USER, "ann")], "ndjson", follows_links=False)
        return [json.loads(line) for part in [part async for part in parts] for line in part.splitlines()]

    *events, silent = await exported()
    assert [each["event"]["messageId"] for each in events] == ["m1", "m3"]
    assert (silent["warehouse"], set(silent)) == (warehouse.name, {"warehouse", "error"})

    engine = Loading(log, tmp_path)
    engine.apply([Target(warehouse.id, "embedded", {}, {source.id: "site"})])
    await engine.sync(warehouse.id, len(EVENTS))
    await engine.stop()
    rows = (await exported())[2:]
    assert {(each["table"], each["row"]["id"]) for each in rows} == {
        ("site.identifies", "m3"),
        ("site.seen", "m1"),
        ("site.tracks", "m1"),
    }
    (seen,) = [each["row"] for each in rows if each["table"] == "site.seen"]
    assert (seen["n"], seen["text"], seen["user_id"]) == (1, "a\nb, {", "ann")
