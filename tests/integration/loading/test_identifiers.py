"""Names of every kind become identifiers that real engines take, and change nothing but what they name."""

import hashlib
import random
import re
import sqlite3

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import shelf
from headwater.spec import names
from headwater.spec.names import column_name, quote_ident, schema_name, snake_case, table_name
from postgres_server import server

IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
ENGINES = ("", "embedded", *names._RESERVED_BY)

NAUGHTY = [
    *("", " ", "\0", "a\0b", "'", '"', "`", "\\", ";", "--", "/*", "$$", "%s", "?", "\u202e", "\ufeff", "\ud7ff", "🦆"),
    *("'; drop table t; --", '" ; drop schema public cascade; --', "null", "NULL", "None", "true", "nan", "0", "-1"),
    *("日本", "中国", "Ελλάδα", "Ö", "ß", "É", "é", "İ", "K", "a\u0301", "x" * 63, "x" * 64, "X" * 200, "é" * 100),
    *("1st", "2FA Enabled", "3", "_", "__", "_a", "a_", "A B", "a-b", "a.b", "aB", "AB", "Ab", "order", "user"),
    *("tracks", "users", "_overflow", "id", "event", "context", "context_ip", "rowid", "oid", "ctid", "xmin"),
    *("select", "filename", "pg_catalog", "information_schema", "main", "temp", "sqlite_master", "sqlite_x"),
    *("headwater", "dlt", "_dlt_loads"),
    *(word for words in names._RESERVED_BY.values() for word in sorted(words)),
    *sorted(names._RESERVED),
]


NAUGHTY_AT_FIRST = NAUGHTY[: NAUGHTY.index("_dlt_loads") + 1]


def edited(chance, name):
    """Return a name like another: one character changed, added or taken, or the case of all."""
    at = chance.randrange(len(name) + 1)
    new = chance.choice("aA1_ .-é日\0'\"")
    return chance.choice([name[:at] + new + name[at:], name[:at] + name[at + 1 :], name[:at] + new, name.swapcase()])


def merged(one, other):
    """Whether two names may become one: their words are the same, or what differs is in no word."""
    return snake_case(one) == snake_case(other) != ""


def pairs(count):
    """Return seeded pairs of different names, half of them alike."""
    chance = random.Random(20261123)
    for _ in range(count):
        one = chance.choice(NAUGHTY)
        other = edited(chance, one) if chance.random() < 0.7 else chance.choice(NAUGHTY)
        if one != other:
            yield one, other


def test_different_names_become_different_identifiers_or_are_merged_as_documented():
    for one, other in pairs(100_000):
        for ident in (table_name, column_name):
            a, b = ident(one), ident(other)
            assert a != b or merged(one, other), (one, other, a)
            assert IDENTIFIER.fullmatch(a)


@given(st.text(), st.text(), st.sampled_from(ENGINES))
def test_any_two_texts_stay_apart_unless_their_words_are_the_same(one, other, engine):
    for ident in (table_name, lambda name, engine: column_name(name, engine=engine)):
        assert one == other or merged(one, other) or ident(one, engine) != ident(other, engine)
        assert IDENTIFIER.fullmatch(ident(one, engine))


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6), st.sampled_from(ENGINES))
def test_paths_of_any_depth_become_columns(path, engine):
    assert IDENTIFIER.fullmatch(column_name(*path, engine=engine))
    assert IDENTIFIER.fullmatch(column_name("context", *path, engine=engine))


def test_no_name_of_before_has_changed():
    """Columns that are loaded already keep their names: one hash sees them all."""
    before = (*NAUGHTY_AT_FIRST, *sorted(names._RESERVED))
    seen = "\n".join(f"{table_name(name)} {column_name(name)} {column_name('a', name)}" for name in before)
    assert hashlib.sha256(seen.encode()).hexdigest()[:16] == "33d5a5582e069ad6"


def test_what_one_engine_reserves_is_left_alone_in_all_others():
    found = {engine: column_name("plan", engine=engine) for engine in ENGINES}
    assert {engine for engine, name in found.items() if name == "_plan"} == {"sql_server", "synapse"}
    assert set(found.values()) == {"plan", "_plan"}


@pytest.mark.parametrize(
    ("slug", "schema"),
    [("my-site", "my_site"), ("headwater", "_headwater"), ("headwater2", "headwater2"), ("_headwater", "_headwater")],
)
def test_a_sources_schema_is_never_that_of_our_views(slug, schema):
    assert schema_name(slug) == schema


@pytest.fixture
def duck():
    with duckdb.connect() as connection:
        catalog = "select schema_name, table_name, column_name from duckdb_columns() where not internal"
        yield connection.execute, lambda: set(connection.execute(catalog).fetchall())


@pytest.fixture
def postgres():
    with server().connect(server().database()) as connection:
        # Everything there is but indexes of long values, with which PostgreSQL keeps its own tables.
        catalog = """select n.nspname, c.relname, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
            join pg_namespace n on n.oid = c.relnamespace where a.attnum > 0 and n.nspname <> 'pg_toast'"""
        yield connection.execute, lambda: set(connection.execute(catalog).fetchall())


@pytest.fixture
def sqlite():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("attach ':memory:' as s")
    catalog = """select m.schema, m.name, c.name from pragma_table_list m, pragma_table_xinfo(m.name, m.schema) c
        where m.name not in ('sqlite_schema', 'sqlite_temp_schema')"""
    yield connection.execute, lambda: set(connection.execute(catalog).fetchall())
    connection.close()


# What people have to quote themselves. Embedded warehouses had these columns before their words were known; that
# SQLite's are avoided is promised to nobody.
NEED_QUOTES = {
    "duck": {"anti", "asof", "at", "by", "glob", "positional", "semi", "unpack"},
    "postgres": set(),
    "sqlite": {name for word in NAUGHTY for name in (table_name(word), column_name(word))},
}


@pytest.mark.parametrize("engine", ["duck", "postgres", "sqlite"])
def test_tables_and_columns_of_all_names_change_exactly_the_catalog(request, engine):
    execute, catalog = request.getfixturevalue(engine)
    named = {ident for name in NAUGHTY for ident in (table_name(name, engine), column_name(name, engine=engine))}
    named = sorted(name for name in named if engine != "sqlite" or not name.startswith("sqlite_"))
    if engine != "sqlite":
        execute("create schema s")
    before = catalog()
    for name in named:
        execute(f"create table s.{quote_ident(name)} ({quote_ident(name)} text)")
        execute(f"insert into s.{quote_ident(name)} ({quote_ident(name)}) values ('{name}')")
    execute("create table s.of_all (of_all text)")
    for name in named:
        execute(f"alter table s.of_all add column {quote_ident(name)} text")
    values = ", ".join(f"'{name}'" for name in named)
    execute(f"insert into s.of_all ({', '.join(map(quote_ident, named))}) values ({values})")
    expected = {("s", name, name) for name in named} | {("s", "of_all", name) for name in named}
    assert catalog() - before == expected | {("s", "of_all", "of_all")}
    assert before - catalog() == set()
    assert execute("select * from s.of_all").fetchone() == (None, *named)
    for name in set(named) - NEED_QUOTES[engine]:
        assert execute(f"select {name} from s.{name}").fetchone() == (name,)


def test_each_list_of_words_is_of_a_warehouse_on_the_shelf():
    assert names._RESERVED_BY.keys() <= set(shelf.names("headwater.warehouses"))
    assert "_partition" not in {column_name(name, engine="bigquery") for name in NAUGHTY}


def test_no_table_is_called_like_another_ones_twin():
    tables = {table_name(name, "bigquery") for name in (*NAUGHTY, "Product View", "Product", "product_view_", "View")}
    assert {"product", "product_view_", "view"} <= tables
    assert {f"{table}_view" for table in tables} & tables == set()
    assert table_name("Product View") == "product_view"
