"""Redshift: one schema a source in a database of the user's, loaded through dlt.

Source: Amazon Redshift documentation, CREATE TABLE (distribution and sort keys), ALTER TABLE, BEGIN, Serializable
isolation, Character types; Segment documentation, Redshift destination.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import (
    STATEMENT_S,
    Adding,
    Commit,
    Engine,
    information_schema,
)
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses.contract import Card, ColumnType

CARD: Final = Card(
    name="Redshift",
    description="Loads into Amazon Redshift, a cluster or serverless: a schema for each source, sorted by time.",
    extra="redshift",
    notes=(
        "The user needs CREATE and TEMP on the database; tables belong to it.",
        "Tables have the sort key `received_at` and the distribution key `id`.",
        "A batch is one transaction: rows of all tables and the cursor. Readers never see half of it.",
        "Rows go in by INSERT, some thousand a statement: for millions of events an hour another engine is quicker.",
        "A text column takes 65,535 bytes, Redshift's most; an event is smaller than that.",
        "A column keeps its type for ever; what does not fit later is in `_overflow`.",
        "Sessions set `query_group` to `headwater`, so that workload management can tell them apart.",
    ),
)

ENGINE: Final = Engine(
    name="Redshift",
    extra="redshift",
    dialect="redshift",
    types={
        ColumnType.TIMESTAMP: "timestamp",
        ColumnType.INTEGER: "bigint",
        ColumnType.FLOAT: "double precision",
        ColumnType.BOOLEAN: "boolean",
        ColumnType.VARCHAR: "varchar(65535)",
    },
    key="varchar(400)",  # a messageId has at most 100 characters, of at most 4 bytes
    stored={
        "timestamp without time zone": ColumnType.TIMESTAMP,
        "bigint": ColumnType.INTEGER,
        "double precision": ColumnType.FLOAT,
        "boolean": ColumnType.BOOLEAN,
        "character varying": ColumnType.VARCHAR,
    },
    commit=Commit.BATCH,
    columns=information_schema(),
    create_found="create table {table} ({columns}) diststyle key distkey({id}) sortkey({received_at})",
    adding=Adding(many=False),
    largest_boolean="bool_or({})",
    file_format="",
    session=(
        "set query_group to 'headwater'",
        f"set statement_timeout to {STATEMENT_S * 1000}",
        "set timezone to 'UTC'",
    ),
    reading=("set statement_timeout to {timeout_ms}", "begin read only"),
    rights="select has_database_privilege(current_database(), 'create')",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database is, and who loads it."""

    host: str = field(metadata=setting("Host", "The endpoint, without port and database.", required=True))
    database: str = field(metadata=setting("Database", "It must be there.", required=True))
    user: str = field(metadata=setting("User", "Who makes schemas and loads them.", required=True))
    password: str = field(repr=False, metadata=setting("Password", "Of this user.", secret=True, required=True))
    port: int = field(default=5439, metadata=setting("Port", "Usually 5439."))
    reader_user: str = field(
        default="", metadata=setting("User for queries", "One that may only read; empty for the user above.")
    )
    reader_password: str = field(
        default="", repr=False, metadata=setting("Password for queries", "Of the user for queries.", secret=True)
    )


def _destination(dlt: Any, settings: Settings, user: str, password: str) -> Any:
    """Return dlt's destination; the connection is always encrypted."""
    return dlt.destinations.redshift(
        {
            "host": settings.host,
            "port": settings.port,
            "database": settings.database,
            "username": user,
            "password": password,
            "query": {"sslmode": "require"},
        }
    )


class Warehouse(Lane):
    """Loads into Redshift."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the loading user."""
        return _destination(dlt, self.settings, self.settings.user, self.settings.password)


class Reading(WideReading):
    """Asks Redshift in a transaction that only reads."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the reading user."""
        one = self.settings
        reader = (one.reader_user, one.reader_password) if one.reader_user else (one.user, one.password)
        return _destination(dlt, one, *reader)
