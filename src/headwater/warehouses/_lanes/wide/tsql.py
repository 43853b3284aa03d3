"""What SQL Server and Azure Synapse have in common: types, names of things, settings, the way there.

Source: Microsoft documentation, Transact-SQL reference: CREATE TABLE, Collation precedence, HAS_PERMS_BY_NAME, nchar
and nvarchar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import Adding, Commit, Engine, information_schema
from headwater.warehouses.contract import ColumnType

_COLLATION: Final = "Latin1_General_100_BIN2"  # ids that differ in case are different ids

ENGINE: Final = Engine(
    name="Transact-SQL",
    extra="",
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
    rights="select has_perms_by_name(null, 'DATABASE', 'CREATE SCHEMA')",
    exact=f"{{}} collate {_COLLATION}",
)
"""What both understand; each entry replaces what is its own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database is, who loads it and who asks it."""

    host: str = field(
        metadata=setting("Host", "Of the server; of Synapse the endpoint, name.sql.azuresynapse.net.", required=True)
    )
    database: str = field(metadata=setting("Database", "It must be there; of Synapse the pool.", required=True))
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


def loading(make: Callable[[Any], Any], settings: Settings) -> Any:
    """Return dlt's destination for the loading user."""
    return _destination(make, settings, settings.user, settings.password)


def asking(make: Callable[[Any], Any], settings: Settings) -> Any:
    """Return dlt's destination for the reading user."""
    if settings.reader_user:
        return _destination(make, settings, settings.reader_user, settings.reader_password)
    return loading(make, settings)


def _destination(make: Callable[[Any], Any], settings: Settings, user: str, password: str) -> Any:
    """Return what one of dlt's destinations makes of the settings; the connection is always encrypted."""
    return make(
        {
            "host": settings.host,
            "port": settings.port,
            "database": settings.database,
            "username": user,
            "password": password,
            "query": {"encrypt": "yes", "trustservercertificate": "yes" if settings.trust_certificate else "no"},
        }
    )
