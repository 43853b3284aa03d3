"""The SQL console: a question, its answer, and what can be asked about."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from headwater.control.models import Role, WarehouseEntry
from headwater.errors import QueryError
from headwater.warehouses.contract import CatalogTable, Format, Result
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

_SHOWN_ROWS: Final = 500
_CELL_CHARS: Final = 2_000
_TABLES_MAX: Final = 300
_SQL_CHARS_MAX: Final = 100_000
_NUMBERS: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT"}
    | {"DOUBLE"}
)
_WATCH_S: Final = 0.5  # how often a running question looks whether somebody still waits for it
_Found = TypeVar("_Found")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the SQL console; asking changes nothing, so a read-only session may ask."""
    return [
        Route("/{workspace}/sql", page(desk, _console), methods=["GET"]),
        Route("/{workspace}/sql", action(desk, _run, Role.READ_ONLY), methods=["POST"]),
    ]


async def _console(visit: Visit) -> Response:
    """Show a given question unasked, so that no link makes somebody ask it; our own first one with its answer."""
    query = visit.request.query_params
    warehouses = await asyncio.to_thread(visit.desk.control.warehouses.all, visit.workspace.id)
    warehouse = _chosen(warehouses, query.get("warehouse", ""))
    if given := query.get("q", "")[:_SQL_CHARS_MAX]:
        return await _show(visit, warehouses, warehouse, given)
    sql = await asyncio.to_thread(_first_question, visit)
    if warehouse is None:
        return await _show(visit, warehouses, None, sql)
    try:
        result = await asyncio.to_thread(visit.desk.asking.run, warehouse.id, sql)
    except QueryError:  # nothing is loaded yet
        return await _show(visit, warehouses, warehouse, sql)
    return await _show(visit, warehouses, warehouse, sql, result=result)


def _chosen(warehouses: list[WarehouseEntry], warehouse_id: str) -> WarehouseEntry | None:
    """Return the warehouse of this id, else the oldest."""
    return next((each for each in warehouses if each.id == warehouse_id), warehouses[0] if warehouses else None)


def _first_question(visit: Visit) -> str:
    """Return a question that this workspace can answer."""
    sources = visit.desk.control.sources.all(visit.workspace.id)
    schema = next((each.schema_name for each in sources if each.type == "activecampaign"), "")
    schema = schema or (sources[0].schema_name if sources else "activecampaign")
    what = "select event, count(*) as events, max(timestamp) as latest"
    return f"{what}\nfrom {schema}.tracks\ngroup by 1\norder by 2 desc"


async def _run(visit: Visit) -> Response:
    sql = (visit.form.get("open") or visit.form.get("sql", "")).strip()
    warehouses = await asyncio.to_thread(visit.desk.control.warehouses.all, visit.workspace.id)
    warehouse = _chosen(warehouses, visit.form.get("warehouse", ""))
    if warehouse is None:
        return await _show(visit, warehouses, None, sql, problem="There is no warehouse to ask; add one first.")
    if not sql:
        problem = "Write a question first, such as: select * from activecampaign.tracks"
        return await _show(visit, warehouses, warehouse, "", problem=problem)
    try:
        if (wanted := visit.form.get("save", "")) in set(Format):
            return await _saved(visit, warehouse, sql, Format(wanted))
        query_id = uuid4().hex
        result = await _while_wanted(
            visit, warehouse.id, query_id, lambda: visit.desk.asking.run(warehouse.id, sql, query_id=query_id)
        )
    except QueryError as error:
        return await _show(visit, warehouses, warehouse, sql, problem=str(error), status=422)
    return await _show(visit, warehouses, warehouse, sql, result=result)


async def _while_wanted(visit: Visit, warehouse_id: str, query_id: str, ask: Callable[[], _Found]) -> _Found:
    """Return what a question gives; who closes the page or stops loading it cancels the question."""
    asked = asyncio.ensure_future(asyncio.to_thread(ask))
    while not (await asyncio.wait({asked}, timeout=_WATCH_S))[0]:
        if await visit.request.is_disconnected():
            await asyncio.to_thread(visit.desk.asking.cancel, query_id, warehouse_id)
    return asked.result()


async def _saved(visit: Visit, warehouse: WarehouseEntry, sql: str, format_: Format) -> Response:
    """Return a file with every row of the answer; it is removed once it was sent."""
    scratch = Path(tempfile.mkdtemp(prefix="headwater-query-"))
    target, query_id = scratch / f"headwater.{format_}", uuid4().hex
    try:
        await _while_wanted(
            visit,
            warehouse.id,
            query_id,
            lambda: visit.desk.asking.export(warehouse.id, sql, target, format_, query_id=query_id),
        )
    except BaseException:  # a full disk, or a server that stops
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    removed = BackgroundTask(shutil.rmtree, scratch, ignore_errors=True)
    return FileResponse(target, filename=target.name, headers=HEADERS, background=removed)


async def _show(
    visit: Visit,
    warehouses: list[WarehouseEntry],
    warehouse: WarehouseEntry | None,
    sql: str,
    *,
    result: Result | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    shown = None if result is None else [[_cell(value) for value in row] for row in result.rows[:_SHOWN_ROWS]]
    return visit.page(
        "sql.html",
        status=status,
        sql=sql,
        problem=problem,
        warehouses=warehouses,
        warehouse=warehouse,
        result=result,
        rows=shown,
        columns=[] if result is None else list(zip(result.columns, result.types, strict=True)),
        numeric=[] if result is None else [_is_number(kind) for kind in result.types],
        tree=await _tree(visit, warehouse),
        shown_max=_SHOWN_ROWS,
    )


async def _tree(visit: Visit, warehouse: WarehouseEntry | None) -> list[tuple[str, list[CatalogTable]]]:
    """Return the schemas with their tables; none before the first load, or when the warehouse does not answer."""
    if warehouse is None:
        return []
    try:
        found = await asyncio.to_thread(visit.desk.asking.catalog, warehouse.id)
    except QueryError:
        return []
    schemas: dict[str, list[CatalogTable]] = {}
    for table in found[:_TABLES_MAX]:
        schemas.setdefault(table.schema, []).append(table)
    return list(schemas.items())


def _is_number(kind: str) -> bool:
    return kind.upper() in _NUMBERS or kind.upper().startswith("DECIMAL")


def _cell(value: Any) -> str | None:
    """Return a value as the table shows it; None stays None and is marked."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)[:_CELL_CHARS]
