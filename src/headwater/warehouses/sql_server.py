"""SQL Server and Azure SQL: one schema a source in a database of the user's, loaded through dlt.

Source: Microsoft documentation, Transact-SQL reference: CREATE TABLE, Collation precedence, HAS_PERMS_BY_NAME,
SET LOCK_TIMEOUT, nchar and nvarchar.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from headwater.warehouses._lanes.wide import tsql
from headwater.warehouses._lanes.wide.engine import LOCK_S, Engine
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses._lanes.wide.tsql import Settings
from headwater.warehouses.contract import Card, ColumnType

__all__ = ["CARD", "Reading", "Settings", "Warehouse"]

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

ENGINE: Final = replace(
    tsql.ENGINE,
    name="SQL Server",
    extra="sqlserver",
    session=(f"set lock_timeout {LOCK_S * 1000}", "set xact_abort on"),
    reading=("set lock_timeout {timeout_ms}",),
    widens={
        (ColumnType.INTEGER, ColumnType.FLOAT): "alter table {table} alter column {column} {type}",
        (ColumnType.INTEGER, ColumnType.VARCHAR): "alter table {table} alter column {column} {type}",
    },
    index="create unique index by_id on {table} ({id})",
)


class Warehouse(Lane):
    """Loads into SQL Server."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the loading user."""
        return tsql.loading(dlt.destinations.mssql, self.settings)


class Reading(WideReading):
    """Asks SQL Server."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the reading user."""
        return tsql.asking(dlt.destinations.mssql, self.settings)
