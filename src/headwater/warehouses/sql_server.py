"""SQL Server and Azure SQL: one schema a source in a database of the user's, loaded through dlt.

Source: Microsoft documentation, Transact-SQL reference: CREATE TABLE, Collation precedence, HAS_PERMS_BY_NAME,
SET LOCK_TIMEOUT, nchar and nvarchar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import LOCK_S, Adding, Commit, Engine, information_schema
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses.contract import Card, ColumnType

CARD: Final = Card(
    name="SQL Server",
    description="Loads into Microsoft SQL Server or Azure SQL Database: a schema for each source.",
    extra="sqlserver",
    notes=(
        "The machine needs Microsoft's ODBC driver 17 or 18 for SQL Server.",
        "The user needs CREATE SCHEMA, CREATE TABLE and ALTER, SELECT, INSERT, UPDATE, DELETE on its schemas.",
        "A batch is one transaction: rows of all tables and the cursor. Readers never see half of it.",
        "`id` is compared by its bytes, whatever the database's collation; blanks at its end do not count.",
        "Rows go in by INSERT, up to a thousand a statement.",
    ),
)

_COLLATION: Final = "Latin1_General_100_BIN2"  # ids that differ in case are different ids

ENGINE: Final = Engine(
    name="SQL Server",
    extra="sqlserver",
    dialect="tsql",
    types={
        ColumnType.TIMESTAMP: "datetime2(6)",
        ColumnType.INTEGER: "bigint",
        ColumnType.FLOAT: "float",
        ColumnType.BOOLEAN: "bit",
        ColumnType.VARCHAR: "nvarchar(max)",
    },
    key=f"nvarchar(200) collate {_COLLATION} not null",
    stored={
        "datetime2": ColumnType.TIMESTAMP,
        "bigint": ColumnType.INTEGER,
        "float": ColumnType.FLOAT,
        "bit": ColumnType.BOOLEAN,
        "nvarchar": ColumnType.VARCHAR,
    },
    commit=Commit.BATCH,
    columns=information_schema(),
    create_schema="if schema_id({name}) is null exec({plainly})",
    adding=Adding("alter table {table} add {items}", "{column} {type}"),
    largest_boolean="cast(max(cast({} as tinyint)) as bit)",
    file_format="",
    session=(f"set lock_timeout {LOCK_S * 1000}", "set xact_abort on"),
    reading=("set lock_timeout {timeout_ms}",),
    rights="select has_perms_by_name(null, 'DATABASE', 'CREATE SCHEMA')",
    widens={
        (ColumnType.INTEGER, ColumnType.FLOAT): "alter table {table} alter column {column} {type}",
        (ColumnType.INTEGER, ColumnType.VARCHAR): "alter table {table} alter column {column} {type}",
    },
    exact=f"{{}} collate {_COLLATION}",
    index="create unique index by_id on {table} ({id})",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database is, and who loads it."""

    host: str = field(metadata=setting("Host", "Name or address of the server.", required=True))
    database: str = field(metadata=setting("Database", "It must be there.", required=True))
    user: str = field(metadata=setting("User", "Who makes schemas and loads them.", required=True))
    password: str = field(repr=False, metadata=setting("Password", "Of this user.", secret=True, required=True))
    port: int = field(default=1433, metadata=setting("Port", "Usually 1433."))
    trust_certificate: bool = field(
        default=False, metadata=setting("Trust any certificate", "Do not check the server's certificate.")
    )
    reader_user: str = field(
        default="", metadata=setting("User for queries", "One that may only read; empty for the user above.")
    )
    reader_password: str = field(
        default="", repr=False, metadata=setting("Password for queries", "Of the user for queries.", secret=True)
    )


def _destination(dlt: Any, settings: Settings, user: str, password: str) -> Any:
    """Return dlt's destination; the connection is always encrypted."""
    return dlt.destinations.mssql(
        {
            "host": settings.host,
            "port": settings.port,
            "database": settings.database,
            "username": user,
            "password": password,
            "query": {"encrypt": "yes", "trustservercertificate": "yes" if settings.trust_certificate else "no"},
        }
    )


class Warehouse(Lane):
    """Loads into SQL Server."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the loading user."""
        return _destination(dlt, self.settings, self.settings.user, self.settings.password)


class Reading(WideReading):
    """Asks SQL Server."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the reading user."""
        one = self.settings
        reader = (one.reader_user, one.reader_password) if one.reader_user else (one.user, one.password)
        return _destination(dlt, one, *reader)
