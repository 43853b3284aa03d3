"""The pages of warehouses: list, catalog, the form of a new one; and the head that each one's pages share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.catalog import Entry, Kind
from headwater.control.models import Role, WarehouseEntry
from headwater.errors import InvalidRequestError, LogUnavailableError, NotFoundError
from headwater.web import forms, standing
from headwater.web.visit import Desk, Visit, action, page

_RUNS: Final = 25
_TABLES_SHOWN: Final = 3


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the list, the catalog and the form of a new warehouse."""
    all_ = "/{workspace}/warehouse"
    return [
        Route(all_, page(desk, _list)),
        Route(f"{all_}/sync", action(desk, _sync), methods=["POST"]),
        Route(f"{all_}/catalog", page(desk, _catalog)),
        Route(f"{all_}/new/{{type}}", page(desk, _form), methods=["GET"]),
        Route(f"{all_}/new/{{type}}", action(desk, _create, Role.OWNER), methods=["POST"]),
    ]


async def _list(visit: Visit) -> Response:
    control, pipeline = visit.desk.control, visit.desk.pipeline
    entries = await asyncio.to_thread(control.warehouses.all, visit.workspace.id)
    sources = await asyncio.to_thread(control.sources.all, visit.workspace.id)
    loaded = await standing.asked(pipeline.warehouses(), "warehouses")
    runs = await standing.asked(pipeline.syncs(None, _RUNS, among=[each.id for each in entries]), "syncs")
    stands = {each["warehouseId"]: each for each in loaded or []}
    names = {each.id: each.name for each in entries}
    return visit.page(
        "warehouses.html",
        reachable=loaded is not None,
        warehouses=[
            {
                "entry": each,
                "type_name": type_name(visit, each),
                "at": stands.get(each.id),
                "state": standing.of_warehouse(stands.get(each.id), enabled=each.enabled),
                "synced_at": instant(stands.get(each.id, {}).get("lastSync")),
                "schemas": [source.schema_name for source in sources if source.id in each.source_ids],
            }
            for each in entries
        ],
        runs=[run_shown(run, names) for run in runs or []],
    )


def instant(text: str | None) -> datetime | None:
    """Return an instant as templates show it."""
    return None if text is None else datetime.fromisoformat(text)


def run_shown(run: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a sync run as the tables of runs show it."""
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
    entries = await asyncio.to_thread(visit.desk.control.warehouses.all, visit.workspace.id)
    await visit.desk.pipeline.sync(None, wait=True, among=[each.id for each in entries])
    return visit.to("warehouse")


async def _catalog(visit: Visit) -> Response:
    entries = await asyncio.to_thread(visit.desk.control.catalog.entries, Kind.WAREHOUSE)
    return visit.page("warehouse-catalog.html", entries=entries)


async def _form(visit: Visit) -> Response:
    entry = await asyncio.to_thread(_entry, visit)
    return await _show_form(visit, entry, entry.name, {})


def _entry(visit: Visit) -> Entry:
    return visit.desk.control.catalog.find(Kind.WAREHOUSE, visit.request.path_params["type"])


async def _show_form(
    visit: Visit,
    entry: Entry,
    name: str,
    settings: Mapping[str, Any],
    *,
    error: InvalidRequestError | None = None,
    tried: Mapping[str, Any] | None = None,
) -> Response:
    field = str(getattr(error, "field", ""))
    fields = forms.fields(entry.options, settings, {field: str(error)} if error else {})
    shown_there = {each.name for each in fields} | {"name"}
    return visit.page(
        "warehouse-new.html",
        entry=entry,
        name=name,
        fields=fields,
        problems={field: str(error)} if error else {},
        problem=str(error) if error and field not in shown_there else "",
        tried=tried,
        status=422 if error else 200,
    )


async def _create(visit: Visit) -> Response:
    """Create the warehouse, or with the button "Test connection" try its settings and show the form again."""
    entry = await asyncio.to_thread(_entry, visit)
    control, form = visit.desk.control, visit.form
    name = form.get("name", "")
    raw = {option.name: form.get(f"{forms.PREFIX}{option.name}", "") for option in entry.options}
    try:
        settings = forms.filled(entry.options, form)
        if "test" in form:
            return await _show_form(visit, entry, name, settings, tried=await attempt(visit, entry, settings))
        created = await asyncio.to_thread(
            lambda: control.warehouses.create(visit.workspace.id, entry.slug, name=name, settings=settings)
        )
    except InvalidRequestError as error:
        return await _show_form(visit, entry, name, raw, error=error)
    return visit.to("warehouse", created.id)


async def attempt(
    visit: Visit, entry: Entry, settings: Mapping[str, Any], warehouse_id: str | None = None
) -> dict[str, Any]:
    """Try settings out and return `ok` and `message`; a masked secret is the stored one of the warehouse."""
    checked = await asyncio.to_thread(
        visit.desk.control.warehouses.merged_settings, visit.workspace.id, entry.slug, settings, warehouse_id
    )
    try:
        return await visit.desk.pipeline.test_warehouse(entry.module_name, checked)
    except LogUnavailableError as error:
        return {"ok": False, "message": str(error)}


def found(visit: Visit) -> WarehouseEntry:
    """Return the warehouse of the address.

    Raises:
        NotFoundError: this workspace has none like it.
    """
    return visit.desk.control.warehouses.get(visit.workspace.id, visit.request.path_params["warehouse"])


def type_name(visit: Visit, warehouse: WarehouseEntry) -> str:
    """Return what its type is called, the type itself where this version does not know it."""
    try:
        return visit.desk.control.catalog.find(Kind.WAREHOUSE, warehouse.type).name
    except NotFoundError:
        return warehouse.type


async def headed(visit: Visit, tab: str) -> dict[str, Any]:
    """Return what the head of each of a warehouse's pages shows, and how it does.

    Args:
        visit: its address names the warehouse.
        tab: which of the pages it is.
    """
    warehouse = await asyncio.to_thread(found, visit)
    loaded = await standing.asked(visit.desk.pipeline.warehouses(), "warehouses")
    at = next((each for each in loaded or [] if each["warehouseId"] == warehouse.id), None)
    return {
        "tab": tab,
        "warehouse": warehouse,
        "type_name": type_name(visit, warehouse),
        "at": at,
        "state": standing.of_warehouse(at, enabled=warehouse.enabled),
        "reachable": loaded is not None,
    }
