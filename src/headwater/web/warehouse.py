"""The page of the warehouses: where they stand, their sync runs, and "Sync now"."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.web import standing
from headwater.web.visit import Desk, Visit, action, page

_RUNS: Final = 25
_TABLES_SHOWN: Final = 3


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the warehouse page."""
    return [
        Route("/{workspace}/warehouse", page(desk, _warehouse)),
        Route("/{workspace}/warehouse/sync", action(desk, _sync), methods=["POST"]),
    ]


async def _warehouse(visit: Visit) -> Response:
    control, pipeline = visit.desk.control, visit.desk.pipeline
    entries = await asyncio.to_thread(control.warehouses.all, visit.workspace.id)
    sources = await asyncio.to_thread(control.sources.all, visit.workspace.id)
    loaded = await standing.asked(pipeline.warehouses(), "warehouses")
    runs = await standing.asked(pipeline.syncs(None, _RUNS), "syncs")
    stands = {each["warehouseId"]: each for each in loaded or []}
    names = {each.id: each.name for each in entries}
    return visit.page(
        "warehouse.html",
        reachable=loaded is not None,
        warehouses=[
            {
                "entry": each,
                "at": stands.get(each.id),
                "state": standing.of_warehouse(stands.get(each.id)),
                "synced_at": _moment(stands.get(each.id, {}).get("lastSync")),
                "schemas": [source.schema_name for source in sources if source.id in each.source_ids],
            }
            for each in entries
        ],
        runs=[_run(run, names) for run in runs or []],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _run(run: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    tables = sorted(run["rows"].items(), key=lambda pair: -pair[1])
    return {
        **run,
        "warehouse": names.get(run["warehouseId"], run["warehouseId"]),
        "at": datetime.fromisoformat(run["startedAt"]),
        "state": standing.of_sync(run["status"]),
        "total": sum(run["rows"].values()),
        "tables": tables[:_TABLES_SHOWN],
        "more": len(tables) - _TABLES_SHOWN,
    }


async def _sync(visit: Visit) -> Response:
    await visit.desk.pipeline.sync(None, wait=True)
    return visit.to("warehouse")
