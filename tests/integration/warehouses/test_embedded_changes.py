"""What becomes of the embedded warehouse's files when rows are replaced, deleted or change their type."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import DeliveryError
from headwater.privacy.person import Person
from headwater.warehouses.contract import SEQ, ColumnType, Expired, Load, Staged, Table, View
from headwater.warehouses.embedded import Settings, Warehouse, reloads
from headwater.warehouses.embedded.layout import Stretch
from headwater.warehouses.embedded.parts import GRACE

TRACKS = Table("site", "tracks")
COLUMNS = {
    "id": ColumnType.VARCHAR,
    "received_at": ColumnType.TIMESTAMP,
    "email": ColumnType.VARCHAR,
    "x": ColumnType.INTEGER,
}
SUMMARY = "select count(*), count(distinct id), sum(x) from site.tracks"


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr("headwater.warehouses.embedded.compaction.BATCHES_MAX", 2)
    return tmp_path / "w"


@pytest.fixture
def warehouse(home, clock):
    made = Warehouse(Settings(), home, clock=clock)
    made.open()
    yield made
    made.close()


def load(
    warehouse, bounds: tuple[int, int], rows: range | None = None, *, table=TRACKS, reload="", x="i", email="x"
) -> None:
    """Load rows of these sequences; of the whole range without them."""
    held = range(*bounds) if rows is None else rows
    with duckdb.connect() as staging:
        staging.execute(
            f"create table rows as select 'm' || i as id, timestamp '2026-11-01' + to_days(i::integer) as received_at, "
            f"'{email}' || i || '@example.test' as email, ({x})::bigint as x, i::bigint as {SEQ} "
            f"from range({held.start}, {held.stop}) r(i)"
        )
        warehouse.add_columns({table: COLUMNS})
        staged = (Staged(table, COLUMNS, "rows", len(held)),) if held else ()
        warehouse.load(staging, Load(*bounds, staged, reload))


def ask(home: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(home / "views.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def parts(home: Path) -> list[str]:
    return json.loads((home / "layout.json").read_text())["parts"]


def bytes_of(home: Path) -> int:
    return sum(file.stat().st_size for file in home.rglob("*.parquet"))


def two_parts(warehouse) -> None:
    """Load twenty rows into two parts."""
    for first in (0, 5):
        load(warehouse, (first, first + 5))
    warehouse.tidy()
    load(warehouse, (10, 20))
    warehouse.remove(Person(emails=frozenset({"x19@example.test"})))  # which makes a part of what is live


class TestReloads:
    def test_a_source_that_comes_later_costs_no_rewriting(self, warehouse, home):
        two_parts(warehouse)
        before = parts(home)
        load(warehouse, (0, 20), table=Table("shop", "tracks"), reload="r")
        warehouse.finish("r")
        assert parts(home)[: len(before)] == before
        assert len(parts(home)) == len(before) + 1
        assert ask(home, "select count(*) from shop.tracks") == [(20,)]

    def test_what_the_log_has_lost_since_stays(self, warehouse, home):
        two_parts(warehouse)
        load(warehouse, (0, 20), range(4, 7), reload="r", x="100 * i")
        warehouse.finish("r")
        assert ask(home, SUMMARY) == [(19, 19, 171 - (4 + 5 + 6) + 1500)]

    def test_open_readers_go_on_with_what_was_there(self, warehouse, home):
        two_parts(warehouse)
        with duckdb.connect(str(home / "views.duckdb"), read_only=True) as before:
            load(warehouse, (0, 20), range(3), reload="r", x="100")
            warehouse.finish("r")
            assert before.execute(SUMMARY).fetchall() == [(19, 19, 171)]
        assert ask(home, SUMMARY) == [(19, 19, 171 - 3 + 300)]

    def test_a_name_that_was_used_before_is_a_reload_of_its_own(self, warehouse, home):
        load(warehouse, (0, 4))
        for x in ("10", "20"):
            load(warehouse, (0, 4), reload="../r", x=x)
            warehouse.close()
            warehouse.open()
            warehouse.finish("../r")
        assert ask(home, SUMMARY) == [(4, 4, 80)]
        assert sorted(path.name for path in home.iterdir() if path.name == "r") == []

    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=12))
    def test_each_sequence_is_asked_of_one_batch(self, found):
        def named(_):
            return sorted({Stretch(first, first + length) for first, length in found})

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(reloads, "stretches", named)
            chunks = reloads.covering(Path())
        asked = [seq for chunk in chunks for seq in range(chunk.first, chunk.next)]
        assert len(asked) == len(set(asked))
        assert set(asked) == {seq for stretch in named(None) for seq in range(*stretch)}


class TestRemoval:
    def test_nothing_of_a_person_is_left_in_any_file(self, warehouse, home):
        """Not in live and merged files, not in those that wait for readers, not in what a reload has collected."""
        for first in (0, 5):
            load(warehouse, (first, first + 5), email="someone.special")
        load(warehouse, (0, 5), reload="done", email="replaced.special")
        warehouse.finish("done")
        load(warehouse, (10, 12), email="someone.special")
        load(warehouse, (5, 8), reload="under way", email="someone.special")
        everyone = [f"{who}.special{n}@example.test" for who in ("someone", "replaced") for n in range(12)]
        assert warehouse.remove(Person(emails=frozenset(everyone))) == {TRACKS: 12}
        with duckdb.connect() as connection:
            everything = f"select * from read_parquet('{home}/**/*.parquet', union_by_name = true)"
            found = connection.execute(everything).fetchall()
        assert "special" not in str(found)
        assert not [file for file in home.rglob("*") if file.is_file() and b".special" in file.read_bytes()]
        warehouse.finish("under way")
        assert ask(home, SUMMARY) == [(0, 0, None)]
        assert warehouse.cursor() == 12

    def test_a_removal_that_was_cut_off_is_made_up_for(self, warehouse, home, clock, monkeypatch):
        load(warehouse, (0, 3), email="someone.special")
        person = Person(emails=frozenset({"someone.special1@example.test"}))
        with monkeypatch.context() as broken:
            broken.setattr("headwater.warehouses.embedded.parts.sync", no_rights)  # after the commit
            with pytest.raises(DeliveryError):
                warehouse.remove(person)
        warehouse.close()
        again = Warehouse(Settings(), home, clock=clock)
        again.open()
        assert again.remove(person) == {}
        again.close()
        assert not [file for file in home.rglob("*.parquet") if b".special1@" in file.read_bytes()]

    def test_what_is_too_old_frees_the_disk_and_disturbs_no_reader(self, warehouse, home, clock):
        load(warehouse, (0, 2000), range(200))
        warehouse.tidy()
        before = bytes_of(home)
        with duckdb.connect(str(home / "views.duckdb"), read_only=True) as reader:
            assert warehouse.remove(Expired(datetime(2027, 5, 15, tzinfo=UTC))) == {TRACKS: 195}
            assert reader.execute(SUMMARY).fetchall()[0][:2] == (200, 200)
        assert ask(home, SUMMARY)[0][:2] == (5, 5)
        clock.time += GRACE + timedelta(seconds=1)
        warehouse.tidy()
        assert bytes_of(home) < before
        assert len(list((home / "live").iterdir())) == 1  # the markers


class TestTypes:
    def test_who_opened_the_views_before_a_column_became_wider_sees_no_error(self, warehouse, home):
        load(warehouse, (0, 2))
        with duckdb.connect(str(home / "views.duckdb"), read_only=True) as before:
            warehouse.widen({TRACKS: {"x": ColumnType.VARCHAR}})
            with duckdb.connect() as staging:
                staging.execute(f"create table rows as select 'm2' as id, 'many' as x, 2::bigint as {SEQ}")
                columns = {"id": ColumnType.VARCHAR, "x": ColumnType.VARCHAR}
                warehouse.load(staging, Load(2, 3, (Staged(TRACKS, columns, "rows", 1),)))
            found = before.execute("select id, x from site.tracks order by id").fetchall()
            assert found == [("m0", 0), ("m1", 1), ("m2", None)]
        assert ask(home, "select id, x from site.tracks order by id") == [("m0", "0"), ("m1", "1"), ("m2", "many")]

    def test_files_of_every_type_a_column_had_are_merged(self, warehouse, home):
        load(warehouse, (0, 2))
        warehouse.widen({TRACKS: {"x": ColumnType.FLOAT}})
        for number, (kind, value) in enumerate([(ColumnType.FLOAT, "2.5"), (ColumnType.VARCHAR, "'many'")], 2):
            warehouse.widen({TRACKS: {"x": kind}})
            with duckdb.connect() as staging:
                typed = f"{value}::{kind.value} as x, {number}::bigint as {SEQ}"
                staging.execute(f"create table rows as select 'm{number}' as id, {typed}")
                columns = {"id": ColumnType.VARCHAR, "x": kind}
                warehouse.load(staging, Load(number, number + 1, (Staged(TRACKS, columns, "rows", 1),)))
        warehouse.tidy()
        assert len(parts(home)) == 1
        assert [x for (x,) in ask(home, "select x from site.tracks order by id")] == ["0", "1", "2.5", "many"]


class TestNotes:
    def test_views_that_cannot_be_made_are_named_and_the_others_are_there(self, warehouse, home):
        load(warehouse, (0, 2))
        good = View("headwater", "good", "select count(*) as n from site.tracks")
        bad = View("headwater", "bad", "select nothing from site.tracks")
        with pytest.raises(DeliveryError, match=r"headwater\.bad: Binder Error"):
            warehouse.publish([bad, good])
        assert ask(home, "from headwater.good") == [(2,)]
        warehouse.publish([good])

    def test_notes_of_an_earlier_version_are_understood(self, warehouse, home, clock):
        for first in (0, 2):
            load(warehouse, (first, first + 2))
        warehouse.tidy()
        warehouse.close()
        (name,) = parts(home)
        (home / "merged" / name).rename(home / "merged" / Stretch(0, 4).name)
        notes = json.loads((home / "layout.json").read_text())
        notes = {"generation": 1, "before": 4, "stretches": [[0, 4]], "retired": notes["retired"]}
        (home / "layout.json").write_text(json.dumps(notes))
        again = Warehouse(Settings(), home, clock=clock)
        again.open()
        load(again, (4, 6))
        again.close()
        assert ask(home, SUMMARY) == [(6, 6, 15)]


def no_rights(*_, **__):
    raise PermissionError(13, "Permission denied")
