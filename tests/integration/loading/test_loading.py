from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import duckdb
import msgspec
import pytest

from headwater.errors import NotFoundError
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading.engine import Loading, State, Target
from headwater.loading.runs import RunStatus
from headwater.spec.event import Record

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"


def event(number: int, called: str = "Email Opened", /, **more: object) -> dict[str, object]:
    common = {"messageId": f"m{number}", "anonymousId": f"a{number % 7}", "receivedAt": AT, "timestamp": AT}
    return {"type": "track", "event": called, **common, **more}


async def append(log: MemoryLog, *events: dict[str, object], source: str = "s1", at: datetime = NOW) -> None:
    records = [Record(str(each["messageId"]), msgspec.json.encode(each)) for each in events]
    await log.append(Topic.EVENTS, source, at, records)


def embedded(tmp_path, name: str = "w1", **more: object) -> Target:
    settings = {"directory": str(tmp_path / name)}
    return Target(name, "embedded", settings, **{"sources": {"s1": "site", "s2": "shop"}, **more})


def rows(tmp_path, sql: str, name: str = "w1") -> list[tuple[object, ...]]:
    with duckdb.connect(str(tmp_path / name / "views.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
async def loading(tmp_path):
    log = MemoryLog()
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    yield log, engine
    await engine.stop()


async def test_every_call_becomes_rows_of_its_tables(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(
        log,
        event(1, "Email Link Clicked", properties={"link": "https://e.x/", "position": 2}),
        event(2, type="identify", userId="u1", traits={"email": "a@e.x"}),
        event(3, type="identify", userId="u1", traits={"plan": "pro", "email": "b@e.x"}),
        event(4, type="identify", traits={"email": "nobody@e.x"}),
        event(5, type="page", name="Home", properties={"url": "/"}),
        event(6, type="screen", name="Cart"),
        event(7, type="group", groupId="g1", traits={"name": "Acme"}),
        event(8, type="alias", userId="u1", previousId="p1"),
    )
    (run,) = await engine.sync("w1", 8)
    assert (run.status, run.events) == (RunStatus.SUCCESS, 8)
    assert dict(run.rows) == {
        "site.tracks": 1,
        "site.email_link_clicked": 1,
        "site.identifies": 3,
        "site.pages": 1,
        "site.screens": 1,
        "site.groups": 1,
        "site.aliases": 1,
    }
    clicked = rows(tmp_path, "select id, event, event_text, link, position from site.email_link_clicked")
    assert clicked == [("m1", "email_link_clicked", "Email Link Clicked", "https://e.x/", 2)]
    assert rows(tmp_path, "select id, email, plan from site.users") == [("u1", "b@e.x", "pro")]
    assert rows(tmp_path, "select id, name from site.accounts") == [("g1", "Acme")]
    assert rows(tmp_path, "select name, url from site.pages") == [("Home", "/")]
    assert rows(tmp_path, "select user_id, previous_id from site.aliases") == [("u1", "p1")]


async def test_sources_have_schemas_of_their_own_and_an_unconnected_one_none(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path, sources={"s1": "site", "s2": "shop", "s3": ""})])
    for number, source in enumerate(["s1", "s2", "s1", "s3", "s2", "s1"]):
        await append(log, event(number), source=source)
    await engine.sync(None, 6)
    found = rows(tmp_path, "select id from site.tracks order by 1"), rows(tmp_path, "select id from shop.tracks")
    assert found == ([("m0",), ("m2",), ("m5",)], [("m1",), ("m4",)])
    (status,) = engine.status()
    assert (status.cursor, status.lag, status.totals.events, status.totals.filtered) == (6, 0, 5, 1)


async def test_a_new_warehouse_gets_the_whole_history(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(log, *(event(number) for number in range(50)))
    await engine.sync(None, 50)
    engine.apply([embedded(tmp_path), embedded(tmp_path, "w2")])
    await engine.sync("w2", 50)
    assert rows(tmp_path, "select count(*), count(distinct id) from site.tracks", "w2") == [(50, 50)]


async def test_events_of_a_source_that_the_configuration_does_not_name_yet_wait_for_it(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path, sources={"s1": "site"})])
    await append(log, event(1))
    await append(log, event(2), source="new", at=NOW - timedelta(seconds=5))
    waiting = asyncio.create_task(engine.sync("w1", 2))
    await engine.sync("w1", 1)
    engine.apply([embedded(tmp_path, sources={"s1": "site", "new": "later"})])
    await waiting
    assert rows(tmp_path, "select id from later.tracks") == [("m2",)]


async def test_events_of_a_deleted_source_are_left_out_and_that_is_said(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(log, event(1), source="gone", at=NOW - timedelta(hours=1))
    await append(log, event(2))
    (run,) = await engine.sync("w1", 2)
    assert run.notices == ("1 events of source gone were left out: it was deleted or is not connected here.",)


async def test_a_broken_warehouse_stops_no_other_and_says_why(loading, tmp_path):
    log, engine = loading
    (tmp_path / "file").write_text("in the way")
    broken = Target("bad", "embedded", {"directory": str(tmp_path / "file" / "x")}, {"s1": "site"})
    engine.apply([broken, embedded(tmp_path)])
    await append(log, event(1))
    runs = {run.warehouse_id: run.status for run in await engine.sync(None, 1)}
    assert runs == {"bad": RunStatus.FAILED, "w1": RunStatus.SUCCESS}
    states = {status.warehouse_id: (status.state, bool(status.last_error)) for status in engine.status()}
    assert states == {"bad": (State.FAILING, True), "w1": (State.READY, False)}
    assert engine.runs("bad")[0].error == "The warehouse's directory cannot be made: Not a directory."


async def test_an_outage_is_one_entry_in_the_runs(loading, tmp_path):
    log, engine = loading
    (tmp_path / "file").write_text("in the way")
    engine.apply([Target("bad", "embedded", {"directory": str(tmp_path / "file" / "x")}, {"s1": "site"})])
    await append(log, event(1))
    for _ in range(3):
        await engine.sync("bad", 1)
    assert len(engine.runs("bad")) == 1


async def test_a_warehouse_ahead_of_the_log_is_an_error_and_not_a_wait(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(log, event(1), event(2))
    await engine.sync(None, 2)
    other = Loading(MemoryLog(), tmp_path / "other", clock=lambda: NOW)
    await engine.stop()
    other.apply([embedded(tmp_path)])
    (run,) = await other.sync("w1", 1)
    assert run.error.startswith("The warehouse was loaded up to event 2, the log ends at 0")
    await other.stop()


async def test_a_warehouse_ahead_of_an_older_copy_stays_refused_when_that_has_outgrown_it(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(log, event(1), event(2))
    await engine.sync(None, 2)
    await engine.stop()
    older = MemoryLog()
    await append(older, event(1))
    for _ in range(2):  # also after a restart
        other = Loading(older, tmp_path / "state", clock=lambda: NOW)
        other.apply([embedded(tmp_path)])
        (run,) = await other.sync("w1", older.end(Topic.EVENTS))
        assert run.error.startswith("The warehouse was loaded up to event 2, the log ends at")
        await append(older, event(3), event(4))
        (run,) = await other.sync("w1", older.end(Topic.EVENTS))
        assert run.error.startswith("The warehouse was loaded up to event 2, the log ends at")
        await other.stop()
    (tmp_path / "w1").rename(tmp_path / "away")
    other = Loading(older, tmp_path / "state", clock=lambda: NOW)
    other.apply([embedded(tmp_path)])
    (run,) = await other.sync("w1", older.end(Topic.EVENTS))
    assert (run.error, run.events) == ("", 3)
    await other.stop()


async def test_a_failing_warehouse_works_again_without_news(loading, tmp_path, monkeypatch):
    monkeypatch.setattr("headwater.loading.line.RETRY_S", 0.01)
    log, engine = loading
    (tmp_path / "w1").write_text("in the way")
    engine.apply([embedded(tmp_path)])
    running = asyncio.create_task(engine.run())
    async with asyncio.timeout(30):
        while engine.status()[0].state is not State.FAILING:  # noqa: ASYNC110 - asked from outside, as a page does
            await asyncio.sleep(0.01)
        (tmp_path / "w1").unlink()
        while engine.status()[0].state is not State.READY:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    await engine.stop()
    await running
    assert log.end(Topic.EVENTS) == 0


async def test_an_unknown_source_holds_nothing_up_after_the_clock_was_set_back(loading, tmp_path, monkeypatch):
    monkeypatch.setattr("headwater.loading.stretch.SOURCE_KNOWN_AFTER", timedelta(seconds=0.05))
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(log, event(1), source="gone", at=NOW + timedelta(days=365))
    await append(log, event(2))
    async with asyncio.timeout(30):
        (run,) = await engine.sync("w1", 2)
    assert run.notices == ("1 events of source gone were left out: it was deleted or is not connected here.",)
    assert rows(tmp_path, "select id from site.tracks") == [("m2",)]


async def test_events_that_retention_took_before_they_were_loaded_are_named(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    for number in range(3):
        await append(log, event(number))
    del log._frames[Topic.EVENTS][:2]
    (run,) = await engine.sync("w1", 3)
    assert run.notices == ("2 events from 0 on had left the log (retention) before they were loaded here.",)
    assert rows(tmp_path, "select id from site.tracks") == [("m2",)]


async def test_a_warehouse_that_moves_while_it_loads_gets_everything_at_its_new_place(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    await append(log, *(event(number) for number in range(2_000)))
    first = asyncio.create_task(engine.sync("w1", 2_000))
    await asyncio.sleep(0)
    moved = Target("w1", "embedded", {"directory": str(tmp_path / "moved")}, {"s1": "site"})
    engine.apply([moved])
    (run,) = await engine.sync("w1", 2_000)
    assert (run.error, run.events) == ("", 2_000)
    await asyncio.gather(first, return_exceptions=True)
    assert rows(tmp_path, "select count(distinct id) from site.tracks", "moved") == [(2_000,)]


async def test_a_disabled_warehouse_pauses_and_catches_up(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path, enabled=False)])
    await append(log, event(1))
    with pytest.raises(NotFoundError):
        await engine.sync("w1", 1)
    assert engine.status()[0].state is State.PAUSED
    engine.apply([embedded(tmp_path)])
    await engine.sync("w1", 1)
    assert rows(tmp_path, "select id from site.tracks") == [("m1",)]


async def test_running_loads_by_itself_what_arrives(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path)])
    running = asyncio.create_task(engine.run())
    for number in range(20):
        await append(log, event(number))
    async with asyncio.timeout(30):
        while engine.status()[0].cursor != 20:  # noqa: ASYNC110 - asked from outside, as a page does
            await asyncio.sleep(0.05)
    await engine.stop()
    await running
    assert rows(tmp_path, "select count(distinct id) from site.email_opened") == [(20,)]
