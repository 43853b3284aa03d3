"""A database with a world's tables and Headwater's views over them, in DuckDB or PostgreSQL."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import duckdb
import psycopg
from email_worlds import Rows

from headwater.models import SCHEMA, Models, views
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import Columns, ColumnType, Table

POSTGRES_TYPES = {ColumnType.FLOAT: "double precision", ColumnType.TIMESTAMP: "timestamp with time zone"}


class Analysed(Protocol):
    """What a test asks of either."""

    dialect: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...


class InDuckDB:
    dialect = "duckdb"

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 2})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def run(self, sql: str) -> None:
        self.connection.execute(sql)

    def fill(self, table: Table, columns: Columns, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        types = ", ".join(f"{quote_text(name)}: {quote_text(kind)}" for name, kind in columns.items())
        with tempfile.NamedTemporaryFile("w") as file:  # a row at a time takes seconds
            file.writelines(json.dumps({name: row.get(name) for name in columns}, default=str) + "\n" for row in rows)
            file.flush()
            self.run(
                f"insert into {name_of(table)} by name select * "
                f"from read_json({quote_text(file.name)}, columns = {{{types}}}, format = 'newline_delimited')"
            )

    def close(self) -> None:
        self.connection.close()


class InPostgres:
    dialect = "postgres"

    def __init__(self, uri: str) -> None:
        self.connection = psycopg.connect(uri, autocommit=True)
        self.run("set statement_timeout = '60s'")
        self.run("set time zone 'Asia/Tokyo'")  # what people see must not depend on where they sit
        for (schema,) in self.rows(
            "select nspname from pg_namespace where nspname !~ '^pg_|information_schema|public'"
        ):
            self.run(f"drop schema {quote_ident(schema)} cascade")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def run(self, sql: str) -> None:
        self.connection.execute(sql)

    def fill(self, table: Table, columns: Columns, rows: list[dict[str, Any]]) -> None:
        with self.connection.cursor().copy(f"copy {name_of(table)} from stdin") as copy:
            for row in rows:
                copy.write_row([_zoned(row.get(name)) for name in columns])

    def close(self) -> None:
        self.connection.close()


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def name_of(table: Table) -> str:
    return f"{quote_ident(table.schema)}.{quote_ident(table.name)}"


def fill(made: InDuckDB | InPostgres, tables: Mapping[Table, Columns], rows: Rows) -> None:
    """Make the tables and put the rows in."""
    types = POSTGRES_TYPES if made.dialect == "postgres" else {}
    for schema in dict.fromkeys(table.schema for table in tables):
        made.run(f"create schema {quote_ident(schema)}")
    for table, columns in tables.items():
        made.run(
            f"create table {name_of(table)} "
            f"({', '.join(f'{quote_ident(name)} {types.get(kind, kind)}' for name, kind in columns.items())})"
        )
        made.fill(table, columns, rows.get(table, []))


def publish(
    made: InDuckDB | InPostgres, tables: Mapping[Table, Columns], models: Models, email: tuple[str, ...]
) -> None:
    """Make the views anew, as a warehouse does."""
    made.run(f"drop schema if exists {SCHEMA} cascade")
    made.run(f"create schema {SCHEMA}")
    for view in views(made.dialect, tables, models, email):
        made.run(f"create view {view.schema}.{view.name} as {view.select}")


@contextmanager
def opened(dialect: str, uri: str) -> Iterator[InDuckDB | InPostgres]:
    made = InDuckDB() if dialect == "duckdb" else InPostgres(uri)
    try:
        yield made
    finally:
        made.close()
