"""The wide lane's test engines: the same code as for the remote ones, on what runs here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from headwater.warehouses._lanes.wide.engine import Adding, Commit, Engine, information_schema
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses.contract import ColumnType

_WIDENS = {
    (ColumnType.INTEGER, ColumnType.FLOAT): "alter table {table} alter column {column} type {type}",
    **{
        (kind, ColumnType.VARCHAR): "alter table {table} alter column {column} type {type} using ({column}::{type})"
        for kind in ColumnType
        if kind is not ColumnType.VARCHAR
    },
}

DUCKDB = Engine(
    name="DuckDB",
    extra="",
    dialect="duckdb",
    types={kind: kind.value for kind in ColumnType},
    key="varchar",
    stored={kind.value: kind for kind in ColumnType},
    commit=Commit.BATCH,
    columns=information_schema(),
    adding=Adding(many=False),
    widens=_WIDENS,
)
MERGING = replace(DUCKDB, commit=Commit.STATEMENT)
INSERTING = replace(DUCKDB, commit=Commit.INSERT, latest_value="arg_max({value}, {order})")

POSTGRES = Engine(
    name="PostgreSQL",
    extra="",
    dialect="postgres",
    types={
        ColumnType.TIMESTAMP: "timestamp with time zone",
        ColumnType.INTEGER: "bigint",
        ColumnType.FLOAT: "double precision",
        ColumnType.BOOLEAN: "boolean",
        ColumnType.VARCHAR: "text",
    },
    key="text",
    stored={
        "timestamp with time zone": ColumnType.TIMESTAMP,
        "bigint": ColumnType.INTEGER,
        "double precision": ColumnType.FLOAT,
        "boolean": ColumnType.BOOLEAN,
        "text": ColumnType.VARCHAR,
    },
    commit=Commit.BATCH,
    columns=information_schema(),
    index="create unique index on {table} ({id})",
    largest_boolean="bool_or({})",
    zoned=True,
    file_format="insert_values",  # as dlt loads Redshift and SQL Server
    session=("set statement_timeout = '60s'", "set lock_timeout = '5s'", "set timezone = 'UTC'"),
    reading=("set statement_timeout = {timeout_ms}", "begin read only"),
    rights="select has_database_privilege(current_database(), 'create')",
    widens=_WIDENS,
)


@dataclass(frozen=True, slots=True)
class File:
    """A DuckDB file."""

    path: str


class InDuckDB(Lane):
    engine: Engine = DUCKDB
    types = DUCKDB.types

    def destination(self, dlt):
        return dlt.destinations.duckdb(self.settings.path)


class AskDuckDB(WideReading):
    engine = DUCKDB

    def destination(self, dlt):
        return dlt.destinations.duckdb(self.settings.path)


class Merging(InDuckDB):
    engine: Engine = MERGING


class Inserting(InDuckDB):
    engine: Engine = INSERTING


@dataclass(frozen=True, slots=True)
class Server:
    """A database of a PostgreSQL server."""

    host: str
    port: int
    database: str
    user: str
    password: str


class InPostgres(Lane):
    engine: Engine = POSTGRES
    types = POSTGRES.types

    def destination(self, dlt):
        one = self.settings
        return dlt.destinations.postgres(
            {
                "host": one.host,
                "port": one.port,
                "database": one.database,
                "username": one.user,
                "password": one.password,
            }
        )


class AskPostgres(WideReading):
    engine = POSTGRES
    destination = InPostgres.destination


def file_of(home: Path) -> File:
    return File(str(home / "wide.duckdb"))
