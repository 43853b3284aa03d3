"""Snowflake: one schema a source in a database of the user's, loaded through dlt with a key pair.

Source: Snowflake documentation, Key-pair authentication; CREATE TABLE; ALTER TABLE; Transactions; Parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import (
    LOCK_S,
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
    name="Snowflake",
    description="Loads into a Snowflake database: a schema for each source, by a key pair and a warehouse of its own.",
    extra="snowflake",
    notes=(
        "The user logs in with a key pair; passwords, single sign-on and MFA do not work for programs.",
        "Give it a virtual warehouse of its own, X-Small is enough; each batch wakes it, so a schedule saves credits.",
        "A batch is one transaction: rows of all tables and the cursor. Readers never see half of it.",
        "A column keeps its type for ever; what does not fit later is in `_overflow`.",
        "Rows that were removed stay in Time Travel and Fail-safe for as long as the account keeps those.",
    ),
)

ENGINE: Final = Engine(
    name="Snowflake",
    extra="snowflake",
    dialect="snowflake",
    types={
        ColumnType.TIMESTAMP: "timestamp_ntz(6)",
        ColumnType.INTEGER: "bigint",
        ColumnType.FLOAT: "double",
        ColumnType.BOOLEAN: "boolean",
        ColumnType.VARCHAR: "varchar",
    },
    key="varchar",
    stored={
        "timestamp_ntz": ColumnType.TIMESTAMP,
        "number": ColumnType.INTEGER,
        "float": ColumnType.FLOAT,
        "boolean": ColumnType.BOOLEAN,
        "text": ColumnType.VARCHAR,
    },
    commit=Commit.BATCH,
    columns=information_schema(),
    fold=str.upper,  # as names that nobody quoted are stored: `select * from site.tracks` finds them
    adding=Adding("alter table {table} add column {items}", "{column} {type}"),
    largest_boolean="boolor_agg({})",
    session=(
        f"alter session set statement_timeout_in_seconds = {STATEMENT_S}, lock_timeout = {LOCK_S}, timezone = 'UTC'",
    ),
    reading=("alter session set statement_timeout_in_seconds = {timeout_s}",),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database is, and who loads it."""

    account: str = field(
        metadata=setting("Account", "The account identifier, such as myorg-account123.", required=True)
    )
    user: str = field(metadata=setting("User", "A user of type SERVICE with the public key.", required=True))
    private_key: str = field(
        repr=False,
        metadata=setting("Private key", "PEM (PKCS#8), as one text.", secret=True, required=True, is_long=True),
    )
    database: str = field(metadata=setting("Database", "It must be there.", required=True))
    warehouse: str = field(metadata=setting("Warehouse", "The virtual warehouse that loads.", required=True))
    private_key_passphrase: str = field(
        default="", repr=False, metadata=setting("Passphrase", "Of the private key, if it has one.", secret=True)
    )
    role: str = field(default="", metadata=setting("Role", "Empty for the user's default role."))
    reader_role: str = field(
        default="", metadata=setting("Role for queries", "A role that may only read; empty for the role above.")
    )


def _destination(dlt: Any, settings: Settings, role: str) -> Any:
    """Return dlt's destination."""
    credentials = {
        "host": settings.account,
        "username": settings.user,
        "private_key": settings.private_key,
        "private_key_passphrase": settings.private_key_passphrase or None,
        "database": settings.database,
        "warehouse": settings.warehouse,
        "role": role or None,
        "application": "headwater",
    }
    return dlt.destinations.snowflake(credentials, keep_staged_files=False)


class Warehouse(Lane):
    """Loads into Snowflake."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the loading role."""
        return _destination(dlt, self.settings, self.settings.role)


class Reading(WideReading):
    """Asks Snowflake."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the reading role."""
        return _destination(dlt, self.settings, self.settings.reader_role or self.settings.role)
