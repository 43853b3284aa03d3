"""History and repair: what is loaded again, when, and that every row is there once. Segment's T150 to T153."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import duckdb
import msgspec
import pytest

from headwater.errors import ConflictError, UnauthorizedError
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading.engine import Loading, State, Target
from headwater.loading.runs import RunStatus
from headwater.loading.schedule import Mode, Schedule
from headwater.loading.selection import Excluded
from headwater.models import Models
from headwater.privacy.person import Person
from headwater.spec.event import Record
from headwater.warehouses.contract import Table
from memory_warehouse import MemoryWarehouse, Store

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"
BOTH = {"s1": "site", "s2": "shop"}


def event(number: int, called: str = "Opened", /, **more: object) -> dict[str, object]:
    common = {"messageId": f"m{number}", "anonymousId": "a", "receivedAt": AT, "timestamp": AT}
    return {"type": "track", "event": called, "properties": {"n": number}, **common, **more}


async def append(log: MemoryLog, *events: dict[str, object], source: str = "s1", at: datetime = NOW) -> None:
    records = [Record(str(each["messageId"]), msgspec.json.encode(each)) for each in events]
    await log.append(Topic.EVENTS, source, at, records)


@pytest.fixture
async def loading(tmp_path):
    log = MemoryLog()
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    yield log, engine
    await engine.stop()


@pytest.fixture
def stores(monkeypatch):
    """Let the engine load into memory: a store for each warehouse."""
    made: dict[str, Store] = {}
    monkeypatch.setattr(
        "headwater.loading.loader.make", lambda target, _: MemoryWarehouse(made.setdefault(target.id, Store()))
    )
    return made


def memory(name: str = "w1", /, **more: object) -> Target:
    return Target(name, "memory", {}, **{"sources": BOTH, **more})


def embedded(tmp_path, **more: object) -> Target:
    return Target("w1", "embedded", {"directory": str(tmp_path / "w1")}, **{"sources": BOTH, **more})


def rows(tmp_path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(tmp_path / "w1" / "views.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


async def until(holds) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - asked from outside, as a page does
            await asyncio.sleep(0.01)


async def reasons(engine) -> list[tuple[str, str]]:
    return [(each.reason.value, each.state.value) for each in await engine.orders.reloads("w1", 50)]


async def test_a_source_that_is_connected_later_gets_its_history(loading, tmp_path):
    log, engine = loading
    engine.apply([embedded(tmp_path, sources={"s1": "site", "s2": ""})])
    for number in range(6):
        await append(log, event(number), source=("s1", "s2")[number % 2])
    await engine.sync("w1", 6)
    engine.apply([embedded(tmp_path)])
    await append(log, event(6))
    await engine.sync("w1", 7)
    assert rows(tmp_path, "select id from shop.opened order by id") == [("m1",), ("m3",), ("m5",)]
    assert await reasons(engine) == [("connected", "done")]


async def test_t153_a_source_that_was_disconnected_for_a_while_gets_the_gap(loading, tmp_path):
    log, engine = loading
    for number, sources in enumerate([BOTH, {"s1": "site", "s2": ""}, BOTH]):
        engine.apply([embedded(tmp_path, sources=sources)])
        await append(log, event(number), source="s2")
        await engine.sync("w1", number + 1)
    assert rows(tmp_path, "select id from shop.opened order by id") == [("m0",), ("m1",), ("m2",)]
    (run,) = await engine.orders.reloads("w1", 5)
    assert (run.first, run.next, run.events) == (1, 2, 1)


async def test_t152_a_property_that_is_selected_again_is_filled_also_where_it_was_null(loading, tmp_path):
    log, engine = loading
    out = frozenset({Excluded("s1", "opened", "n")})
    for number, excluded in enumerate([frozenset(), out, frozenset()]):
        engine.apply([embedded(tmp_path, excluded=excluded)])
        await append(log, event(number))
        await engine.sync("w1", number + 1)
        if excluded:
            assert rows(tmp_path, "select id, n from site.opened order by id") == [("m0", 0), ("m1", None)]
    assert rows(tmp_path, "select id, n from site.opened order by id") == [("m0", 0), ("m1", 1), ("m2", 2)]


async def test_a_reload_takes_no_property_from_rows_that_had_it_before_it_was_excluded(loading, tmp_path):
    log, engine = loading
    for number, excluded in enumerate([frozenset(), frozenset({Excluded("s1", "opened", "n")})]):
        engine.apply([embedded(tmp_path, excluded=excluded)])
        await append(log, event(number))
        await engine.sync("w1", number + 1)
    await engine.orders.reload("w1")
    await engine.sync("w1", 2)
    assert rows(tmp_path, "select id, n from site.opened order by id") == [("m0", 0), ("m1", None)]
    assert await reasons(engine) == [("asked", "done")]


async def test_a_reload_of_a_time_and_a_table_loads_only_that(loading, stores):
    log, engine = loading
    engine.apply([memory()])
    for day in range(4):
        await append(log, event(day), source="s1", at=NOW + timedelta(days=day))
    await engine.sync("w1", 4)
    for table in stores["w1"].rows:
        stores["w1"].rows[table].clear()
    since, until = NOW + timedelta(days=1), NOW + timedelta(days=3)
    await engine.orders.reload("w1", source_ids=["s1"], collections=["opened"], since=since, until=until)
    await engine.sync("w1", 4)
    assert stores["w1"].ids(Table("site", "opened")) == ["m1", "m2"]
    assert stores["w1"].ids(Table("site", "tracks")) == []


async def test_t151_a_table_that_is_refused_stops_no_other_and_is_loaded_once_it_can_be(loading, stores, monkeypatch):
    monkeypatch.setattr("headwater.loading.line.RETRY_S", 0.0)
    log, engine = loading
    engine.apply([memory()])
    stores["w1"] = Store(refused={"site.opened"})
    await append(log, event(1), event(2, "Clicked"))
    (first,) = await engine.sync("w1", 2)
    await append(log, event(3), event(4, "Clicked"))
    (second,) = await engine.sync("w1", 4)
    assert (first.status, second.status) == (RunStatus.PARTIAL, RunStatus.PARTIAL)
    assert first.notices[0] == "Not loaded yet, and tried again: site.opened is locked by its owner."
    assert stores["w1"].ids(Table("site", "clicked")) == ["m2", "m4"]
    assert stores["w1"].ids(Table("site", "opened")) == []
    (waiting,) = await engine.orders.reloads("w1", 5)
    assert (waiting.reason.value, waiting.first, waiting.next, waiting.error) == (
        *("refused", 0, 4),
        "site.opened is locked by its owner.",
    )
    with pytest.raises(ConflictError, match="rows would be missing"):
        await engine.orders.cancel(waiting.id)
    stores["w1"].refused.clear()
    await engine.sync("w1", 4)
    await append(log, event(5))
    (third,) = await engine.sync("w1", 5)
    assert stores["w1"].ids(Table("site", "opened")) == ["m1", "m3", "m5"]
    assert (third.status, await reasons(engine)) == (RunStatus.SUCCESS, [("refused", "done")])


async def test_new_events_come_before_history_and_history_comes_while_nothing_is_new(loading, stores, monkeypatch):
    monkeypatch.setattr("headwater.loading.stretch.EVENTS_MAX", 10)
    log, engine = loading
    engine.apply([memory()])
    for number in range(40):
        await append(log, event(number))
    await engine.sync("w1", 40)
    await engine.orders.reload("w1")
    await append(log, event(40))
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.status()[0].reloads == 0)
    await engine.stop()
    await running
    assert stores["w1"].ids(Table("site", "opened")) == sorted(f"m{number}" for number in range(41))


async def test_what_a_person_asked_for_is_given_up_in_the_end_and_says_why(loading, stores, monkeypatch):
    monkeypatch.setattr("headwater.loading.line.RETRY_S", 0.0)
    monkeypatch.setattr("headwater.loading.working.RELOAD_TRIES_MAX", 2)
    log, engine = loading
    engine.apply([memory()])
    await append(log, event(1))
    await engine.sync("w1", 1)
    await engine.orders.reload("w1")
    for _ in range(2):
        stores["w1"].fuse = 3
        await engine.sync("w1", 1)
        stores["w1"].fuse = -1
    (given_up,) = await engine.orders.reloads("w1", 5)
    assert (given_up.state.value, given_up.error) == ("failed", "The connection was lost.")
    assert engine.status()[0].state is State.READY


async def test_a_configuration_that_changes_during_a_batch_loses_nothing(tmp_path, stores):
    class Changing(MemoryLog):
        def read(self, *place, **bounds):
            found = super().read(*place, **bounds)
            for target in later:
                engine._lines["w1"].use(target)
            return found

    log, later = Changing(), []
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    engine.apply([memory(sources={"s1": "site", "s2": ""})])
    await append(log, event(0))
    await append(log, event(1), source="s2")
    later.append(memory())
    await engine.sync("w1", 2)
    await append(log, event(2), source="s2")
    await engine.sync("w1", 3)
    assert stores["w1"].ids(Table("shop", "opened")) == ["m1", "m2"]
    await engine.stop()


async def test_wrong_credentials_are_tried_seldom(loading, stores):
    log, engine = loading
    engine.apply([memory()])
    await append(log, event(1))
    stores["w1"] = Store(fuse=0, fault=UnauthorizedError)
    await engine.sync("w1", 1)
    assert engine._lines["w1"].retry_s == 60


async def test_a_slow_warehouse_delays_no_other(loading, stores, monkeypatch):
    log, engine = loading
    held, go_on = threading.Event(), threading.Event()

    class Slow(MemoryWarehouse):
        def load(self, staging, batch):
            held.set()
            go_on.wait(60)
            super().load(staging, batch)

    def make(target, _):
        return (Slow if target.id.startswith("slow") else MemoryWarehouse)(stores.setdefault(target.id, Store()))

    monkeypatch.setattr("headwater.loading.loader.make", make)
    engine.apply([*(memory(f"slow{number}") for number in range(12)), memory("quick")])
    await append(log, event(1))
    slow = [asyncio.create_task(engine.sync(f"slow{number}", 1)) for number in range(12)]
    await asyncio.to_thread(held.wait, 60)
    async with asyncio.timeout(60):
        await engine.sync("quick", 1)
    assert not any(task.done() for task in slow)
    go_on.set()
    await asyncio.gather(*slow)


async def test_t178_the_fifth_and_the_twentieth_failure_are_marked_once_each(tmp_path, stores, capsys):
    log = MemoryLog()
    await append(log, event(1))
    stores["w1"] = Store()
    marked = []
    for number in range(1, 23):
        if number in {1, 4, 21}:  # a restart does not begin to count anew
            engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
            engine.apply([memory()])
        stores["w1"].fuse = 0
        await engine.sync("w1", 1)
        marked.append(engine.status()[0].alerts)
        if number in {3, 20, 22}:
            await engine.stop()
    assert marked == [()] * 4 + [(5,)] * 15 + [(5, 20)] * 3
    assert capsys.readouterr().out.count("warehouse.failing") == 2
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    engine.apply([memory()])
    assert engine.status()[0].failures == 22
    stores["w1"].fuse = -1
    await engine.sync("w1", 1)
    assert (engine.status()[0].failures, engine.status()[0].alerts) == (0, ())
    await engine.stop()


async def test_rows_go_when_their_time_is_over_but_not_by_a_clock_that_was_set(loading, stores, monkeypatch):
    log, engine = loading
    wall = [NOW]
    engine._clock = lambda: wall[0]
    monkeypatch.setattr("headwater.loading.line.EXPIRE_EVERY_S", 0.0)
    engine.apply([memory(keep_days=30)])
    old = (NOW - timedelta(days=40)).isoformat()
    await append(log, event(1, receivedAt=old), event(2))
    await engine.sync("w1", 2)
    line = engine._lines["w1"]
    wall[0] = NOW + timedelta(days=400)
    await engine._keep(line)
    assert stores["w1"].ids(Table("site", "opened")) == ["m1", "m2"]
    wall[0] = NOW
    await engine._keep(line)
    assert stores["w1"].ids(Table("site", "opened")) == ["m2"]


async def test_views_are_made_when_tables_or_their_choice_change_and_only_then(loading, stores):
    log, engine = loading
    engine.apply([memory()])
    await append(log, event(1))
    await engine.sync("w1", 1)
    await append(log, event(2))
    await engine.sync("w1", 2)
    once = len(stores["w1"].views)
    engine.apply([memory(models=Models(enabled=False))])
    await engine._keep(engine._lines["w1"])
    assert (once, stores["w1"].views[-1]) == (1, "0 views")
    await append(log, event(3, "Clicked"))
    await engine.sync("w1", 3)
    assert len(stores["w1"].views) == 3


@pytest.mark.usefixtures("stores")
async def test_a_disabled_warehouse_loses_a_person_too(loading):
    log, engine = loading
    engine.apply([memory()])
    await append(log, event(1, userId="u1"), event(2, userId="u2"))
    await engine.sync("w1", 2)
    engine.apply([memory(enabled=False)])
    (removed,) = await engine.orders.remove(Person(frozenset({"u1"})))
    assert removed.rows == {"site.opened": 1, "site.tracks": 1}


async def test_what_one_warehouse_could_not_remove_hides_nothing_of_the_others(loading, stores):
    log, engine = loading
    engine.apply([memory("w1"), memory("w2")])
    await append(log, event(1, userId="u1"))
    assert await engine.sync(None, 1, among=[]) == []
    assert {run.warehouse_id for run in await engine.sync(None, 1, among=["w2", "nobodys"])} == {"w2"}
    await engine.sync(None, 1)
    stores["w1"].fuse = 0
    removed = await engine.orders.remove(Person(frozenset({"u1"})))
    assert {each.warehouse_id: (dict(each.rows), each.error) for each in removed} == {
        "w1": ({}, "The connection was lost."),
        "w2": ({"site.opened": 1, "site.tracks": 1}, ""),
    }


async def test_by_hand_only_a_sync_loads_but_a_reload_that_was_asked_for_runs(loading, stores):
    log, engine = loading
    engine.apply([memory()])
    await append(log, event(1))
    await engine.sync("w1", 1)
    engine.apply([memory(schedule=Schedule(Mode.MANUAL))])
    stores["w1"].rows[Table("site", "opened")].clear()
    await append(log, event(2))
    running = asyncio.create_task(engine.run())
    await engine.orders.reload("w1")
    await until(lambda: engine.status()[0].reloads == 0)
    assert (stores["w1"].ids(Table("site", "opened")), engine.status()[0].lag) == (["m1"], 1)
    await engine.sync("w1", 2)
    assert stores["w1"].ids(Table("site", "opened")) == ["m1", "m2"]
    await engine.stop()
    await running


async def test_a_schedule_loads_when_it_is_time_and_says_when_that_is(loading, stores):
    log, engine = loading
    wall = [NOW]
    engine._clock = engine._working._clock = lambda: wall[0]
    engine.apply([memory(schedule=Schedule(Mode.TIMES, times=("18:30",)))])
    await append(log, event(1))
    running = asyncio.create_task(engine.run())
    evening = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
    await until(lambda: abs(engine.status()[0].next_sync - evening) < timedelta(minutes=1))
    assert engine.status()[0].lag == 0  # the first load came at once
    await append(log, event(2))
    wall[0] = evening
    await until(lambda: not engine.status()[0].lag)
    await engine.stop()
    await running
    assert stores["w1"].ids(Table("site", "opened")) == ["m1", "m2"]


async def test_a_journal_of_the_first_version_reloads_nothing_and_keeps_its_counts(tmp_path, stores):
    (tmp_path / "state").mkdir()
    with sqlite3.connect(tmp_path / "state" / "loading.sqlite") as old:
        old.executescript(
            """create table runs (id integer primary key, warehouse_id text not null, status text not null,
            started_at text not null, duration_ms integer not null, first integer not null, next integer not null,
            events integer not null, rows text not null, notices text not null, error text not null);
            create table totals (warehouse_id text primary key, events integer not null, rows integer not null,
            filtered integer not null);
            insert into runs values (1, 'w1', 'success', '2026-11-22T00:00:00+00:00', 5, 0, 2, 2, '{"site.tracks": 2}',
            '[]', '');
            insert into totals values ('w1', 2, 4, 0);"""
        )
    old.close()
    log = MemoryLog()
    await append(log, event(0), event(1), event(2))
    stores["w1"] = Store(cursor=2)
    engine = Loading(log, tmp_path / "state", clock=lambda: NOW)
    engine.apply([memory()])
    await engine.sync("w1", 3)
    (status,) = engine.status()
    assert (status.totals.events, status.unaccounted, status.reloads) == (3, 0, 0)
    assert stores["w1"].ids(Table("site", "opened")) == ["m2"]
    assert [run.first for run in engine.runs("w1")] == [2, 0]
    await engine.stop()


@pytest.mark.parametrize("call", range(10))
async def test_t150_what_was_stored_before_a_connection_broke_is_counted_once(loading, stores, call):
    log, engine = loading
    engine.apply([memory()])
    await append(log, event(1))
    await engine.sync("w1", 1)
    await append(log, event(2))
    stores["w1"].fuse = call
    await engine.sync("w1", 2)
    stores["w1"].fuse = -1
    await engine.sync("w1", 2)
    (status,) = engine.status()
    assert (status.totals.events, status.unaccounted, status.last_error) == (2, 0, "")
    assert stores["w1"].ids(Table("site", "opened")) == ["m1", "m2"]
