"""The engines of the wide lane that cannot be started here: their settings, their types, their statements."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import DeliveryError
from headwater.warehouses import bigquery, clickhouse, databricks, redshift, snowflake, sql_server, synapse
from headwater.warehouses._lanes.wide import statements
from headwater.warehouses._lanes.wide.engine import Commit
from headwater.warehouses._lanes.wide.removing import removals, spelled, text
from headwater.warehouses._lanes.wide.statements import Shipped, latest_columns
from headwater.warehouses.contract import LATEST, ColumnType, Expired, Table

KEY = json.dumps({"project_id": "p", "private_key": "PEM", "client_email": "a@p.iam", "token_uri": "https://t"})
SETTINGS = {
    bigquery: bigquery.Settings(KEY, "EU"),
    clickhouse: clickhouse.Settings("h", "u", "secret"),
    databricks: databricks.Settings("h", "/sql/1", "main", client_id="c", client_secret="secret"),
    redshift: redshift.Settings("h", "db", "u", "secret"),
    snowflake: snowflake.Settings("a-1", "u", "secret", "db", "wh", role="LOADER", reader_role="READER"),
    sql_server: sql_server.Settings("h", "db", "u", "secret"),
    synapse: synapse.Settings("h", "db", "u", "secret"),
}
ENGINES = {module: module.Warehouse(made, Path("nowhere")).engine for module, made in SETTINGS.items()}
each_engine = pytest.mark.parametrize("module", ENGINES, ids=lambda module: module.__name__.rpartition(".")[2])

ORIGIN = Table("site", "identifies")
COLUMNS = dict.fromkeys(("id", "user_id", "plan`\"']", "_overflow"), ColumnType.VARCHAR) | {
    "received_at": ColumnType.TIMESTAMP,
    "count": ColumnType.INTEGER,
    "price": ColumnType.FLOAT,
    "ok": ColumnType.BOOLEAN,
}
SLOTS = {name: f"c{number}" for number, name in enumerate(COLUMNS)}
AT = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - as staging has it


def said(engine) -> list[str]:
    """Return one of every statement that the lane makes."""
    users = latest_columns(LATEST[0], COLUMNS)
    rows = Shipped(ORIGIN, "stage", SLOTS, (AT, AT))
    newest = Shipped(Table("site", "users"), "stage", {name: f"c{number}" for number, name in enumerate(users)})
    made = [engine.columns, *statements.create(engine, ORIGIN, COLUMNS), *statements.add(engine, ORIGIN, COLUMNS)]
    made += statements.create(engine, Table("site", "users"), users, of_events=False)
    for replacing in (False, True):
        made += statements.merge(engine, rows, COLUMNS, replacing=replacing)
    if engine.latest_value:
        made.append(statements.latest_view(engine, LATEST[0], ORIGIN, users))
    else:
        made += statements.update_latest(engine, newest)
        made += statements.rebuild_latest(engine, LATEST[0], ORIGIN, users)
    made += statements.move_cursor(engine, 7, "ab")
    return made + ([statements.twin_of(engine, ORIGIN)] if engine.twin else [])


@each_engine
def test_every_statement_is_one_statement_of_its_dialect(module):
    engine = ENGINES[module]
    for statement in said(engine):
        assert len(sqlglot.parse(statement, read=engine.dialect)) == 1, statement


@each_engine
def test_a_type_comes_back_as_the_type_it_was(module):
    engine = ENGINES[module]
    stored = {  # what their catalogs call the types that they store under another name
        "snowflake": {"bigint": "NUMBER", "double": "FLOAT", "varchar": "TEXT"},
        "redshift": {"timestamp": "timestamp without time zone", "varchar(65535)": "character varying"},
    }.get(engine.dialect, {})
    for kind, name in engine.types.items():
        assert engine.kind_of(stored.get(name, name)) is kind
    assert engine.kind_of("geography") is ColumnType.VARCHAR


@each_engine
def test_names_survive_their_quotes(module):
    engine = ENGINES[module]
    for name in ("a`b", 'a"b', "a]b", "a\\b", "order", "naïve"):
        (statement,) = sqlglot.parse(f"select {engine.quote(name)} from t", read=engine.dialect)
        assert [each.name for each in statement.find_all(sqlglot.exp.Column)] == [name]
    with pytest.raises(ValueError, match="NUL"):
        engine.quote("a\0b")


@each_engine
@settings(deadline=None, max_examples=60)  # the first example imports sqlglot
@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_a_text_stays_a_text_however_it_is_spelled(module, value):
    engine = ENGINES[module]
    for sql in (f"select {text(engine, value)}", f"select {spelled(engine, text_in_duckdb(value))}"):
        (statement,) = sqlglot.parse(sql, read=engine.dialect)
        (found,) = statement.expressions
        assert found.this == value


def text_in_duckdb(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@each_engine
def test_old_rows_are_found_by_the_type_that_their_time_has(module):
    engine = ENGINES[module]
    (where,) = removals(engine, Expired(datetime(2026, 1, 2, tzinfo=UTC)), "t", COLUMNS, ask=None)
    assert where == f"{engine.named('received_at')} < cast('2026-01-02 00:00:00.000000' as {engine.types['timestamp']})"
    assert list(removals(engine, Expired(AT), "t", {"id": ColumnType.VARCHAR}, ask=None)) == []


class Destinations:
    """Stands where dlt's destinations stand, and notes down what it is given."""

    def __getattr__(self, name):
        return lambda credentials, **more: SimpleNamespace(kind=name, credentials=credentials, more=more)


DLT = SimpleNamespace(destinations=Destinations())


@each_engine
def test_settings_reach_dlt_as_its_credentials(module):
    made = module.Warehouse(SETTINGS[module], Path("nowhere")).destination(DLT)
    expected = {
        bigquery: ("bigquery", {"project_id": "p", "client_email": "a@p.iam"}, {"location": "EU"}),
        clickhouse: ("clickhouse", {"host": "h", "port": 9440, "secure": 1, "password": "secret"}, {}),
        databricks: ("databricks", {"client_secret": "secret", "access_token": None, "catalog": "main"}, {}),
        redshift: ("redshift", {"port": 5439, "query": {"sslmode": "require"}, "username": "u"}, {}),
        snowflake: ("snowflake", {"host": "a-1", "private_key": "secret", "role": "LOADER"}, {}),
        sql_server: ("mssql", {"query": {"encrypt": "yes", "trustservercertificate": "no"}}, {}),
        synapse: ("synapse", {"database": "db", "port": 1433}, {}),
    }
    kind, credentials, more = expected[module]
    assert made.kind == kind
    assert {name: made.credentials[name] for name in credentials} == credentials
    assert {name: made.more[name] for name in more} == more


@each_engine
def test_a_form_says_what_each_setting_is_and_hides_what_is_secret(module):
    for field in fields(module.Settings):
        assert field.metadata["label"]
        assert field.metadata["description"].endswith(".")
        is_secret = any(word in field.name for word in ("password", "secret", "token", "key", "credentials"))
        assert field.metadata["secret"] == is_secret == (not field.repr), field.name
    assert "secret" not in repr(SETTINGS[module]).replace("client_secret", "")
    assert module.CARD.extra == ENGINES[module].extra


def test_questions_are_asked_by_the_one_who_may_only_read():
    asked = snowflake.Reading(SETTINGS[snowflake], Path("nowhere")).destination(DLT)
    assert asked.credentials["role"] == "READER"
    reader = redshift.Settings("h", "db", "u", "secret", reader_user="r", reader_password="s")
    credentials = redshift.Reading(reader, Path("nowhere")).destination(DLT).credentials
    assert (credentials["username"], credentials["password"]) == ("r", "s")


@pytest.mark.parametrize("key", ["", "{", "[]", "{}", '{"project_id": "p"}'])
def test_an_incomplete_service_account_key_is_told(key):
    with pytest.raises(DeliveryError, match="JSON file"):
        bigquery.Warehouse(bigquery.Settings(key), Path("nowhere")).destination(DLT)


def test_no_name_of_a_location_is_a_statement():
    with pytest.raises(DeliveryError, match="location"):
        bigquery.Warehouse(bigquery.Settings(KEY, "EU`; drop"), Path("nowhere"))


def test_databricks_looks_for_no_login_of_this_machine():
    with pytest.raises(DeliveryError, match="access token"):
        databricks.Warehouse(databricks.Settings("h", "/sql/1", "main"), Path("nowhere")).destination(DLT)


def test_names_in_snowflake_are_found_unquoted():
    assert ENGINES[snowflake].named("site", "tracks") == '"SITE"."TRACKS"'
    assert ENGINES[snowflake].unfold("SITE") == "site"


def test_redshift_sorts_by_time_and_distributes_by_id():
    (made,) = statements.create(ENGINES[redshift], ORIGIN, COLUMNS)
    assert made.endswith('diststyle key distkey("id") sortkey("received_at")')


def test_the_twin_in_bigquery_shows_the_newest_row_of_each_id_of_sixty_days():
    twin = statements.twin_of(ENGINES[bigquery], Table("site", "tracks"))
    made = sqlglot.transpile(twin, read="bigquery", write="duckdb")[0]
    with duckdb.connect() as connection:
        connection.execute("create schema site")
        connection.execute(
            "create table site.tracks as select * from (values "
            "('a', 1, now() - interval 1 day, now() - interval 2 hour), ('a', 2, now() - interval 1 day, now()), "
            "('b', 3, now() - interval 59 day, now()), ('c', 4, now() - interval 61 day, now())"
            ") t(id, n, received_at, uuid_ts)"
        )
        connection.execute(made)
        shown = connection.execute("select id, n, loaded_at = uuid_ts from site.tracks_view order by id").fetchall()
    assert shown == [("a", 2, True), ("b", 3, True)]


def test_who_commits_how():
    ways = {module.__name__.rpartition(".")[2]: engine.commit for module, engine in ENGINES.items()}
    assert {name for name, way in ways.items() if way is Commit.STATEMENT} == {"bigquery", "databricks"}
    assert {name for name, way in ways.items() if way is Commit.INSERT} == {"clickhouse"}


def test_a_key_of_bigquery_says_not_where_tokens_are_asked_for():
    made = {}
    dlt = SimpleNamespace(destinations=SimpleNamespace(bigquery=lambda key, **_: made.update(key)))
    bigquery.Warehouse(SETTINGS[bigquery], Path("nowhere")).destination(dlt)
    assert made == {"project_id": "p", "private_key": "PEM", "client_email": "a@p.iam"}
