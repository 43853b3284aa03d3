"""Whatever is connected, left out, refused, reloaded and crashed in whatever order: in the end all is there once."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headwater.errors import DeliveryError, RetryableError
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading import reloads, runs, standings
from headwater.loading.journal import Journal
from headwater.loading.loader import Loader
from headwater.loading.reloads import Reason
from headwater.loading.selection import Excluded
from headwater.loading.target import Target
from headwater.spec.event import Record
from headwater.warehouses.contract import Table
from memory_warehouse import CrashError, MemoryWarehouse, Store

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"
SCHEMAS = {"s1": "site", "s2": "shop"}
EVENTS = ("Opened", "Clicked")
TABLES = ("tracks", "opened", "clicked", "identifies")
ROUNDS_MAX = 200

sources = st.sampled_from(sorted(SCHEMAS))
faults = st.tuples(st.integers(0, 14), st.sampled_from([RetryableError, CrashError]))
excluded = st.builds(Excluded, sources, st.sampled_from(TABLES), st.sampled_from(["", "n"]))
refused = st.builds("{}.{}".format, st.sampled_from(sorted(SCHEMAS.values())), st.sampled_from(TABLES))
actions = st.one_of(
    st.tuples(st.just("append"), sources, st.integers(1, 4)),
    st.tuples(st.just("connect"), sources),
    st.tuples(st.just("disconnect"), sources),
    st.tuples(st.just("exclude"), excluded),
    st.tuples(st.just("include"), excluded),
    st.tuples(st.just("refuse"), refused),
    st.tuples(st.just("accept"), refused),
    st.tuples(st.just("load"), st.none() | faults),
    st.tuples(st.just("again"), st.none() | faults),
    st.tuples(st.just("ask")),
    st.tuples(st.just("restart")),
)


class World:
    """A log, a warehouse, a configuration, and a loader that dies now and then."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.log, self.store = MemoryLog(), Store()
        self.connected, self.excluded = dict.fromkeys(SCHEMAS, True), set[Excluded]()
        self.appended: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """Start a process."""
        self.journal = Journal(self.place / "loading.sqlite")
        self.loader = Loader(self.target(), self.log, self.place, self.journal, lambda: NOW)

    def restart(self) -> None:
        """End the process, with or without notice."""
        if self.loader._open is not None:
            self.loader._open.packer.staging.close()
        self.journal.close()
        self.begin()

    def target(self) -> Target:
        named = {source: schema if self.connected[source] else "" for source, schema in SCHEMAS.items()}
        return Target("w", "memory", {}, named, excluded=frozenset(self.excluded))

    def act(self, name: str, *what: object) -> None:
        getattr(self, name)(*what)
        self.loader.target = self.target()
        self.check()

    def append(self, source: str, count: int) -> None:
        """Store a few events; every number is another type now and then."""
        records = []
        for number in range(self.number, self.number + count):
            line = {"type": "track", "event": EVENTS[number % 2], "messageId": f"m{number}", "userId": "u"}
            line |= {"receivedAt": AT, "timestamp": AT, "properties": {"n": number if number % 7 else f"n{number}"}}
            if number % 3 == 0:
                line |= {"type": "identify", "traits": {"n": number}}
            self.appended[source].append(line)
            records.append(Record(f"m{number}", msgspec.json.encode(line)))
        self.number += count
        asyncio.run(self.log.append(Topic.EVENTS, source, NOW, records))

    def connect(self, source: str) -> None:
        self.connected[source] = True

    def disconnect(self, source: str) -> None:
        self.connected[source] = False

    def exclude(self, what: Excluded) -> None:
        self.excluded.add(what)

    def include(self, what: Excluded) -> None:
        self.excluded.discard(what)

    def refuse(self, table: str) -> None:
        self.store.refused.add(table)

    def accept(self, table: str) -> None:
        self.store.refused.discard(table)

    def load(self, fault: tuple[int, type[BaseException]] | None) -> None:
        """Load new events, with a failure or a crash at some call."""
        self.tried(self.loader.step, fault)

    def again(self, fault: tuple[int, type[BaseException]] | None) -> None:
        """Load a piece of the oldest reload."""
        if self.loader.cursor is None:
            return
        for reload in self.loader.book.open_reloads():
            if reload.position < self.loader.cursor or reload.position >= reload.next:
                self.tried(lambda reload=reload: self.loader.again(reload), fault)
                return

    def ask(self) -> None:
        """Ask for everything once more."""
        if self.loader.cursor:
            with self.journal.changing() as connection:
                reloads.add(connection, reloads.new("w", Reason.ASKED, 0, self.loader.cursor))

    def tried(self, work, fault: tuple[int, type[BaseException]] | None) -> None:
        self.store.fuse, self.store.fault = fault or (-1, RetryableError)
        try:
            work()
        except DeliveryError:
            self.loader.close()
        except CrashError:
            self.restart()
        finally:
            self.store.fuse = -1

    def check(self) -> None:
        """What holds at every moment."""
        for table in self.store.rows:
            ids = self.store.ids(table)
            assert len(ids) == len(set(ids)), table
        with self.journal.reading() as connection:
            standing = standings.get(connection, "w")
            totals = runs.totals(connection, "w")
        if standing is not None and self.loader._open is not None:
            assert standing.unaccounted == 0
            assert totals.events + totals.filtered + totals.suppressed + totals.missed == standing.position

    def want_everything(self) -> None:
        """Connect and select all, let the warehouse take all, and load until nothing is left."""
        self.connected, self.excluded = dict.fromkeys(SCHEMAS, True), set()
        self.store.refused.clear()
        self.loader.target = self.target()
        self.append("s1", 1)  # what is selected is noticed with the next batch
        for _ in range(ROUNDS_MAX):
            is_new = self.loader.step() is not None
            waiting = self.loader.book.open_reloads()
            if waiting:
                self.loader.again(waiting[0])
            elif not is_new:
                return
        pytest.fail("reloads without end")

    def expected(self) -> dict[Table, dict[str, object]]:
        """Return each table's ids with the property `n`, recounted from what was appended."""
        found: defaultdict[Table, dict[str, object]] = defaultdict(dict)
        for source, lines in self.appended.items():
            for line in lines:
                is_track = line["type"] == "track"
                own = str(line["event"]).lower() if is_track else "identifies"
                value = (line.get("traits") or line["properties"])["n"]
                found[Table(SCHEMAS[source], own)][str(line["messageId"])] = str(value)
                if is_track:
                    found[Table(SCHEMAS[source], "tracks")][str(line["messageId"])] = "None"
        return dict(found)

    def seen(self) -> dict[Table, dict[str, object]]:
        """Return the same as the warehouse has it: a value is in its column, or in `_overflow`."""
        found: dict[Table, dict[str, object]] = {}
        for table, rows in self.store.rows.items():
            for row in rows:
                kept = msgspec.json.decode(str(row.get("_overflow") or "{}"))
                value = row.get("n") if row.get("n") is not None else next(iter(kept.values()), None)
                found.setdefault(table, {})[str(row["id"])] = str(value)
        return found


EX = Excluded


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(actions, min_size=4, max_size=16))
@example([("append", "s1", 4), ("load", None), ("exclude", EX("s1", "opened")), ("append", "s1", 4), ("load", None)])
@example([("append", "s1", 4), ("exclude", EX("s1", "opened", "n")), ("load", None), ("ask",), ("again", None)])
@example(
    [
        *(("append", "s1", 4), ("refuse", "site.opened"), ("load", None), ("exclude", EX("s1", "opened"))),
        *(("append", "s1", 2), ("load", None), ("accept", "site.opened"), ("again", None), ("again", None)),
    ]
)
@example(
    [
        *(("disconnect", "s2"), ("append", "s2", 3), ("load", None), ("connect", "s2"), ("append", "s1", 2)),
        *(("load", None), ("disconnect", "s2"), ("append", "s2", 1), ("load", None), ("again", None)),
    ]
)
@example([("append", "s1", 4), *(("load", (call, CrashError)) for call in range(8)), ("append", "s2", 2)])
@example([("append", "s1", 4), ("refuse", "site.tracks"), *(("load", (call, CrashError)) for call in range(12))])
def test_once_everything_is_wanted_everything_is_there_once(monkeypatch_made, done):
    place = Path(tempfile.mkdtemp(prefix="loading-"))
    try:
        world = World(place)
        monkeypatch_made(lambda *_: MemoryWarehouse(world.store))
        for name, *what in done:
            world.act(name, *what)
        world.want_everything()
        world.check()
        assert world.seen() == world.expected()
        world.loader.close()
        world.journal.close()
    finally:
        shutil.rmtree(place)


@pytest.fixture
def monkeypatch_made(monkeypatch):
    """Let the loader make this warehouse; patched once for all examples."""
    made = []

    def make(target, place):
        return made[-1](target, place)

    monkeypatch.setattr("headwater.loading.loader.make", make)
    return made.append
