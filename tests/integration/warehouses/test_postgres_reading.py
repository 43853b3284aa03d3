"""Queries on PostgreSQL: who may ask, what comes back in which form, and how large it may be."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import duckdb
import pytest

from headwater.errors import QueryError
from headwater.warehouses import postgres
from headwater.warehouses.contract import Format
from headwater.warehouses.postgres import reading as asking
from postgres_server import PASSWORD, READER, server


@pytest.fixture(scope="module")
def settings():
    made = server().settings(server().database(), reader_user=READER, reader_password=PASSWORD)
    with server().connect(made.database) as admin:
        admin.execute("create table public.secrets (text text)")
        admin.execute("create table public.things (id int, name text)")
        admin.execute("insert into things values (1, null), (2, ''), (3, '=1+1'), (4, E'a\"b\\nc,d'), (5, 'null')")
        admin.execute(f"grant select on things to {READER}")
        admin.execute("create sequence public.numbers")
        admin.execute("grant all on sequence numbers to public")
        admin.execute(
            "create function public.crosstab(text) returns int language sql stable as 'select 1';"
            "create function public.harm() returns int language sql volatile as 'select 1';"
            "create function public.good() returns int language sql stable as 'select 1'"
        )
    return made


@pytest.fixture
def ask(settings, tmp_path):
    def ask(sql, *, rows_max=100, timeout_s=20.0, **more):
        values = {name: getattr(settings, name) for name in settings.__slots__} | more
        return postgres.Reading(postgres.Settings(**values), tmp_path).run(sql, rows_max=rows_max, timeout_s=timeout_s)

    return ask


@pytest.fixture
def save(settings, tmp_path):
    def save(sql, file_format):
        target = tmp_path / f"saved.{file_format}"
        postgres.Reading(settings, tmp_path / "home").export(sql, target, file_format, timeout_s=20)
        return target

    return save


class TestWhoMayAsk:
    def test_a_superuser_is_sent_to_make_a_reader(self, ask):
        with server().connect() as admin:
            admin.execute(f"create role boss superuser login password '{PASSWORD}'")
        try:
            with pytest.raises(QueryError, match="Enter a reader"):
                ask("select 1", reader_user="boss")
            with pytest.raises(QueryError, match="Enter a reader"):
                ask("select 1", reader_user="", reader_password="", user="boss")
        finally:
            with server().connect() as admin:
                admin.execute("drop role boss")

    @pytest.mark.parametrize("role", ["pg_read_server_files", "pg_execute_server_program", "pg_read_all_data"])
    def test_nor_may_one_who_can_read_files_or_passwords(self, ask, role):
        with server().connect() as admin:
            admin.execute(f"grant {role} to {READER}")
            try:
                with pytest.raises(QueryError, match="Enter a reader"):
                    ask("select 1")
            finally:
                admin.execute(f"revoke {role} from {READER}")

    def test_the_loader_may_where_there_is_no_reader_and_still_changes_nothing(self, ask, settings):
        with server().connect(settings.database) as admin:
            admin.execute("create table public.own (i int); alter table own owner to loader")
        for sql in ("delete from own", "with x as (insert into own values (1) returning 1) select * from x"):
            with pytest.raises(QueryError):
                ask(sql, reader_user="")
        with pytest.raises(QueryError, match="nextval is not"):
            ask("select nextval('numbers')", reader_user="")
        assert ask("select count(*) from own", reader_user="").rows == ((0,),)

    def test_rights_are_the_readers(self, ask):
        with pytest.raises(QueryError, match="permission denied for table secrets"):
            ask("select * from secrets")

    def test_wrong_settings_are_said_without_secrets(self, ask):
        with pytest.raises(QueryError, match="present password") as refusal:
            ask("select 1", reader_password="wrong-one")
        assert "wrong-one" not in str(refusal.value)

    def test_functions_of_users_may_compute_and_not_act(self, ask):
        assert ask("select good()").rows == ((1,),)
        with pytest.raises(QueryError, match="harm is not"):
            ask("select harm()")

    def test_functions_that_run_sql_given_as_text_are_refused_whatever_they_call_themselves(self, ask):
        with pytest.raises(QueryError, match="crosstab is not"):
            ask("select crosstab('select pg_sleep(60)')")

    @pytest.mark.parametrize(
        "sql", ["select random() < 2, clock_timestamp() is not null", "select gen_random_uuid() is null"]
    )
    def test_harmless_functions_are_let_through(self, ask, sql):
        assert ask(sql).rows

    def test_nothing_is_left_in_the_database(self, ask, settings):
        ask("select * from things")
        with server().connect(settings.database) as admin:
            found = admin.execute("select 1 from pg_class where relname like 'headwater_%'").fetchall()
        assert found == []


class TestWhatComesBack:
    def test_values_keep_their_types(self, ask):
        result = ask(
            "select 1::int2, 2::int8, 1.50::numeric, 0.5::float8, true, 'x', date '2026-01-02', "
            "timestamptz '2026-01-02 03:04:05+01', timestamp '2026-01-02 03:04:05', interval '1 hour', null, "
            "uuid '00000000-0000-0000-0000-000000000001', array[1, 2], jsonb '{\"a\": [1]}', bytea '\\x00ff', "
            "int4range(1, 5), inet '10.0.0.1', array[int4range(1, 5)]"
        )
        assert result.rows == (
            (
                *(1, 2, Decimal("1.50"), 0.5, True, "x", date(2026, 1, 2)),
                *(datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5), timedelta(hours=1), None),  # noqa: DTZ001
                *(UUID(int=1), [1, 2], {"a": [1]}, b"\x00\xff", "[1, 5)", "10.0.0.1", ["[1, 5)"]),
            ),
        )
        assert result.types[:8] == (
            *("smallint", "bigint", "numeric", "double precision", "boolean", "text", "date"),
            "timestamp with time zone",
        )

    def test_columns_may_share_a_name_or_have_none(self, ask):
        result = ask("select 1 as a, 2 as a, 3")
        assert (result.columns, result.rows) == (("a", "a", "?column?"), ((1, 2, 3),))

    def test_the_order_is_that_of_the_question(self, ask):
        assert ask("select id from things order by name nulls first, id desc limit 3").rows == ((1,), (2,), (3,))

    def test_a_percent_sign_is_one(self, ask):
        assert ask("select '100%s', 7 % 4").rows == (("100%s", 3),)

    def test_a_mistake_is_told_in_the_words_of_postgresql(self, ask):
        with pytest.raises(QueryError, match='column "nothing" does not exist'):
            ask("select nothing from things")

    def test_what_python_cannot_hold_is_told(self, ask):
        with pytest.raises(QueryError):
            ask("select timestamptz 'infinity'")


class TestHowMuch:
    def test_a_row_that_is_too_large_is_refused_before_it_is_sent(self, ask):
        with pytest.raises(QueryError, match="more than 16 MiB"):
            ask(f"select repeat('x', {asking.ROW_BYTES_MAX + 1})")
        assert len(ask("select repeat('x', 1000000) from generate_series(1, 3)").rows) == 3

    def test_rows_that_a_filter_leaves_out_may_be_as_large_as_they_like(self, ask):
        sql = (
            f"select t from (select repeat('x', {asking.ROW_BYTES_MAX + 1}) as t union all select 'y') x where t = 'y'"
        )
        assert ask(sql).rows == (("y",),)

    def test_a_result_is_cut_where_it_is_too_large(self, ask, monkeypatch):
        monkeypatch.setattr(asking, "RESULT_BYTES_MAX", 10_000)
        result = ask("select repeat('x', 1000) from generate_series(1, 1000)", rows_max=1_000)
        assert result.truncated
        assert len(result.rows) == 11

    def test_what_is_saved_has_a_bound_too(self, save, tmp_path, monkeypatch):
        monkeypatch.setattr(asking, "EXPORT_BYTES_MAX", 10_000)
        with pytest.raises(QueryError, match="ask for less"):
            save("select repeat('x', 1000) from generate_series(1, 1000)", Format.CSV)
        assert list(tmp_path.glob("saved*")) == []


class TestSaving:
    def test_null_and_empty_stay_apart_and_no_cell_becomes_a_formula(self, save):
        found = save("select id, name from things order by id", Format.JSON)
        assert [row["name"] for row in json.loads(found.read_text())] == [None, "", "=1+1", 'a"b\nc,d', "null"]
        with save("select id, name from things order by id", Format.CSV).open(newline="") as file:
            assert [row[1] for row in csv.reader(file)][1:] == ["", "", "'=1+1", 'a"b\nc,d', "null"]

    def test_types_reach_parquet(self, save):
        file = save(
            "select 1::bigint as n, 0.5::float8 as f, true as ok, timestamptz '2026-01-02 03:04:05Z' as at, "
            "array[1, 2] as list, 1 as n",
            Format.PARQUET,
        )
        with duckdb.connect() as connection:
            described = connection.execute(f"describe from read_parquet('{file}')").fetchall()
            row = connection.execute(
                f"select n, f, ok, epoch_ms(\"at\"), list, n_1 from read_parquet('{file}')"
            ).fetchone()
        assert [(name, kind) for name, kind, *_ in described] == [
            ("n", "BIGINT"),
            ("f", "DOUBLE"),
            ("ok", "BOOLEAN"),
            ("at", "TIMESTAMP WITH TIME ZONE"),
            ("list", "VARCHAR"),
            ("n_1", "INTEGER"),
        ]
        assert (row[:3], row[4:]) == ((1, 0.5, True), ("{1,2}", 1))

    def test_an_empty_result_has_its_columns(self, save):
        assert save("select id, name from things where false", Format.CSV).read_text().strip() == "id,name"
