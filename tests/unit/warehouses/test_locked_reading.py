from __future__ import annotations

import csv
import json
import threading
import time

import duckdb
import pytest

from headwater.errors import QueryError
from headwater.warehouses._lanes import locked
from headwater.warehouses._lanes.locked import LockedReading
from headwater.warehouses.contract import SEQ, CatalogTable, ColumnType, Format, Load, Staged, Table
from headwater.warehouses.embedded import Reading, Settings, Warehouse


def run(directory, sql, *, rows_max=10_000, timeout_s=30.0):
    return Reading(Settings(str(directory)), directory).run(sql, rows_max=rows_max, timeout_s=timeout_s)


def export(directory, sql, target, file_format):
    return Reading(Settings(str(directory)), directory).export(sql, target, file_format, timeout_s=30)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    root = tmp_path_factory.mktemp("warehouse")
    warehouse = Warehouse(Settings(str(root)), root)
    warehouse.open()
    table, columns = Table("activecampaign", "tracks"), {"id": ColumnType.VARCHAR, "n": ColumnType.INTEGER}
    with duckdb.connect() as staging:
        staging.execute(
            f"create table rows as select 'm' || i as id, i::bigint as n, i::bigint as {SEQ} from range(100) r(i)"
        )
        warehouse.add_columns({table: columns})
        warehouse.load(staging, Load(0, 100, (Staged(table, columns, "rows", 100),)))
    warehouse.close()
    return root


def test_a_select_gives_columns_types_and_rows(directory):
    result = run(directory, "select n, id from activecampaign.tracks where n < 2 order by n")
    assert (result.columns, result.types, result.rows, result.truncated) == (
        ("n", "id"),
        ("BIGINT", "VARCHAR"),
        ((0, "m0"), (1, "m1")),
        False,
    )


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from activecampaign.tracks -- all of them",
        "with t as (from activecampaign.tracks) select count(*) from t;",
        "select count(*) as n from activecampaign.tracks /* ) */",
    ],
)
def test_comments_and_semicolons_do_no_harm(directory, sql):
    assert run(directory, sql).rows == ((100,),)


def test_rows_are_cut_at_the_cap_and_that_is_said(directory):
    result = run(directory, "from activecampaign.tracks", rows_max=10)
    assert (len(result.rows), result.truncated) == (10, True)


def test_a_billion_rows_are_cut_without_being_made(directory):
    assert run(directory, "from range(10_000_000_000)", rows_max=5).truncated


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '/tmp/x.csv'",
        "copy (select 1) to '{root}/x.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "load json",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from read_blob('{root}/../secret')",
        "select * from read_parquet('{root}/../*.parquet')",
        "select * from glob('/etc/*')",
        "select * from sniff_csv('/etc/passwd')",
        "from '/etc/passwd'",
        "from 'https://example.com/x.csv'",
        "from query('copy (select 1) to ''{root}/x''')",
        "select 1; select 2",
        "select 1; drop view activecampaign.tracks",
        "pragma database_list",
        "set threads = 1",
        "set enable_external_access = true",
        "reset lock_configuration",
        "explain analyze select 1",
        "create table x (i int)",
        "insert into activecampaign.tracks values ('x', 1)",
        "update activecampaign.tracks set n = 1",
        "delete from activecampaign.tracks",
        "drop view activecampaign.tracks",
        "with x as (insert into activecampaign.tracks values ('x', 1) returning *) from x",
        "export database '{root}/out'",
        "from enable_logging('QueryLog', storage := 'file', storage_config := {{'path': '{root}/log'}})",
        "call enable_logging()",
        "checkpoint",
        "use memory",
        "begin",
        "prepare p as select 1",
        "from duckdb_secrets()",
        "from pg_read_file('/etc/passwd')",
        "select getenv('HOME')",
        "from directory",
        "",
        "-- nothing",
        "selec",
        # what shows settings, where the token of MotherDuck stands, or where databases and their files lie
        "from duckdb_settings()",
        "select current_setting('TimeZone')",
        "select system.main.current_setting('TimeZone')",
        "select 'TimeZone'.Current_Setting()",
        "select n from activecampaign.tracks order by \"current_setting\"('TimeZone')",
        "select list_transform([1], lambda x: current_setting('TimeZone'))",
        "from query('select current_setting(''TimeZone'')')",
        "from query_table('activecampaign.tracks')",
        "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
        "select value from pg_settings",
        "from pg_catalog.pg_settings",
        "from duckdb_databases()",
        "from duckdb_databases",
        "from system.main.duckdb_databases",
        "from pragma_database_list",
        "from duckdb_views()",
        "from information_schema.views",
        "select sql from sqlite_master",
        "from __ducklake_metadata_headwater_warehouse.ducklake_table",
        "from postgres_scan('host=127.0.0.1', 'public', 'x')",
        "from checkpoint('headwater_warehouse')",
        "from truncate_duckdb_logs()",
        "select write_log('x')",
    ],
)
def test_every_way_out_is_refused(directory, sql):
    before = sorted(directory.rglob("*"))
    with pytest.raises(QueryError) as refused:
        run(directory, sql.format(root=directory), timeout_s=5)
    assert str(directory) not in str(refused.value)
    assert "/etc/passwd" not in str(refused.value)
    assert sorted(directory.rglob("*")) == before


def test_a_query_that_takes_too_long_is_stopped(directory):
    with pytest.raises(QueryError, match=r"longer than 0\.3 s"):
        run(directory, "select count(*) from range(100000000000) a, range(1000000) b", timeout_s=0.3)


def test_a_query_that_needs_too_much_memory_is_stopped(directory):
    with pytest.raises(QueryError, match="memory"):
        run(directory, "select list(i || 'some text') from range(100000000) r(i)")


def test_a_warehouse_without_tables_says_so(tmp_path):
    with pytest.raises(QueryError, match="no tables yet"):
        run(tmp_path, "select 1")


def test_results_are_exported_whole(directory, tmp_path):
    sql = "select id, n from activecampaign.tracks order by n; -- all"
    for file_format in Format:
        assert export(directory, sql, tmp_path / f"out.{file_format}", file_format) == 100
    assert list(csv.reader((tmp_path / "out.csv").open()))[:2] == [["id", "n"], ["m0", "0"]]
    assert json.loads((tmp_path / "out.json").read_text())[99] == {"id": "m99", "n": 99}
    with duckdb.connect() as connection:
        parquet = connection.execute("select count(*), max(n) from read_parquet($1)", [str(tmp_path / "out.parquet")])
        assert parquet.fetchall() == [(100, 99)]


def test_an_export_is_as_locked_as_a_query(directory, tmp_path):
    with pytest.raises(QueryError):
        export(directory, "from read_text('/etc/passwd')", tmp_path / "out", Format.CSV)
    assert not (tmp_path / "out").exists()


def test_the_catalog_names_tables_and_columns(directory):
    assert Reading(Settings(str(directory)), directory).catalog() == [
        CatalogTable("activecampaign", "tracks", (("id", "VARCHAR"), ("n", "BIGINT")))
    ]


def test_a_spreadsheet_runs_nothing_of_an_exported_text(directory, tmp_path):
    sql = """select '=1+1' as a, '-2' as b, '@x' as c, 'fine' as d, -3 as n, '=HYPERLINK("x")' as "=e"; """
    export(directory, sql, tmp_path / "out.csv", Format.CSV)
    written = list(csv.reader((tmp_path / "out.csv").open()))
    assert written[0] == ["a", "b", "c", "d", "n", "'=e"]
    assert written[1] == [
        "'=1+1",
        "'-2",
        "'@x",
        "fine",
        "-3",
        '\'=HYPERLINK("x")',
    ]


def test_a_query_is_cancelled_by_another_thread(directory):
    reading = Reading(Settings(str(directory)), directory)
    asked = threading.Thread(target=lambda: (time.sleep(0.3), reading.cancel()))
    asked.start()
    with pytest.raises(QueryError, match="cancelled"):
        reading.run("select count(*) from range(100000000000) a, range(1000000) b", rows_max=1, timeout_s=60)
    asked.join()


@pytest.mark.parametrize(
    "sql",
    [
        "from range(3)",
        "describe activecampaign.tracks",
        "select table_name from information_schema.tables",
        (
            "select n, lag(n) over (order by n), id.upper(), [x + 1 for x in [n]], n::text ilike '%1%' "
            "from activecampaign.tracks qualify row_number() over (order by n) < 3"
        ),
        "select key, value from activecampaign.tracks, json_each('{\"a\": 1}')",
        "from (pivot activecampaign.tracks on n in (1, 2) using count(*))",
        "select views from (select 1 as views) as views",
    ],
)
def test_what_only_computes_is_answered(directory, sql):
    assert run(directory, sql).rows


def test_a_function_that_the_warehouse_brings_is_refused():
    def attach(connection):
        connection.execute("create macro brought() as 1")

    with pytest.raises(QueryError, match="brought is not allowed"):
        LockedReading(attach).run("select brought()", rows_max=1, timeout_s=5)


def test_rows_of_long_lists_are_cut_too(directory, monkeypatch):
    monkeypatch.setattr(locked, "RESULT_BYTES_MAX", 100_000)
    result = run(directory, "select range(1000) as n, {'a': range(1000)} as s from range(1000)")
    assert result.truncated
    assert len(result.rows) == 50


def test_what_is_saved_has_a_bound(directory, tmp_path, monkeypatch):
    monkeypatch.setattr(locked, "EXPORT_BYTES_MAX", 1024 * 1024)
    for file_format in (Format.CSV, Format.JSON):
        with pytest.raises(QueryError, match="ask for less"):
            export(directory, "select i, random() from range(10_000_000_000) r(i)", tmp_path / "out", file_format)
    assert list(tmp_path.iterdir()) == []
