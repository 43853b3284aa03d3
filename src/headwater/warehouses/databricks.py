"""Databricks: one schema a source in a Unity Catalog of the user's, managed Delta tables loaded through dlt.

Source: Databricks documentation, OAuth machine-to-machine; MERGE INTO; ALTER TABLE ADD COLUMNS; information_schema;
Liquid clustering; STATEMENT_TIMEOUT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from headwater.errors import DeliveryError
from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import (
    STATEMENT_S,
    Adding,
    Commit,
    Engine,
    backticks,
    information_schema,
)
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses.contract import Card, ColumnType

CARD: Final = Card(
    name="Databricks",
    description="Loads into a Databricks catalog: a schema of managed Delta tables for each source.",
    extra="databricks",
    notes=(
        "A service principal logs in by OAuth (client id and secret); a personal access token works as well.",
        "It needs USE CATALOG and CREATE SCHEMA on the catalog, and CAN USE on the SQL warehouse.",
        "A table is merged on `id` by one statement, table after table; the cursor is written last.",
        "A column keeps its type for ever; what does not fit later is in `_overflow`.",
        "Rows that were removed leave the files with VACUUM, by default after 7 days.",
    ),
)

ENGINE: Final = Engine(
    name="Databricks",
    extra="databricks",
    dialect="databricks",
    types={
        ColumnType.TIMESTAMP: "timestamp",
        ColumnType.INTEGER: "bigint",
        ColumnType.FLOAT: "double",
        ColumnType.BOOLEAN: "boolean",
        ColumnType.VARCHAR: "string",
    },
    key="string",
    stored={
        "timestamp": ColumnType.TIMESTAMP,
        "bigint": ColumnType.INTEGER,
        "long": ColumnType.INTEGER,
        "double": ColumnType.FLOAT,
        "boolean": ColumnType.BOOLEAN,
        "string": ColumnType.VARCHAR,
    },
    commit=Commit.STATEMENT,
    columns=information_schema(base="'MANAGED', 'EXTERNAL', 'BASE TABLE'"),
    quote=backticks,
    create_found="create table {table} ({columns}) cluster by ({received_at}, {id})",
    adding=Adding("alter table {table} add columns ({items})", "{column} {type}"),
    largest_boolean="bool_or({})",
    zoned=True,
    session=("set time zone 'UTC'", f"set statement_timeout = {STATEMENT_S}"),
    reading=("set statement_timeout = {timeout_s}",),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the catalog is, and who loads it."""

    host: str = field(
        metadata=setting("Server hostname", "Such as dbc-a1b2345c-d6e7.cloud.databricks.com.", required=True)
    )
    http_path: str = field(
        metadata=setting("HTTP path", "Of the SQL warehouse, such as /sql/1.0/warehouses/a1b2.", required=True)
    )
    catalog: str = field(metadata=setting("Catalog", "Of Unity Catalog; it must be there.", required=True))
    client_id: str = field(default="", metadata=setting("Client ID", "Of the service principal."))
    client_secret: str = field(
        default="", repr=False, metadata=setting("Client secret", "An OAuth secret of it.", secret=True)
    )
    token: str = field(
        default="", repr=False, metadata=setting("Access token", "Instead of a client id and secret.", secret=True)
    )


def _destination(dlt: Any, settings: Settings) -> Any:
    """Return dlt's destination.

    Raises:
        DeliveryError: there is no login; the driver would look for one on this machine.
    """
    if not settings.token and not (settings.client_id and settings.client_secret):
        raise DeliveryError("Databricks: give a client id and its secret, or an access token.")
    credentials = {
        "server_hostname": settings.host,
        "http_path": settings.http_path,
        "catalog": settings.catalog,
        "client_id": settings.client_id or None,
        "client_secret": settings.client_secret or None,
        "access_token": settings.token or None,
        "session_timezone": "UTC",
        "user_agent_entry": "headwater",
    }
    return dlt.destinations.databricks(credentials, keep_staged_files=False, create_comments=False)


class Warehouse(Lane):
    """Loads into Databricks."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination."""
        return _destination(dlt, self.settings)


class Reading(WideReading):
    """Asks Databricks."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination."""
        return _destination(dlt, self.settings)
