"""The lane through dlt among what users, accidents and other programs do; on PostgreSQL and DuckDB."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import psycopg
import pytest
from dlt.common.runtime import anon_tracker
from dlt.pipeline.pipeline import Pipeline

from headwater.errors import RefusedTableError, RetryableError, UnauthorizedError
from headwater.privacy.person import Person
from headwater.warehouses._lanes.wide import shipping
from headwater.warehouses.contract import SEQ, ColumnType, Load, Staged, Table
from postgres_server import server
from wide_engines import InDuckDB, InPostgres, Inserting, Server, file_of

TRACKS, ORDERS = Table("site", "tracks"), Table("site", "orders")
COLUMNS = {"id": ColumnType.VARCHAR, "user_id": ColumnType.VARCHAR, "n": ColumnType.INTEGER}
PASSWORD = "right"


@pytest.fixture
def staging():
    with duckdb.connect() as connection:
        yield connection


def staged(staging, first: int, count: int, table: Table = TRACKS, n: str = "i") -> Staged:
    relation = f"rows_{table.name}_{first}"
    staging.execute(
        f"create or replace temp table {relation} as "
        f"select 'm' || i as id, 'u' || i % 3 as user_id, ({n})::bigint as n, i as {SEQ} "
        f"from range({first}, {first + count}) r(i)"
    )
    return Staged(table, COLUMNS, relation, count)


def load(warehouse, staging, first: int, count: int, *parts: Staged) -> None:
    rows = parts or (staged(staging, first, count),)
    warehouse.add_columns({part.table: COLUMNS for part in rows})
    warehouse.load(staging, Load(first, first + count, tuple(rows)))


@pytest.fixture
def postgres(tmp_path):
    made = server().settings(server().database())
    warehouse = InPostgres(Server(made.host, made.port, made.database, made.user, PASSWORD), tmp_path / "home")
    warehouse.open()
    yield warehouse
    warehouse.close()


def ask(sql: str) -> list:
    with server().connect("warehouse") as connection:
        return connection.execute(sql).fetchall()


def do(sql: str) -> None:
    with server().connect("warehouse") as connection:
        connection.execute(sql)


def test_after_a_value_that_was_refused_the_next_batches_are_loaded(postgres, staging):
    load(postgres, staging, 0, 3)
    do("alter table site.tracks add check (n < 100)")
    bad = staged(staging, 3, 1, n="100 + i")
    for _ in range(2):
        with pytest.raises(RefusedTableError) as refusal:
            load(postgres, staging, 3, 1, bad)
        assert refusal.value.table == "site.tracks"
        assert "103" not in str(refusal.value)
    assert postgres.cursor() == 3
    load(postgres, staging, 3, 2, staged(staging, 4, 1), staged(staging, 3, 2, ORDERS))
    assert postgres.cursor() == 5
    assert ask("select id from site.tracks order by id") == [("m0",), ("m1",), ("m2",), ("m4",)]
    assert ask("select count(*) from site.orders") == [(2,)]


def test_a_table_that_was_dropped_is_made_again(postgres, staging):
    load(postgres, staging, 0, 2)
    do("drop table site.tracks")
    with pytest.raises(RetryableError):
        load(postgres, staging, 2, 1)
    load(postgres, staging, 2, 1)
    assert ask("select id from site.tracks") == [("m2",)]


def test_what_is_derived_is_made_again_when_it_is_gone(postgres, staging):
    identifies = staged(staging, 0, 4, Table("site", "identifies"))
    load(postgres, staging, 0, 4, identifies)
    postgres.close()
    do("drop table site.users")
    postgres.open()
    assert ask("select id, n from site.users order by id") == [("u0", 3), ("u1", 1), ("u2", 2)]


def test_a_lost_connection_is_made_anew(postgres, staging):
    load(postgres, staging, 0, 2)
    with server().connect() as connection:
        connection.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = 'warehouse'")
    with pytest.raises(RetryableError, match="PostgreSQL"):
        postgres.cursor()
    load(postgres, staging, 2, 2)
    assert ask("select count(*), count(distinct id) from site.tracks") == [(4, 4)]


def test_a_table_that_somebody_holds_is_waited_for_a_while(postgres, staging):
    load(postgres, staging, 0, 2)
    postgres.engine = replace(postgres.engine, session=("set lock_timeout = '100ms'",))
    postgres._shipping._engine = postgres.engine
    postgres._forget()
    with server().connect("warehouse") as holder, holder.transaction():
        holder.execute("lock table site.tracks in access exclusive mode")
        with pytest.raises(RetryableError, match="somebody else"):
            load(postgres, staging, 2, 1)
    load(postgres, staging, 2, 1)
    assert ask("select count(*) from site.tracks") == [(3,)]


def test_nobody_elses_table_is_written_to_or_emptied(postgres, staging):
    do("set role loader; create schema crm; create table crm.people (id text, user_id text)")
    do("set role loader; create schema site; create table site.orders (id text, user_id text)")
    for table in ("crm.people", "site.orders"):
        do(f"insert into {table} values ('1', 'u1')")
    postgres._forget()
    with pytest.raises(RefusedTableError, match="did not make") as refusal:
        load(postgres, staging, 0, 1, staged(staging, 0, 1, ORDERS))
    assert refusal.value.table == "site.orders"
    load(postgres, staging, 0, 3)
    assert set(postgres.columns()) == {TRACKS}
    assert postgres.remove(Person(frozenset({"u1"}))) == {TRACKS: 1}
    for table in ("crm.people", "site.orders"):
        assert ask(f"select * from {table}") == [("1", "u1")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"password": "wrong"}, "login"), ({"database": "nowhere"}, "no such database")],
)
def test_a_check_says_what_is_wrong(postgres, tmp_path, change, reason):
    given = {name: getattr(postgres.settings, name) for name in ("host", "port", "database", "user", "password")}
    with pytest.raises(UnauthorizedError, match=reason) as refusal:
        InPostgres(Server(**{**given, **change}), tmp_path / "other").check()
    assert "wrong" not in str(refusal.value)


def test_no_secret_is_written_and_nothing_stays_behind(postgres, staging, tmp_path, monkeypatch):
    """The work directory is looked into where dlt has written all of it: before it is removed."""
    seen = {}
    run = Pipeline.run

    def watched(pipeline, *args, **kwargs):
        try:
            return run(pipeline, *args, **kwargs)
        finally:
            for file in Path(pipeline.working_dir).rglob("*"):
                if file.is_file():
                    seen[file] = file.read_bytes()

    monkeypatch.setattr(Pipeline, "run", watched)
    load(postgres, staging, 0, 3)
    assert seen
    assert not [file for file, content in seen.items() if PASSWORD.encode() in content]
    assert not [each for each in (tmp_path / "home" / "work").iterdir() if each.name != "sql"]
    for table in ("cursors", "tables"):
        assert PASSWORD not in str(ask(f"select * from _headwater.{table}"))
    assert ask("select count(*) from information_schema.tables where table_schema = '_headwater_stage'") <= [(3,)]


@pytest.mark.usefixtures("postgres")
def test_nothing_is_sent_home():
    """dlt has run by now; where it would send to is set when its telemetry starts."""
    assert os.environ["RUNTIME__DLTHUB_TELEMETRY"] == "false"
    assert not getattr(anon_tracker, "_ANON_TRACKER_ENDPOINT", None)


def test_what_a_crash_left_behind_is_cleared_away(postgres, staging, tmp_path):
    load(postgres, staging, 0, 2)
    postgres.close()
    left = tmp_path / "home" / "work" / "b0" / "file"
    left.parent.mkdir(parents=True)
    left.write_text("rows")
    do("create table _headwater_stage.b0_0 (c0 text)")
    do("alter table _headwater_stage.b0_0 owner to loader")
    postgres.open()
    assert not left.exists()
    assert ask("select count(*) from information_schema.tables where table_schema = '_headwater_stage'") == [(0,)]
    assert postgres.cursor() == 2


def test_several_warehouses_are_loaded_by_several_threads(tmp_path):
    errors = []

    def work(number: int) -> None:
        home = tmp_path / f"w{number}"
        home.mkdir()
        warehouse = InDuckDB(file_of(home), home)
        try:
            warehouse.open()
            with duckdb.connect() as staging:
                for first in range(0, 6, 3):
                    load(warehouse, staging, first, 3)
            warehouse.close()
            with duckdb.connect(file_of(home).path) as connection:
                assert connection.execute("select count(distinct id), count(*) from site.tracks").fetchall() == [(6, 6)]
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert errors == []


def test_where_nothing_is_merged_a_repeated_batch_inserts_nothing_twice(tmp_path, staging):
    tmp_path.joinpath("home").mkdir()
    warehouse = Inserting(file_of(tmp_path / "home"), tmp_path / "home")
    warehouse.open()
    load(warehouse, staging, 0, 3)
    warehouse._do("update _headwater.cursors set next = 0")  # as if it had been killed before the cursor was written
    load(warehouse, staging, 0, 5)
    warehouse.close()
    with duckdb.connect(file_of(tmp_path / "home").path) as connection:
        assert connection.execute("select count(*), count(distinct id) from site.tracks").fetchall() == [(5, 5)]


def test_a_missing_package_is_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(Exception, match=r"pip install 'headwater\[") as refusal:
        InDuckDB(file_of(home), home).check()
    assert type(refusal.value).__name__ == "DeliveryError"


def test_a_server_that_is_not_there_is_retryable(tmp_path):
    with psycopg.connect(f"host={server().directory} port={server().port} user=postgres dbname=postgres"):
        pass
    with pytest.raises(RetryableError, match="nothing listens"):
        InPostgres(Server("127.0.0.1", 1, "warehouse", "loader", PASSWORD), tmp_path).check()
