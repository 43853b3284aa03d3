"""A DuckDB file beside other programs: who holds it, what they changed, what a removal leaves in it."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime

import duckdb
import pytest

from headwater.errors import DeliveryError, QueryError, RefusedTableError, RetryableError
from headwater.privacy.person import Person
from headwater.warehouses._lanes.attached import reading, tables
from headwater.warehouses.contract import SEQ, ColumnType, Expired, Load, Staged, Table, View
from headwater.warehouses.duckdb import Reading, Settings, Warehouse

TRACKS, IDENTIFIES = Table("site", "tracks"), Table("site", "identifies")
COLUMNS = {
    "id": ColumnType.VARCHAR,
    "received_at": ColumnType.TIMESTAMP,
    "user_id": ColumnType.VARCHAR,
    "email": ColumnType.VARCHAR,
    "n": ColumnType.INTEGER,
}
HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'reading')
print('held', flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def warehouse(tmp_path):
    made = Warehouse(Settings(), tmp_path)
    made.open()
    yield made
    made.close()


@pytest.fixture
def staging():
    with duckdb.connect() as connection:
        yield connection


def load(warehouse, staging, first: int, next_: int, *, table: Table = TRACKS, n: str = "i", reload: str = "") -> None:
    staging.execute(
        f"create or replace temp table rows as select 'm' || i as id, timestamp '2026-11-23' + interval (i) second as "
        f"received_at, 'u' || i % 2 as user_id, 'e' || i || '@x.org' as email, {n} as n, i as {SEQ} "
        f"from range({first}, {next_}) r(i)"
    )
    warehouse.add_columns({table: COLUMNS})
    warehouse.load(staging, Load(first, next_, (Staged(table, COLUMNS, "rows", next_ - first),), reload))


def ask(file, sql: str) -> list[tuple]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("how", ["reading", "writing"])
def test_a_program_that_holds_the_file_is_named_and_nothing_is_lost(warehouse, staging, tmp_path, how):
    load(warehouse, staging, 0, 2)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "warehouse.duckdb"), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RetryableError, match=rf"process {holder.pid}") as told:
            load(warehouse, staging, 2, 4)
        assert str(tmp_path) not in str(told.value)
        holder.communicate("done\n")
    load(warehouse, staging, 2, 4)
    assert ask(tmp_path / "warehouse.duckdb", "select count(distinct id), count(*) from site.tracks") == [(4, 4)]


def test_a_file_that_lost_its_newest_commits_is_loaded_on_from_where_it_is(warehouse, staging, tmp_path):
    """As a lost write-ahead log or an older copy leaves it: rows and cursor are of one commit."""
    file = tmp_path / "warehouse.duckdb"
    load(warehouse, staging, 0, 2)
    older = file.read_bytes()
    load(warehouse, staging, 2, 4)
    wanted = ask(file, "select id, n from site.tracks order by id")
    warehouse.close()
    file.write_bytes(older)
    again = Warehouse(Settings(), tmp_path)
    again.open()
    try:
        assert again.cursor() == 2
        load(again, staging, 2, 4)
        assert (again.cursor(), ask(file, "select id, n from site.tracks order by id")) == (4, wanted)
    finally:
        again.close()


def test_a_question_waits_for_the_load_that_runs(warehouse, staging, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "WAIT_S", 30.0)
    load(warehouse, staging, 0, 2)
    staging.execute(f"attach '{tmp_path}/warehouse.duckdb' as held")
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(
            Reading(Settings(), tmp_path).run("select count(*) from site.tracks", rows_max=1, timeout_s=30).rows
        )
    )
    asking.start()
    asking.join(0.3)
    assert answers == []
    staging.execute("detach held")
    asking.join()
    assert answers == [((2,),)]


def test_a_question_gives_up_on_a_file_that_stays_held(warehouse, staging, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "WAIT_S", 0.1)
    load(warehouse, staging, 0, 2)
    staging.execute(f"attach '{tmp_path}/warehouse.duckdb' as held")
    with pytest.raises(QueryError, match="DuckDB file"):
        Reading(Settings(), tmp_path).run("select 1", rows_max=1, timeout_s=1)


def test_a_table_or_column_that_somebody_dropped_is_made_again(warehouse, staging, tmp_path):
    load(warehouse, staging, 0, 2)
    for statement in ("drop table site.tracks", "alter table site.tracks drop column n"):
        with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
            connection.execute(statement)
        first = warehouse.cursor()
        warehouse.close()
        warehouse.open()
        load(warehouse, staging, first, first + 1)
        assert ask(tmp_path / "warehouse.duckdb", f"select n from site.tracks where id = 'm{first}'") == [(first,)]


def test_a_column_that_was_dropped_since_it_was_looked_at_is_tried_again(warehouse, staging, tmp_path):
    load(warehouse, staging, 0, 2)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("alter table site.tracks drop column n")
    staging.execute(f"create or replace temp table rows as select 'm2' as id, 2::bigint as n, 2::bigint as {SEQ}")
    part = Staged(TRACKS, {"id": ColumnType.VARCHAR, "n": ColumnType.INTEGER}, "rows", 1)
    with pytest.raises(RetryableError, match=r"site\.tracks was changed"):
        warehouse.load(staging, Load(2, 3, (part,)))
    assert warehouse.cursor() == 2
    warehouse.add_columns({TRACKS: {"n": ColumnType.INTEGER}})
    warehouse.load(staging, Load(2, 3, (part,)))
    assert ask(tmp_path / "warehouse.duckdb", "select id, n from site.tracks order by id") == [
        ("m0", None),
        ("m1", None),
        ("m2", 2),
    ]


def test_a_type_that_somebody_changed_refuses_that_table_only(warehouse, staging, tmp_path):
    load(warehouse, staging, 0, 2)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("alter table site.tracks alter n type tinyint")
    with pytest.raises(RefusedTableError) as refusal:
        load(warehouse, staging, 2, 4, n="1000 + i")
    assert refusal.value.table == "site.tracks"
    load(warehouse, staging, 2, 4, table=Table("site", "orders"))
    assert warehouse.cursor() == 4


def test_removed_rows_leave_no_byte_in_the_file_and_what_users_made_stays(warehouse, staging, tmp_path):
    file = tmp_path / "warehouse.duckdb"
    load(warehouse, staging, 0, 8)
    assert b"e5@x.org" in file.read_bytes()
    load(warehouse, staging, 8, 4_000)
    load(warehouse, staging, 4_000, 4_010, table=IDENTIFIES)
    warehouse.publish([View("headwater", "total", "select count(*) as events from site.tracks")])
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table main.mine as select 42 as answer; create macro twice(x) as 2 * x")
    wanted = Person(emails=frozenset({"e5@x.org", "e4003@x.org"}))
    assert dict(warehouse.remove(wanted)) == {TRACKS: 1, IDENTIFIES: 1}
    assert b"e5@x.org" not in file.read_bytes()
    assert b"e4003@x.org" not in file.read_bytes()
    assert ask(file, "select answer, twice(events) from main.mine, headwater.total") == [(42, 7_998)]
    assert list(tmp_path.iterdir()) == [file]
    before = file.stat().st_size
    warehouse.remove(Expired(datetime(2026, 11, 24, tzinfo=UTC)))
    assert file.stat().st_size < before


def test_a_table_with_very_many_rows_keeps_its_types(warehouse, staging, monkeypatch):
    load(warehouse, staging, 0, 3)
    monkeypatch.setattr(tables, "WIDEN_ROWS_MAX", 2)
    warehouse.widen({TRACKS: {"n": ColumnType.VARCHAR}})
    assert warehouse.columns()[TRACKS]["n"] is ColumnType.INTEGER


def test_a_context_field_that_double_cannot_hold_somewhere_is_text_everywhere(warehouse, staging):
    orders = Table("site", "orders")
    for table, value in ((TRACKS, 2**53 + 1), (orders, 1)):
        columns = {"id": ColumnType.VARCHAR, "context_n": ColumnType.INTEGER}
        warehouse.add_columns({table: columns})
        staging.execute(f"create or replace temp table rows as select 'm' as id, {value} as context_n, 0 as {SEQ}")
        warehouse.load(staging, Load(0, 1, (Staged(table, columns, "rows", 1),), "r"))
    warehouse.widen({table: {"context_n": ColumnType.FLOAT} for table in (TRACKS, orders)})
    assert {columns["context_n"] for columns in warehouse.columns().values()} == {ColumnType.VARCHAR}


def test_a_view_in_the_way_of_a_users_table_is_named(warehouse, staging, tmp_path):
    load(warehouse, staging, 0, 1)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create schema headwater; create table headwater.total (x int)")
    with pytest.raises(DeliveryError, match=r"headwater\.total"):
        warehouse.publish([View("headwater", "total", "select 1 as x")])


def test_identifies_shows_its_columns_and_nothing_of_ours(warehouse, staging, tmp_path):
    load(warehouse, staging, 0, 2, table=IDENTIFIES)
    shown = ask(tmp_path / "warehouse.duckdb", "select column_name from (describe site.identifies)")
    assert [name for (name,) in shown] == list(COLUMNS)
    found = [(each.schema, each.name) for each in Reading(Settings(), tmp_path).catalog()]
    assert found == [("site", "identifies"), ("site", "users")]


@pytest.mark.parametrize(
    "file",
    ["events.duckdb", "/srv/../etc/x.duckdb", "/dev/sda", ":memory:", "s3://bucket/x.duckdb", "md:events", "/etc/x"],
)
def test_a_path_that_is_no_database_file_is_refused(tmp_path, file):
    with pytest.raises(DeliveryError, match="absolute path"):
        Warehouse(Settings(file), tmp_path).check()


def test_a_link_and_a_directory_are_refused(tmp_path):
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "elsewhere.duckdb")
    (tmp_path / "directory.duckdb").mkdir()
    for name in ("link", "directory"):
        with pytest.raises(DeliveryError, match="regular file"):
            Warehouse(Settings(str(tmp_path / f"{name}.duckdb")), tmp_path).open()


def test_another_programs_file_is_left_alone(tmp_path):
    file = tmp_path / "notes.duckdb"
    file.write_bytes(b"not a database" * 400)
    with pytest.raises(DeliveryError, match="damaged"):
        Warehouse(Settings(str(file)), tmp_path).open()
    assert file.read_bytes() == b"not a database" * 400


def test_a_check_makes_nothing(tmp_path):
    Warehouse(Settings(str(tmp_path / "new.duckdb")), tmp_path / "home").check()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RetryableError, match="does not exist"):
        Warehouse(Settings(str(tmp_path / "nowhere" / "new.duckdb")), tmp_path).check()
