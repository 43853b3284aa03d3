"""Whatever is done to an embedded warehouse in whatever order: its tables hold what a dictionary would."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.privacy.person import Person
from headwater.warehouses.contract import SEQ, ColumnType, Expired, Load, Staged, Table
from headwater.warehouses.embedded import Settings, Warehouse, compaction, parts

TABLES = (Table("site", "tracks"), Table("shop", "tracks"))
PEOPLE = 4
START = datetime(2026, 11, 1)  # noqa: DTZ001 - a warehouse's timestamp has no zone

Row = tuple[str, str]  # user_id, version
Rows = dict[Table, dict[int, Row]]

seqs = st.integers(0, 30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("load"), st.integers(0, 12)),
        *[st.tuples(st.just("reload"), st.sampled_from("ab"), seqs, st.integers(5, 15))] * 3,
        *[st.tuples(st.just("finish"), st.sampled_from("ab"))] * 2,
        st.tuples(st.just("remove"), st.integers(0, PEOPLE - 1)),
        st.tuples(st.just("expire"), seqs),
        st.tuples(st.just("tidy")),
        st.tuples(st.just("wait")),
        st.tuples(st.just("reopen")),
    ),
    min_size=10,
    max_size=20,
)


@dataclass
class World:
    """A warehouse and what should be in it."""

    home: Path
    time: datetime = datetime(2026, 11, 23, tzinfo=UTC)
    cursor: int = 0
    rounds: int = 0
    shown: Rows = field(default_factory=lambda: {table: {} for table in TABLES})
    collected: dict[str, Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.staging = duckdb.connect(config={"threads": 1})
        self.reopen()

    def reopen(self) -> None:
        self.warehouse = Warehouse(Settings(), self.home, clock=lambda: self.time)
        self.warehouse.open()

    def do(self, name: str, *how) -> None:
        if name == "reopen":
            self.warehouse.close()
        getattr(self, name)(*how)

    def load(self, count: int) -> None:
        self._load(self.cursor, self.cursor + count, "", "first", self.shown)
        self.cursor += count

    def reload(self, reload: str, first: int, count: int) -> None:
        next_ = min(first + count, self.cursor)
        if first < next_:
            rows = self.collected.setdefault(reload, {table: {} for table in TABLES})
            self._load(first, next_, reload, f"{reload}{self.rounds}", rows)

    def _load(self, first: int, next_: int, reload: str, version: str, rows: Rows) -> None:
        """Load every third sequence into the second table, the others into the first; some into none."""
        staged = []
        for place, table in enumerate(TABLES):
            found = {seq: (f"u{seq % PEOPLE}", version) for seq in range(first, next_) if (seq % 3 == 0) == place}
            found = {seq: row for seq, row in found.items() if seq % 5}
            if found:
                staged.append(self._staged(table, found))
                rows[table] |= {seq: rows[table].get(seq, row) if reload else row for seq, row in found.items()}
        self.warehouse.add_columns({each.table: each.columns for each in staged})
        self.warehouse.load(self.staging, Load(first, next_, tuple(staged), reload))

    def _staged(self, table: Table, rows: dict[int, Row]) -> Staged:
        relation = f'"{table.schema}"'
        values = ", ".join(
            f"('m{seq}', timestamp '{START + timedelta(hours=seq)}', '{user}', '{version}', {seq})"
            for seq, (user, version) in rows.items()
        )
        columns = dict.fromkeys(("id", "received_at", "user_id", "version"), ColumnType.VARCHAR)
        columns["received_at"] = ColumnType.TIMESTAMP
        self.staging.execute(
            f"create or replace temp table {relation} as from (values {values}) as r({', '.join(columns)}, {SEQ})"
        )
        return Staged(table, columns, relation, len(rows))

    def finish(self, reload: str) -> None:
        self.warehouse.finish(reload)
        for table, rows in self.collected.pop(reload, {}).items():
            self.shown[table] |= rows
        self.rounds += 1

    def remove(self, person: int) -> None:
        removed = self.warehouse.remove(Person(frozenset({f"u{person}"})))
        self._removed(removed, lambda _, row: row[0] != f"u{person}")

    def expire(self, before: int) -> None:
        removed = self.warehouse.remove(Expired((START + timedelta(hours=before)).replace(tzinfo=UTC)))
        self._removed(removed, lambda seq, _: seq >= before)

    def _removed(self, removed, stays) -> None:
        before = {table: len(rows) for table, rows in self.shown.items()}
        for kept in (self.shown, *self.collected.values()):
            for table, rows in kept.items():
                kept[table] = {seq: row for seq, row in rows.items() if stays(seq, row)}
        gone = {table: before[table] - len(rows) for table, rows in self.shown.items()}
        assert removed == {table: count for table, count in gone.items() if count}

    def tidy(self) -> None:
        self.warehouse.tidy()

    def wait(self) -> None:
        self.time += parts.GRACE + timedelta(seconds=1)

    def compare(self) -> None:
        assert self.warehouse.cursor() == self.cursor
        with duckdb.connect(str(self.home / "views.duckdb"), read_only=True) as reader:
            for table in self.warehouse.columns():
                found = reader.execute(
                    f"select id, user_id, version from {table.schema}.{table.name} order by id"
                ).fetchall()
                assert found == sorted((f"m{seq}", *row) for seq, row in self.shown[table].items())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_its_tables_hold_what_a_dictionary_would(found):
    kept, compaction.BATCHES_MAX = compaction.BATCHES_MAX, 3
    try:
        with tempfile.TemporaryDirectory() as home:
            world = World(Path(home) / "w")
            for _ in range(3):
                world.load(8)
                world.tidy()
            for step in found:
                world.do(*step)
                world.compare()
            world.warehouse.close()
            world.staging.close()
    finally:
        compaction.BATCHES_MAX = kept
