"""What every warehouse promises, run over everything on the shelf that works on this machine."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from headwater import shelf
from headwater.errors import RetryableError
from headwater.warehouses.contract import SEQ, ColumnType, Load, Staged, Table
from headwater.warehouses.embedded import Settings
from headwater.warehouses.embedded import Warehouse as Embedded

TRACKS = Table("site", "tracks")
COLUMNS = {
    "id": ColumnType.VARCHAR,
    "timestamp": ColumnType.TIMESTAMP,
    "count": ColumnType.INTEGER,
    "price": ColumnType.FLOAT,
    "ok": ColumnType.BOOLEAN,
}


class EmbeddedUnderTest:
    """Builds the embedded warehouse and looks into it the way its users do."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def make(self) -> Embedded:
        return Embedded(Settings(), self._home)

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self._home / "views.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


BUILDERS = {"embedded": EmbeddedUnderTest}


@pytest.fixture(params=BUILDERS)
def under_test(request, tmp_path):
    return BUILDERS[request.param](tmp_path / "home")


@pytest.fixture
def warehouse(under_test):
    made = under_test.make()
    made.open()
    yield made
    made.close()


@pytest.fixture
def staging():
    with duckdb.connect() as connection:
        yield connection


def staged(staging, first: int, count: int, *, table: Table = TRACKS, columns=COLUMNS) -> Staged:
    relation = f"rows_{table.schema}_{table.name}_{first}"
    values = {
        "id": f"'m' || ({first} + i)",
        "timestamp": "timestamp '2026-11-23 12:00:00.123'",
        "count": "i",
        "price": "i / 4",
        "ok": "i % 2 = 0",
        "user_id": "'u' || i % 2",
        "email": f"if(i < 2, 'e' || ({first} + i), null)",
    }
    listed = ", ".join(f'({values[name]})::{kind.value} as "{name}"' for name, kind in columns.items())
    staging.execute(
        f"create or replace table {relation} as select {listed}, {first} + i as {SEQ} from range({count}) r(i)"
    )
    return Staged(table, columns, relation, count)


def load(warehouse, staging, first: int, count: int, **more) -> None:
    part = staged(staging, first, count, **more)
    warehouse.add_columns({part.table: part.columns})
    warehouse.load(staging, Load(first, first + count, (part,)))


def test_everything_on_the_shelf_is_tested_here():
    assert set(BUILDERS) == set(shelf.names("headwater.warehouses"))


def test_an_empty_warehouse_stands_at_the_start(warehouse):
    assert (warehouse.cursor(), dict(warehouse.columns())) == (0, {})


def test_a_batch_brings_its_rows_with_their_types_and_the_cursor(warehouse, staging, under_test):
    load(warehouse, staging, 0, 3)
    assert warehouse.cursor() == 3
    assert under_test.ask('select id, "timestamp"::varchar, count, price, ok from site.tracks order by id') == [
        ("m0", "2026-11-23 12:00:00.123", 0, 0.0, True),
        ("m1", "2026-11-23 12:00:00.123", 1, 0.25, False),
        ("m2", "2026-11-23 12:00:00.123", 2, 0.5, True),
    ]


def test_the_same_batch_twice_loads_once(warehouse, staging, under_test):
    load(warehouse, staging, 0, 3)
    load(warehouse, staging, 0, 3)
    assert under_test.ask("select count(*), count(distinct id) from site.tracks") == [(3, 3)]


def test_all_of_it_is_there_for_the_next_process(warehouse, staging, under_test):
    load(warehouse, staging, 0, 3)
    warehouse.close()
    again = under_test.make()
    again.open()
    assert (again.cursor(), dict(again.columns())) == (3, {TRACKS: COLUMNS})
    load(again, staging, 3, 2)
    again.close()
    assert under_test.ask("select count(distinct id) from site.tracks") == [(5,)]


def test_a_new_column_is_null_in_older_rows(warehouse, staging, under_test):
    load(warehouse, staging, 0, 2, columns={"id": ColumnType.VARCHAR})
    load(warehouse, staging, 2, 1, columns={"id": ColumnType.VARCHAR, "count": ColumnType.INTEGER})
    load(warehouse, staging, 3, 1, columns={"id": ColumnType.VARCHAR})
    found = under_test.ask("select id, count from site.tracks order by id")
    assert found == [("m0", None), ("m1", None), ("m2", 0), ("m3", None)]


def test_columns_keep_their_order_and_their_type(warehouse, staging):
    load(warehouse, staging, 0, 1, columns={"id": ColumnType.VARCHAR, "price": ColumnType.FLOAT})
    warehouse.add_columns({TRACKS: {"count": ColumnType.INTEGER, "price": ColumnType.VARCHAR}})
    assert list(warehouse.columns()[TRACKS].items()) == [
        ("id", ColumnType.VARCHAR),
        ("price", ColumnType.FLOAT),
        ("count", ColumnType.INTEGER),
    ]


def test_users_are_the_latest_known_value_of_each_trait(warehouse, staging, under_test):
    columns = dict.fromkeys(("id", "user_id", "email"), ColumnType.VARCHAR)
    for first in (0, 4):
        load(warehouse, staging, first, 4, table=Table("site", "identifies"), columns=columns)
    assert under_test.ask("select id, email from site.users order by id") == [("u0", "e4"), ("u1", "e5")]


@pytest.mark.usefixtures("warehouse")
def test_a_second_loader_is_refused(under_test):
    second = under_test.make()
    with pytest.raises(RetryableError, match="Another process"):
        second.open()


def test_a_name_full_of_sql_is_only_a_name(warehouse, staging, under_test):
    column = 'x"; drop table site.tracks; --'
    warehouse.add_columns({TRACKS: {"id": ColumnType.VARCHAR, column: ColumnType.VARCHAR}})
    load(warehouse, staging, 0, 1, columns={"id": ColumnType.VARCHAR})
    assert under_test.ask("select count(*) from site.tracks") == [(1,)]


def test_tidying_up_changes_no_answer(warehouse, staging, under_test):
    for first in range(0, 200, 2):
        load(warehouse, staging, first, 2)
        warehouse.tidy()
    assert under_test.ask("select count(*), count(distinct id), max(count) from site.tracks") == [(200, 200, 1)]
    assert warehouse.cursor() == 200
