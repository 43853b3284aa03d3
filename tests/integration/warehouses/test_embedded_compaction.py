from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from headwater.errors import DeliveryError, RetryableError
from headwater.warehouses.contract import SEQ, ColumnType, Load, Staged, Table
from headwater.warehouses.embedded import Settings, Warehouse
from headwater.warehouses.embedded.compaction import BATCHES_MAX
from headwater.warehouses.embedded.parts import GRACE

TRACKS = Table("site", "tracks")
COLUMNS = {"id": ColumnType.VARCHAR}
SUMMARY = "select count(*), count(distinct id) from site.tracks"


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
def warehouse(tmp_path, clock):
    made = Warehouse(Settings(str(tmp_path / "w")), tmp_path, clock=clock)
    made.open()
    yield made
    made.close()


def load(warehouse, batches: range) -> None:
    with duckdb.connect() as staging:
        for number in batches:
            staging.execute(f"create or replace table rows as select 'm{number}' as id, {number}::bigint as {SEQ}")
            warehouse.add_columns({TRACKS: COLUMNS})
            warehouse.load(staging, Load(number, number + 1, (Staged(TRACKS, COLUMNS, "rows", 1),)))


def reader(tmp_path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(tmp_path / "w" / "views.duckdb"), read_only=True)


def live(tmp_path) -> int:
    return len(list((tmp_path / "w" / "live").iterdir())) - 1


def test_many_small_files_become_one(warehouse, tmp_path, clock):
    load(warehouse, range(BATCHES_MAX))
    warehouse.tidy()
    clock.time += GRACE + timedelta(seconds=1)
    warehouse.tidy()
    assert live(tmp_path) == 0
    (part,) = (tmp_path / "w" / "merged").iterdir()
    assert part.name.startswith(f"{0:019d}-{BATCHES_MAX:019d}.")
    with reader(tmp_path) as connection:
        assert connection.execute(SUMMARY).fetchall() == [(BATCHES_MAX, BATCHES_MAX)]


def test_open_readers_lose_and_double_nothing_while_files_are_merged(warehouse, tmp_path):
    load(warehouse, range(BATCHES_MAX))
    with reader(tmp_path) as before:
        warehouse.tidy()
        load(warehouse, range(BATCHES_MAX, BATCHES_MAX + 3))
        with reader(tmp_path) as after:
            for connection in (before, after):
                assert connection.execute(SUMMARY).fetchall() == [(BATCHES_MAX + 3, BATCHES_MAX + 3)]


def test_a_reader_with_outdated_views_is_told_and_not_shown_too_little(warehouse, tmp_path, clock):
    load(warehouse, range(BATCHES_MAX))
    with reader(tmp_path) as outdated:
        warehouse.tidy()
        clock.time += GRACE + timedelta(seconds=1)
        warehouse.tidy()
        with pytest.raises(duckdb.IOException, match="generations"):
            outdated.execute(SUMMARY)


def test_rows_are_written_again_a_logarithmic_number_of_times(warehouse, tmp_path):
    load(warehouse, range(BATCHES_MAX))
    for round_number in range(1, 8):
        warehouse.tidy()
        load(warehouse, range(round_number * BATCHES_MAX, (round_number + 1) * BATCHES_MAX))
    warehouse.tidy()
    with reader(tmp_path) as connection:
        assert connection.execute(SUMMARY).fetchall() == [(8 * BATCHES_MAX, 8 * BATCHES_MAX)]
    assert warehouse.cursor() == 8 * BATCHES_MAX


def test_a_merge_that_was_cut_off_leaves_nothing_behind(warehouse, tmp_path):
    load(warehouse, range(3))
    warehouse.close()
    orphan = tmp_path / "w" / "merged" / f"{0:019d}-{3:019d}"
    (orphan / "site").mkdir(parents=True)
    again = Warehouse(Settings(str(tmp_path / "w")), tmp_path)
    again.open()
    again.close()
    assert not orphan.exists()
    with reader(tmp_path) as connection:
        assert connection.execute(SUMMARY).fetchall() == [(3, 3)]


def test_views_that_could_not_be_replaced_after_a_merge_are_replaced_later(warehouse, tmp_path, clock, monkeypatch):
    load(warehouse, range(BATCHES_MAX))
    with monkeypatch.context() as full:
        full.setattr("headwater.warehouses.embedded.views.write", no_space)
        with pytest.raises(RetryableError):
            warehouse.tidy()
    warehouse.tidy()
    clock.time += GRACE + timedelta(seconds=1)
    warehouse.tidy()
    with reader(tmp_path) as connection:
        assert connection.execute(SUMMARY).fetchall() == [(BATCHES_MAX, BATCHES_MAX)]


def no_space(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["layout.json", "registry.json"])
def test_a_warehouse_without_its_own_notes_is_refused_and_nothing_of_it_is_removed(warehouse, tmp_path, clock, name):
    load(warehouse, range(BATCHES_MAX))
    warehouse.tidy()
    clock.time += GRACE + timedelta(seconds=1)
    warehouse.tidy()
    warehouse.close()
    kept = (tmp_path / "w" / name).rename(tmp_path / name)
    again = Warehouse(Settings(str(tmp_path / "w")), tmp_path, clock=clock)
    with pytest.raises(DeliveryError, match=f"{name} of the warehouse is missing"):
        again.open()
    again.close()
    kept.rename(tmp_path / "w" / name)
    again.open()
    again.close()
    with reader(tmp_path) as connection:
        assert connection.execute(SUMMARY).fetchall() == [(BATCHES_MAX, BATCHES_MAX)]
