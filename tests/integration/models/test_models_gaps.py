"""Whatever a warehouse lacks, each view has its described columns, with the same types as where nothing is missing."""

from functools import cache

import duckdb
import pytest
import yaml
from analysed import InDuckDB, fill, opened, publish
from email_worlds import EMAIL, TABLES, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.models import Models
from headwater.models.rendering import PACKAGE
from headwater.warehouses.contract import ColumnType, Table

MODELS = sorted(path.stem for path in PACKAGE.glob("models/*.sql"))
MAIL_ONLY = {Table("mail", "email_opened"): {"id": ColumnType.VARCHAR}}
MANY = {Table(f"{kind}_{number}", name): columns for number in range(2) for (kind, name), columns in TABLES.items()}


def described():
    found = yaml.safe_load((PACKAGE / "models" / "schema.yml").read_text())["models"]
    return {model["name"]: [column["name"] for column in model["columns"]] for model in found}


def columns_of(made):
    """Return the names and types of each view's columns, after reading all of its rows."""
    found = {}
    for model in MODELS:
        made.rows(f"select * from headwater.{model}")
        found[model] = made.rows(
            "select column_name, data_type from information_schema.columns "
            f"where table_schema = 'headwater' and table_name = '{model}' order by ordinal_position"
        )
    return found


@cache
def complete():
    made = InDuckDB()
    fill(made, TABLES, {})
    publish(made, TABLES, Models(), EMAIL)
    return columns_of(made)


def test_every_column_is_described():
    assert {model: [name for name, _ in columns] for model, columns in complete().items()} == described()


@pytest.mark.parametrize("tables", [MAIL_ONLY, MANY], ids=["one table of one column", "four sources of each kind"])
@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_little_and_much_are_read(dialect, tables, postgres_uri):
    email = tuple({table.schema for table in tables if table.schema.startswith("mail")})
    with opened(dialect, postgres_uri) as made:
        fill(made, tables, {})
        publish(made, tables, Models(), email)
        found = columns_of(made)
    assert {model: [name for name, _ in columns] for model, columns in found.items()} == described()


some = st.fixed_dictionaries(
    {},
    optional={
        table: st.sets(st.sampled_from(sorted(columns))).map(lambda names, all_=columns: {n: all_[n] for n in names})
        for table, columns in TABLES.items()
    },
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some)
def test_any_table_and_column_may_be_missing(chosen):
    tables = {table: {"id": ColumnType.VARCHAR, **columns} for table, columns in chosen.items()}
    tables[Table("mail", "email_opened")] = TABLES[Table("mail", "email_opened")]
    rows = {table: found for table, found in worlds(1, 5).items() if table in tables}
    made = InDuckDB()
    try:
        fill(made, tables, rows)
        publish(made, tables, Models(), EMAIL)
        assert columns_of(made) == complete()
    finally:
        made.close()


def test_a_views_file_is_read_under_any_name(tmp_path):
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'views.duckdb'}' as made (storage_version 'v1.0.0')")
        connection.execute("use made")
        made = InDuckDB.__new__(InDuckDB)
        made.connection = connection
        fill(made, TABLES, worlds(1, 5))
        publish(made, TABLES, Models(), EMAIL)
        wanted = made.rows("select * from headwater.campaigns order by all")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{tmp_path / 'views.duckdb'}' as another (read_only)")
        assert connection.execute("select * from another.headwater.campaigns order by all").fetchall() == wanted
