"""Azure Synapse: one schema a source in a dedicated SQL pool of the user's, loaded through dlt.

Source: Microsoft documentation, Transact-SQL reference: CREATE TABLE, Collation precedence, HAS_PERMS_BY_NAME,
nchar and nvarchar; Azure Synapse, CREATE TABLE, Transactions in dedicated SQL pools.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from headwater.warehouses._lanes.wide import tsql
from headwater.warehouses._lanes.wide.engine import Engine
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses._lanes.wide.tsql import Settings
from headwater.warehouses.contract import Card

__all__ = ["CARD", "Reading", "Settings", "Warehouse"]

CARD: Final = Card(
    name="Azure Synapse",
    description="Loads into a dedicated SQL pool of Azure Synapse Analytics: a schema for each source.",
    extra="synapse",
    notes=(
        "The machine needs Microsoft's ODBC driver 18 for SQL Server.",
        "The user needs CREATE SCHEMA, CREATE TABLE and ALTER, SELECT, INSERT, UPDATE, DELETE on its schemas.",
        "A batch is one transaction: rows of all tables and the cursor. Readers never see half of it.",
        "Tables are heaps, distributed by the hash of `id`, which is compared by its bytes.",
        "Give the loading user a larger resource class, such as largerc, when many tables change at once.",
        "Rows go in by INSERT; a column keeps its type for ever, what does not fit later is in `_overflow`.",
    ),
)

ENGINE: Final = replace(
    tsql.ENGINE,
    name="Azure Synapse",
    extra="synapse",
    create="create table {table} ({columns}) with (heap, distribution = round_robin)",
    create_found="create table {table} ({columns}) with (heap, distribution = hash({id}))",
)


class Warehouse(Lane):
    """Loads into Azure Synapse."""

    engine: Engine = ENGINE
    types = ENGINE.types
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the loading user."""
        return tsql.loading(dlt.destinations.synapse, self.settings)


class Reading(WideReading):
    """Asks Azure Synapse."""

    engine: Engine = ENGINE
    settings: Settings

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the reading user."""
        return tsql.asking(dlt.destinations.synapse, self.settings)
