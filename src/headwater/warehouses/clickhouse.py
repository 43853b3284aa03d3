"""ClickHouse: one database a source on a server or in ClickHouse Cloud, loaded through dlt.

Source: ClickHouse documentation, ReplacingMergeTree; ALTER TABLE … COLUMN; Lightweight DELETE; argMax; system.columns;
Permissions for queries (readonly).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import STATEMENT_S, Commit, Engine, backticks_escaped
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses.contract import Card, ColumnType

CARD: Final = Card(
    name="ClickHouse",
    description="Loads into ClickHouse: a database for each source, tables that replace rows of the same id.",
    extra="clickhouse",
    notes=(
        "The user needs CREATE, ALTER, INSERT, SELECT and DROP on databases of its own making.",
        "Tables are ReplacingMergeTree, ordered by `id`. Rows that are there already are not inserted again.",
        "ClickHouse has no transactions: while a batch is loaded, some tables have it and others not yet.",
        "`users` and `accounts` are views over the last known value of each trait.",
        "Both ports are needed: the native one and that of HTTP, which takes the files.",
    ),
)

_TO_TEXT: Final = "alter table {table} modify column {column} {type}"

ENGINE: Final = Engine(
    name="ClickHouse",
    extra="clickhouse",
    dialect="clickhouse",
    types={
        ColumnType.TIMESTAMP: "Nullable(DateTime64(6, 'UTC'))",
        ColumnType.INTEGER: "Nullable(Int64)",
        ColumnType.FLOAT: "Nullable(Float64)",
        ColumnType.BOOLEAN: "Nullable(Bool)",
        ColumnType.VARCHAR: "Nullable(String)",
    },
    key="String",
    stored={
        "datetime64": ColumnType.TIMESTAMP,
        "int64": ColumnType.INTEGER,
        "float64": ColumnType.FLOAT,
        "bool": ColumnType.BOOLEAN,
        "string": ColumnType.VARCHAR,
    },
    commit=Commit.INSERT,
    columns=(
        "select c.database, c.table, c.name, c.type from system.columns c "
        "join system.tables t on t.database = c.database and t.name = c.table "
        "where t.engine not like '%View' and lower(c.database) not in ('system', 'information_schema') "
        "order by c.database, c.table, c.position"
    ),
    quote=backticks_escaped,
    create="create table {table} ({columns}) engine = MergeTree order by tuple()",
    create_found="create table {table} ({columns}) engine = ReplacingMergeTree order by {id}",
    create_schema="create database if not exists {schema}",
    zoned=True,
    session=(f"set max_execution_time = {STATEMENT_S}",),
    reading=("set max_execution_time = {timeout_s}", "set readonly = 2"),
    widens={
        (ColumnType.INTEGER, ColumnType.FLOAT): _TO_TEXT,
        **{(kind, ColumnType.VARCHAR): _TO_TEXT for kind in ColumnType if kind is not ColumnType.VARCHAR},
    },
    latest_value="argMax({value}, {order})",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server is, and who loads it."""

    host: str = field(metadata=setting("Host", "Name or address of the server.", required=True))
    user: str = field(metadata=setting("User", "Who makes databases and loads them.", required=True))
    password: str = field(repr=False, metadata=setting("Password", "Of this user.", secret=True, required=True))
    database: str = field(default="default", metadata=setting("Database", "Where rows are staged; it must be there."))
    port: int = field(default=9440, metadata=setting("Native port", "9440 with TLS, 9000 without."))
    http_port: int = field(default=8443, metadata=setting("HTTP port", "8443 with TLS, 8123 without."))
    tls: bool = field(default=True, metadata=setting("TLS", "Encrypt the connections."))
    reader_user: str = field(
        default="", metadata=setting("User for queries", "One that may only read; empty for the user above.")
    )
    reader_password: str = field(
        default="", repr=False, metadata=setting("Password for queries", "Of the user for queries.", secret=True)
    )


def _destination(dlt: Any, settings: Settings, user: str, password: str) -> Any:
    """Return dlt's destination."""
    return dlt.destinations.clickhouse(
        {
            "host": settings.host,
            "port": settings.port,
            "http_port": settings.http_port,
            "username": user,
            "password": password,
            "database": settings.database,
            "secure": 1 if settings.tls else 0,
            "session_timezone": "UTC",
        }
    )


class Warehouse(Lane):
    """Loads into ClickHouse."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the loading user."""
        return _destination(dlt, self.settings, self.settings.user, self.settings.password)


class Reading(WideReading):
    """Asks ClickHouse in a session that only reads."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the reading user."""
        one = self.settings
        reader = (one.reader_user, one.reader_password) if one.reader_user else (one.user, one.password)
        return _destination(dlt, one, *reader)
