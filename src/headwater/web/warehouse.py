"""The pages of one warehouse: how it does, what is loaded into it, what is loaded again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Role
from headwater.control.selection import Override, required
from headwater.errors import InvalidRequestError, NotFoundError, QueryError
from headwater.loading.selection import Excluded
from headwater.warehouses.contract import LATEST
from headwater.web import charts, forms, standing
from headwater.web.visit import Desk, Visit, action, page
from headwater.web.warehouses import found, headed, instant, run_shown

_RUNS: Final = 25
_DAYS: Final = 30  # Segment, warehouse health: row trends of 30 days
_RELOADS: Final = 50
_MISFITS: Final = 100
_DERIVED: Final = frozenset(each.table for each in LATEST)
_REASONS: Final[Mapping[str, str]] = {
    "asked": "Asked for",
    "connected": "A source was connected",
    "selected": "Selected again",
    "refused": "A table was refused",
}
_STATES: Final[Mapping[str, standing.State]] = {
    "waiting": standing.State("Waiting", ""),
    "running": standing.State("Running", "ok"),
    "done": standing.State("Done", "ok"),
    "failed": standing.State("Failed", "bad"),
    "cancelled": standing.State("Cancelled", "warn"),
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the overview, selective sync and reloads of a warehouse."""
    one = "/{workspace}/warehouse/{warehouse}"
    return [
        Route(one, page(desk, _overview)),
        Route(f"{one}/sync", action(desk, _sync), methods=["POST"]),
        Route(f"{one}/enable", action(desk, _enable, Role.OWNER), methods=["POST"]),
        Route(f"{one}/selection", page(desk, _selection), methods=["GET"]),
        Route(f"{one}/selection", action(desk, _select, Role.OWNER), methods=["POST"]),
        Route(f"{one}/reload", page(desk, _reloads), methods=["GET"]),
        Route(f"{one}/reload", action(desk, _reload), methods=["POST"]),
        Route(f"{one}/reload/{{reload}}/cancel", action(desk, _cancel), methods=["POST"]),
    ]


async def _overview(visit: Visit) -> Response:
    head = await headed(visit, "overview")
    warehouse, pipeline = head["warehouse"], visit.desk.pipeline
    days = await standing.asked(pipeline.row_trends(warehouse.id, _DAYS), "days")
    misfits = await standing.asked(pipeline.misfits(warehouse.id), "misfits")
    runs = await standing.asked(pipeline.syncs(warehouse.id, _RUNS), "syncs")
    at = head["at"]
    return visit.page(
        "warehouse.html",
        **head,
        synced_at=instant(at["lastSync"]) if at else None,
        next_at=instant(at.get("nextSync")) if at else None,
        chart=_chart(days) if days else None,
        busiest=_busiest(days or []),
        misfits=[_misfit(each) for each in (misfits or [])[:_MISFITS]],
        misfits_more=max(0, len(misfits or []) - _MISFITS),
        runs=[run_shown(run, {warehouse.id: warehouse.name}) for run in runs or []],
    )


def _chart(days: Sequence[Mapping[str, Any]]) -> charts.Bars:
    """Return the rows that were loaded on each day."""
    counts = [(datetime.fromisoformat(each["day"]).replace(tzinfo=UTC), {"accepted": each["rows"]}) for each in days]
    return charts.bars(counts, "day")


def _busiest(days: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Return the tables that got most rows in these days."""
    sums: dict[str, int] = {}
    for each in days:
        for table, rows in each["byTable"].items():
            sums[table] = sums.get(table, 0) + rows
    return sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:10]


def _misfit(misfit: Mapping[str, Any]) -> dict[str, Any]:
    return {**misfit, "last": instant(misfit["lastAt"])}


async def _sync(visit: Visit) -> Response:
    warehouse = await asyncio.to_thread(found, visit)
    await visit.desk.pipeline.sync(warehouse.id, wait=True)
    return visit.to("warehouse", warehouse.id)


async def _enable(visit: Visit) -> Response:
    warehouse = await asyncio.to_thread(found, visit)
    wanted = visit.form.get("enabled") == "true"
    await asyncio.to_thread(
        lambda: visit.desk.control.warehouses.update(visit.workspace.id, warehouse.id, enabled=wanted)
    )
    return visit.to("warehouse", warehouse.id)


@dataclass(frozen=True, slots=True)
class _Item:
    """A property that is loaded or not; `fixed` ones cannot be left out."""

    name: str
    kind: str
    enabled: bool
    fixed: bool


@dataclass(frozen=True, slots=True)
class _Collection:
    """A table of a source: loaded or not, with its properties."""

    name: str
    enabled: bool
    items: tuple[_Item, ...]

    @property
    def left_out(self) -> int:
        """How many properties are left out."""
        return sum(not item.enabled for item in self.items)


async def _selection(visit: Visit) -> Response:
    """Show what is loaded of each source; the tables are those that the warehouse has, and those left out."""
    head = await headed(visit, "selection")
    warehouse = head["warehouse"]
    sources = await asyncio.to_thread(visit.desk.control.sources.all, visit.workspace.id)
    tables, problem = await _tables(visit, warehouse.id)
    return visit.page(
        "warehouse-selection.html",
        **head,
        problem=problem,
        sources=[
            {
                "source": source,
                "connected": source.id in warehouse.source_ids,
                "collections": _collections(
                    tables.get(source.schema_name, {}), {e for e in warehouse.excluded if e.source_id == source.id}
                ),
            }
            for source in sources
        ],
    )


async def _tables(visit: Visit, warehouse_id: str) -> tuple[dict[str, dict[str, list[tuple[str, str]]]], str]:
    """Return columns by schema and table, and why there are none."""
    try:
        catalog = await asyncio.to_thread(visit.desk.asking.catalog, warehouse_id)
    except QueryError as error:
        return {}, str(error)
    schemas: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for table in catalog:
        schemas.setdefault(table.schema, {})[table.name] = list(table.columns)
    return schemas, ""


def _collections(tables: Mapping[str, Sequence[tuple[str, str]]], excluded: set[Excluded]) -> list[_Collection]:
    """Return the tables of one source with what is left out of them."""
    names = [*tables, *sorted({each.collection for each in excluded} - tables.keys())]
    return [_collection(name, tables.get(name, ()), excluded) for name in names if name not in _DERIVED]


def _collection(name: str, columns: Sequence[tuple[str, str]], excluded: set[Excluded]) -> _Collection:
    out = {each.property for each in excluded if each.collection == name}
    fixed = required(name)
    kinds = dict(columns) | dict.fromkeys(sorted(out - {"", *(column for column, _ in columns)}), "")
    items = tuple(_Item(column, kind, column not in out, column in fixed) for column, kind in kinds.items())
    return _Collection(name, "" not in out, items)


async def _select(visit: Visit) -> Response:
    """Change one thing: a source, a collection or a property, on or off."""
    warehouse = await asyncio.to_thread(found, visit)
    form, warehouses = visit.form, visit.desk.control.warehouses
    source, wanted = form.get("source", ""), form.get("enabled") == "true"
    if collection := form.get("collection", ""):
        override = Override(source, collection, form.get("property", ""), wanted)
        await asyncio.to_thread(warehouses.select, visit.workspace.id, warehouse.id, [override])
    else:
        change = warehouses.connect if wanted else warehouses.disconnect
        await asyncio.to_thread(change, visit.workspace.id, warehouse.id, source)
    return visit.to("warehouse", warehouse.id, "selection")


async def _reloads(visit: Visit) -> Response:
    return await _show_reloads(visit, {})


async def _show_reloads(visit: Visit, values: Mapping[str, str], error: InvalidRequestError | None = None) -> Response:
    head = await headed(visit, "reload")
    runs = await standing.asked(visit.desk.pipeline.reloads(head["warehouse"].id, _RELOADS), "reloads")
    sources = await asyncio.to_thread(visit.desk.control.sources.all, visit.workspace.id)
    names = {each.id: each.name for each in sources}
    problems = {str(error.field): str(error)} if error else {}
    return visit.page(
        "warehouse-reload.html",
        **head,
        values=values,
        sources=[each for each in sources if each.id in head["warehouse"].source_ids],
        problems=problems,
        problem=str(error) if error and error.field not in {"since", "until", "collections"} else "",
        runs=[_reload_shown(run, names) for run in runs or []],
        is_running=any(run["state"] in {"waiting", "running"} for run in runs or []),
        status=422 if error else 200,
    )


def _reload_shown(run: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    sources = ", ".join(names.get(each, each) for each in run["sourceIds"] or ()) or "all sources"
    return {
        **run,
        "about": f"{', '.join(run['collections'] or ()) or 'all collections'} of {sources}",
        "why": _REASONS.get(run["reason"], run["reason"]),
        "pill": _STATES.get(run["state"], standing.UNREACHABLE),
        "done": max(0, run["position"] - run["first"]),
        "total": max(1, run["next"] - run["first"]),
        "started": instant(run["startedAt"]),
    }


async def _reload(visit: Visit) -> Response:
    warehouse = await asyncio.to_thread(found, visit)
    form = visit.form
    collections = [name.strip() for name in form.get("collections", "").replace(",", "\n").splitlines()]
    try:
        await visit.desk.pipeline.reload(
            warehouse.id,
            source_ids=[form["source"]] if form.get("source") else None,
            collections=list(filter(None, collections)) or None,
            since=forms.instant("since", form.get("since", "")),
            until=forms.instant("until", form.get("until", "")),
        )
    except InvalidRequestError as error:
        return await _show_reloads(visit, form, error)
    return visit.to("warehouse", warehouse.id, "reload")


async def _cancel(visit: Visit) -> Response:
    warehouse = await asyncio.to_thread(found, visit)
    wanted = visit.request.path_params["reload"]
    runs = (await visit.desk.pipeline.reloads(warehouse.id, _RELOADS))["reloads"]
    if all(str(run["id"]) != wanted for run in runs):
        raise NotFoundError("There is no such reload of this warehouse.")
    await visit.desk.pipeline.cancel_reload(wanted)
    return visit.to("warehouse", warehouse.id, "reload")
