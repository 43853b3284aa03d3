"""Reloads that end before their time, that are wanted while nothing happens, and that trickling events could starve."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import duckdb
import msgspec
import pytest

from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading import overflowed, trends
from headwater.loading.build import Misfit
from headwater.loading.engine import Loading, Target
from headwater.loading.journal import Journal
from headwater.loading.runs import RunStatus, SyncRun
from headwater.loading.schedule import Mode, Schedule
from headwater.loading.selection import Excluded
from headwater.spec.event import Record
from headwater.warehouses.contract import ColumnType, Table
from memory_warehouse import MemoryWarehouse, Store

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"
BOTH = {"s1": "site", "s2": "shop"}
OPENED = Table("site", "opened")


def event(number: int) -> dict[str, object]:
    common = {"messageId": f"m{number}", "anonymousId": "a", "receivedAt": AT, "timestamp": AT}
    return {"type": "track", "event": "Opened", "properties": {"n": number}, **common}


async def append(log: MemoryLog, *numbers: int, source: str = "s1", at: datetime = NOW) -> None:
    records = [Record(f"m{number}", msgspec.json.encode(event(number))) for number in numbers]
    await log.append(Topic.EVENTS, source, at, records)


@pytest.fixture
async def loading(tmp_path):
    log = MemoryLog()
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    yield log, engine
    await engine.stop()


@pytest.fixture
def stores(monkeypatch):
    made: dict[str, Store] = {}
    monkeypatch.setattr(
        "headwater.loading.loader.make", lambda target, _: MemoryWarehouse(made.setdefault(target.id, Store()))
    )
    return made


def one_by_one(log: MemoryLog, monkeypatch) -> None:
    """Let each batch be one event."""
    read = log.read
    monkeypatch.setattr("headwater.loading.stretch.EVENTS_MAX", 1)
    monkeypatch.setattr(log, "read", lambda topic, cursor, **_: read(topic, cursor, records_max=1))


def memory(**more: object) -> Target:
    return Target("w1", "memory", {}, **{"sources": BOTH, **more})


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - asked from outside, as a page does
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("before", "table"),
    [
        ({"sources": {"s1": "", "s2": "shop"}}, OPENED),
        ({"excluded": frozenset({Excluded("s1", "opened")})}, OPENED),
    ],
)
async def test_what_is_wanted_again_comes_at_once_also_when_no_event_does(loading, stores, before, table):
    log, engine = loading
    engine.apply([memory(**before)])
    await append(log, 1)
    await engine.sync("w1", 1)
    assert stores["w1"].ids(table) == []
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.status()[0].state.value == "ready")
    engine.apply([memory()])
    await until(lambda: stores["w1"].ids(table) == ["m1"])
    await engine.stop()
    await running


async def test_a_sync_loads_by_the_newest_choice_what_is_wanted_again(loading, stores):
    log, engine = loading
    by_hand = Schedule(Mode.MANUAL)
    engine.apply([memory(sources={"s1": "", "s2": "shop"}, schedule=by_hand)])
    await append(log, 1)
    await engine.sync("w1", 1)
    engine.apply([memory(schedule=by_hand)])
    await engine.sync("w1", 1)
    assert stores["w1"].ids(OPENED) == ["m1"]


async def test_by_hand_a_reload_that_was_asked_for_runs_after_a_restart_and_past_others(tmp_path, stores):
    log = MemoryLog()
    target = memory(schedule=Schedule(Mode.MANUAL))
    for sources in ({"s1": "site", "s2": ""}, BOTH):
        engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
        engine.apply([memory(schedule=Schedule(Mode.MANUAL), sources=sources)])
        await append(log, 1 if sources is not BOTH else 3)
        await append(log, 2 if sources is not BOTH else 4, source="s2")
        await engine._lines["w1"].in_thread(engine._lines["w1"].loader.step)
        await engine.stop()
    stores["w1"].rows[OPENED].clear()
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    engine.apply([target])
    running = asyncio.create_task(engine.run())
    await engine.orders.reload("w1", source_ids=["s1"])
    await until(lambda: stores["w1"].ids(OPENED) == ["m1", "m3"])
    await until(lambda: engine.status()[0].reloads == 1)
    assert stores["w1"].ids(Table("shop", "opened")) == ["m4"]
    await engine.stop()
    await running


async def test_a_reload_that_is_cancelled_during_its_batch_stays_cancelled(loading, stores, monkeypatch):
    log, engine = loading
    one_by_one(log, monkeypatch)
    engine.apply([memory()])
    for number in range(5):
        await append(log, number)
    await engine.sync("w1", 5)
    reload = await engine.orders.reload("w1")
    loaded, load = [], MemoryWarehouse.load

    def cancelled_meanwhile(warehouse, staging, batch):
        engine.orders._cancel(reload.id)
        loaded.append(batch.next_cursor)
        load(warehouse, staging, batch)

    monkeypatch.setattr(MemoryWarehouse, "load", cancelled_meanwhile)
    await engine.sync("w1", 5)
    (ended,) = await engine.orders.reloads("w1", 5)
    assert (ended.state.value, ended.position, loaded) == ("cancelled", 1, [1])
    assert stores["w1"].finished == [reload.id]


async def test_a_reload_that_is_cancelled_between_two_batches_is_made_visible(loading, stores, monkeypatch):
    log, engine = loading
    one_by_one(log, monkeypatch)
    engine.apply([memory()])
    await append(log, 1)
    await append(log, 2)
    await engine.sync("w1", 2)
    reload = await engine.orders.reload("w1")
    line = engine._lines["w1"]
    await line.in_thread(lambda: line.loader.again(reload))
    assert stores["w1"].finished == []
    await engine.orders.cancel(reload.id)
    running = asyncio.create_task(engine.run())
    await until(lambda: stores["w1"].finished == [reload.id])
    await engine.stop()
    await running


async def test_half_a_history_whose_source_is_disconnected_meanwhile_is_not_lost(loading, tmp_path, monkeypatch):
    log, engine = loading
    one_by_one(log, monkeypatch)
    where = {"directory": str(tmp_path / "w1")}
    alone, both = {"s1": "site", "s2": ""}, BOTH
    engine.apply([Target("w1", "embedded", where, alone)])
    for number in range(4):
        await append(log, number, source="s2")
    await engine.sync("w1", 4)
    line = engine._lines["w1"]
    engine.apply([Target("w1", "embedded", where, both)])
    await line.in_thread(line.loader.step)
    (reload,) = await engine.orders.reloads("w1", 5)
    await line.in_thread(lambda: line.loader.again(reload))
    engine.apply([Target("w1", "embedded", where, alone)])
    await append(log, 4)
    await engine.sync("w1", 5)
    engine.apply([Target("w1", "embedded", where, both)])
    await engine.sync("w1", 5)
    with duckdb.connect(str(tmp_path / "w1" / "views.duckdb"), read_only=True) as connection:
        found = connection.execute("select id from shop.opened order by id").fetchall()
    assert found == [("m0",), ("m1",), ("m2",), ("m3",)]


async def test_a_refused_table_is_caught_up_with_while_events_keep_coming(loading, stores, monkeypatch):
    log, engine = loading
    engine.apply([memory()])
    stores["w1"] = Store(refused={"site.opened"})
    await append(log, 0)
    await engine.sync("w1", 1)
    stores["w1"].refused.clear()
    load, numbers = MemoryWarehouse.load, iter(range(1, 100))

    def with_news(warehouse, staging, batch):
        if batch.reload:  # there is always something new when the reload's turn is over
            asyncio.run_coroutine_threadsafe(append(log, next(numbers)), loop).result()
        load(warehouse, staging, batch)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(MemoryWarehouse, "load", with_news)
    await append(log, 100)
    monkeypatch.setattr("headwater.loading.line.RETRY_S", 0.0)
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.status()[0].reloads == 0)
    await engine.stop()
    await running
    assert next(numbers) < 10


@pytest.mark.usefixtures("stores")
async def test_a_stop_while_a_load_fails_waits_for_no_retry(loading, monkeypatch):
    monkeypatch.setattr("headwater.loading.line.RETRY_S", 3_600.0)
    _, engine = loading
    opening, fails = threading.Event(), threading.Event()

    def slowly(_):
        opening.set()
        fails.wait(20)
        raise RuntimeError

    monkeypatch.setattr(MemoryWarehouse, "open", slowly)
    engine.apply([memory()])
    running = asyncio.create_task(engine.run())
    await asyncio.to_thread(opening.wait, 20)
    stopping = asyncio.create_task(engine.stop())
    await asyncio.sleep(0)
    fails.set()
    async with asyncio.timeout(20):
        await asyncio.gather(stopping, running)


async def test_by_a_clock_that_was_set_back_an_unknown_source_is_waited_for_once(loading, stores, monkeypatch):
    log, engine = loading
    seconds = [0.0]
    monkeypatch.setattr("headwater.loading.stretch.time.monotonic", lambda: seconds[0])
    engine.apply([memory()])
    for number in range(10):
        await append(log, number, source="gone", at=NOW + timedelta(days=300))
        await append(log, 100 + number)
    line = engine._lines["w1"]
    while (line.loader.cursor or 0) < 20:
        await line.in_thread(line.loader.step)
        seconds[0] += 1.0
        assert seconds[0] < 70
    assert len(stores["w1"].ids(OPENED)) == 10


def test_columns_that_are_widened_one_after_the_other_fill_no_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(overflowed, "OVERFLOWED_MAX", 5)
    journal = Journal(tmp_path / "loading.sqlite")
    for number in range(20):
        misfit = Misfit(OPENED, f"properties.p{number}", f"p{number}", ColumnType.VARCHAR, 1)
        with journal.changing() as connection:
            overflowed.widen(connection, "w1", [misfit], NOW)
    with journal.reading() as connection:
        found = {each.column for each in overflowed.listed(connection, "w1")}
    assert found == {"p15", "p16", "p17", "p18", "p19"}
    journal.close()


def test_a_day_by_a_wrong_clock_takes_no_other_day_away(tmp_path):
    journal = Journal(tmp_path / "loading.sqlite")
    wrong = datetime(2040, 1, 1, tzinfo=UTC)
    days = [NOW - timedelta(days=back) for back in range(200, 0, -1)]
    for at in [*days[:-1], wrong, days[-1]]:
        run = SyncRun("w1", RunStatus.SUCCESS, at, 1, 0, 1, events=1, rows={"site.opened": 1})
        with journal.changing() as connection:
            trends.add(connection, run)
    with journal.reading() as connection:
        found = trends.days(connection, "w1", NOW, 30)
        kept = [connection.execute(f"select count(*) from {each}").fetchone() for each in ("days", "day_tables")]
    journal.close()
    assert [each.rows for each in found] == [1] * 29 + [0]
    assert kept == [(trends.DAYS_MAX,), (trends.DAYS_MAX,)]
