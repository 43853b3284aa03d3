"""What warehouses say and hold, for the pages: where they stand, their runs, and tables that a test fills."""

# ruff: noqa: ARG002 - Tables takes what the app's own takes

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from headwater.errors import QueryError
from headwater.warehouses.contract import CatalogTable, Result


class Tables:
    """Asks a DuckDB that the test has filled, whichever warehouse is meant."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, warehouse_id: str, sql: str, rows_max: int = 10_000, **_how: Any) -> Result:
        try:
            found = self._connection.cursor().execute(sql)
            columns = found.description or []
            rows = tuple(found.fetchmany(rows_max))
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        names, types = tuple(c[0] for c in columns), tuple(str(c[1]) for c in columns)
        return Result(names, types, rows, truncated=False, duration_ms=4)

    def export(self, warehouse_id: str, sql: str, target: Path, file_format: str, **_how: Any) -> int:
        try:
            row = self._connection.cursor().execute(f"copy ({sql}) to '{target}' (format {file_format})").fetchone()
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        return row[0]

    def catalog(self, warehouse_id: str) -> list[CatalogTable]:
        found = self._connection.cursor().execute(
            "select schema_name, table_name, list((column_name, data_type) order by column_index) "
            "from duckdb_columns() where not internal group by all order by all"
        )
        return [CatalogTable(schema, name, tuple(columns)) for schema, name, columns in found.fetchall()]

    def cancel(self, query_id: str) -> bool:
        return False


def warehouse_status(website: Any, **changes: Any) -> dict[str, Any]:
    """Return where the embedded warehouse stands, as the pipeline gives it."""
    return {
        "warehouseId": website.control.warehouses.all(website.workspace.id)[0].id,
        "type": "embedded",
        "state": "idle",
        "cursor": 1_000_000,
        "lag": 0,
        "totals": {"events": 47_751, "rows": 95_502, "filtered": 0, "suppressed": 0},
        "lastSync": datetime.now(UTC).isoformat(),
        "lastError": "",
        "failures": 0,
        "nextSync": None,
        "reloads": 0,
        "notices": [],
        **changes,
    }


def sync_run(website: Any, number: int, **changes: Any) -> dict[str, Any]:
    """Return one load, as the pipeline gives it."""
    return {
        "id": number,
        "warehouseId": website.control.warehouses.all(website.workspace.id)[0].id,
        "status": "success",
        "startedAt": (datetime.now(UTC) - timedelta(minutes=number)).isoformat(),
        "durationMs": 120 + number,
        "first": 0,
        "next": 40,
        "events": 40,
        "filtered": 0,
        "suppressed": 0,
        "rows": {
            "activecampaign.tracks": 40,
            "activecampaign.email_opened": 31,
            "activecampaign.email_link_clicked": 9,
        },
        "notices": [],
        "error": "",
        **changes,
    }


def reload_run(warehouse_id: str, **changes: Any) -> dict[str, Any]:
    """Return one reload, as the pipeline gives it."""
    return {
        "id": "7",
        "warehouseId": warehouse_id,
        "sourceIds": None,
        "collections": ["email_opened"],
        "reason": "asked",
        "first": 0,
        "next": 40_000,
        "position": 12_000,
        "state": "running",
        "events": 12_000,
        "rows": 24_000,
        "startedAt": (datetime.now(UTC) - timedelta(minutes=2)).isoformat(),
        "finishedAt": None,
        "error": "",
        "etaS": 61.0,
        **changes,
    }


def row_trend(days: int = 30) -> list[dict[str, Any]]:
    """Return what was loaded on each of the last days, as the pipeline gives it."""
    today = datetime.now(UTC).date()
    return [
        {
            "day": (today - timedelta(days=days - 1 - day)).isoformat(),
            "events": 900 + day * 37 % 400,
            "rows": 1_800 + day * 74 % 800,
            "failed": day % 9 // 8,
            "byTable": {"activecampaign.tracks": 900, "activecampaign.email_opened": 700 + day},
        }
        for day in range(days)
    ]


def misfit(**changes: Any) -> dict[str, Any]:
    """Return a kind of value that did not fit, as the pipeline gives it."""
    return {
        "schema": "website",
        "table": "order_completed",
        "column": "revenue",
        "type": "double",
        "label": "properties.revenue",
        "rows": 12,
        "firstAt": "2026-11-01T10:00:00+00:00",
        "lastAt": datetime.now(UTC).isoformat(),
        "widened": False,
        **changes,
    }
