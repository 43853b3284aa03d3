"""What people ask of warehouses through the pipeline role: reloads, removals, connection tests, and how it went."""

import asyncio
from datetime import UTC, datetime

import duckdb
import msgspec
import pytest

from headwater.app.desk import Desk
from headwater.delivery.address import Policy
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.loading.engine import Loading, Target
from headwater.spec.event import Record
from rooms import outside

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"


@pytest.fixture
async def pipeline(tmp_path):
    log, http = MemoryLog(), GuardedHttp(Policy())
    mapper = InboxMapper(log, log, Cursors(tmp_path / "cursors.db"), lambda _: None)
    delivery, loading = Delivery(log, tmp_path, outside(http, tmp_path)), Loading(log, tmp_path, clock=lambda: NOW)
    loading.apply([Target("w1", "embedded", {"directory": str(tmp_path / "w1")}, {"s1": "site", "s2": ""})])
    mapping = asyncio.create_task(mapper.run())
    yield log, loading, Desk(log, mapper, delivery, loading)
    await asyncio.gather(mapper.stop(), delivery.stop(), loading.stop())
    await mapping
    await http.close()


async def track(log, *numbers, **more):
    lines = [
        {"type": "track", "event": "Ordered", "messageId": f"m{number}", "receivedAt": AT, "timestamp": AT}
        | {"userId": f"u{number}"}
        | more
        for number in numbers
    ]
    await log.append(Topic.EVENTS, "s1", NOW, [Record(line["messageId"], msgspec.json.encode(line)) for line in lines])


def ids(tmp_path):
    with duckdb.connect(str(tmp_path / "w1" / "views.duckdb"), read_only=True) as connection:
        return [row[0] for row in connection.execute("select id from site.ordered order by id").fetchall()]


async def test_a_reload_is_told_from_its_start_to_its_end(pipeline, tmp_path):
    log, _, desk = pipeline
    await track(log, 1, 2, 3)
    await desk.sync("w1", wait=True)
    answer = await desk.reload("w1", source_ids=["s1"], collections=["ordered"], until="2027-01-01T00:00:00Z")
    asked = answer["reload"]
    assert asked | {"id": ""} == {
        "id": "",
        "warehouseId": "w1",
        "sourceIds": ["s1"],
        "collections": ["ordered"],
        "since": None,
        "until": "2027-01-01T00:00:00Z",
        "reason": "asked",
        "first": 0,
        "next": 3,
        "position": 0,
        "state": "waiting",
        "events": 0,
        "rows": 0,
        "startedAt": None,
        "finishedAt": None,
        "error": "",
        "etaS": None,
    }
    await desk.sync("w1", wait=True)
    (done,) = (await desk.reloads("w1"))["reloads"]
    assert (done["state"], done["position"], done["events"], done["rows"]) == ("done", 3, 3, 3)
    assert ids(tmp_path) == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("asked", "error", "named"),
    [
        ({"warehouse_id": "nobody"}, NotFoundError, "no such warehouse"),
        ({"warehouse_id": "w1", "source_ids": ["s2"]}, InvalidRequestError, "not connected"),
        ({"warehouse_id": "w1", "source_ids": []}, InvalidRequestError, "Name a source"),
        ({"warehouse_id": "w1", "since": "yesterday"}, InvalidRequestError, "since is a time"),
        (
            {"warehouse_id": "w1", "since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            InvalidRequestError,
            "ends before it begins",
        ),
    ],
)
async def test_a_reload_that_cannot_be_is_refused(pipeline, asked, error, named):
    _, _, desk = pipeline
    with pytest.raises(error, match=named):
        await desk.reload(**asked)


async def test_a_reload_can_be_cancelled_and_then_does_nothing(pipeline):
    log, _, desk = pipeline
    await track(log, 1)
    await desk.sync("w1", wait=True)
    asked = (await desk.reload("w1"))["reload"]
    cancelled = (await desk.cancel_reload(asked["id"]))["reload"]
    await desk.sync("w1", wait=True)
    (found,) = (await desk.reloads())["reloads"]
    assert (cancelled["state"], found["state"], found["events"]) == ("cancelled", "cancelled", 0)
    with pytest.raises(NotFoundError):
        await desk.cancel_reload("r0")


async def test_no_more_reloads_wait_than_may(pipeline, monkeypatch):
    _, _, desk = pipeline
    monkeypatch.setattr("headwater.loading.orders.OPEN_MAX", 2)
    for _ in range(2):
        await desk.reload("w1")
    with pytest.raises(ConflictError, match="2 reloads wait"):
        await desk.reload("w1")


async def test_trends_have_a_day_for_each_day_and_rows_for_each_table(pipeline):
    log, _, desk = pipeline
    await track(log, 1, 2)
    await desk.sync("w1", wait=True)
    before, today = (await desk.row_trends("w1", 2))["days"]
    assert before == {"day": "2026-11-22", "events": 0, "failed": 0, "byTable": {}, "rows": 0}
    tables = {"site.ordered": 2, "site.tracks": 2}
    assert today == {"day": "2026-11-23", "events": 2, "failed": 0, "byTable": tables, "rows": 4}


async def test_values_that_did_not_fit_are_named_with_their_column(pipeline):
    log, _, desk = pipeline
    await track(log, 1, properties={"at": "2026-01-01T00:00:00Z"})
    await desk.sync("w1", wait=True)
    await track(log, 2, properties={"at": "soon"})
    await desk.sync("w1", wait=True)
    (found,) = (await desk.misfits("w1"))["misfits"]
    assert (found["schema"], found["table"], found["column"], found["label"]) == (
        "site",
        "ordered",
        "at",
        "properties.at",
    )


async def test_a_person_is_removed_from_every_table(pipeline, tmp_path):
    log, _, desk = pipeline
    await track(log, 1, 2)
    await desk.sync("w1", wait=True)
    answer = await desk.remove_person({"userIds": ["u1"]})
    tables = {"site.ordered": 1, "site.tracks": 1}
    assert answer == {"warehouses": [{"warehouseId": "w1", "rows": tables, "error": ""}]}
    assert ids(tmp_path) == ["m2"]


@pytest.mark.parametrize(
    "ids_", [{}, {"userIds": []}, {"userIds": [""]}, {"userIds": "u1"}, {"names": ["Ann"]}, {"emails": [None]}]
)
async def test_nobody_is_never_everybody(pipeline, ids_):
    _, _, desk = pipeline
    with pytest.raises(InvalidRequestError):
        await desk.remove_person(ids_)


async def test_a_connection_test_says_why_it_fails(pipeline, tmp_path):
    _, _, desk = pipeline
    (tmp_path / "file").write_text("in the way")
    well = await desk.test_warehouse("embedded", {"directory": str(tmp_path / "new")})
    ill = await desk.test_warehouse("embedded", {"directory": str(tmp_path / "file" / "x")})
    none = await desk.test_warehouse("no such type", {})
    assert well == {"ok": True, "message": "The warehouse answered."}
    assert ill == {"ok": False, "message": "The warehouse's directory cannot be made: Not a directory."}
    assert none["ok"] is False


async def test_a_status_tells_failures_reloads_and_the_next_load(pipeline):
    log, _, desk = pipeline
    await track(log, 1)
    await desk.sync("w1", wait=True)
    await desk.reload("w1")
    (status,) = (await desk.warehouses())["warehouses"]
    told = {name: status[name] for name in ("failures", "alerts", "nextSync", "reloads", "notices", "unaccounted")}
    assert told == {"failures": 0, "alerts": (), "nextSync": None, "reloads": 1, "notices": (), "unaccounted": 0}


async def test_a_load_begins_with_what_was_configured_a_moment_ago(pipeline, tmp_path):
    log, loading, desk = pipeline

    async def refresh():
        loading.apply([Target("w1", "embedded", {"directory": str(tmp_path / "w1")}, {"s1": ""})])

    await track(log, 1)
    desk._refresh = refresh
    (run,) = (await desk.sync("w1", wait=True))["syncs"]
    assert (run["events"], run["filtered"]) == (0, 1)
