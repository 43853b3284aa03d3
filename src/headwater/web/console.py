"""The SQL console: a question, its answer, and what can be asked about."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.asking import QueryResult
from headwater.control.models import Role
from headwater.errors import QueryError
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
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # ASVS 1.2.10: what spreadsheets take for a formula
_TREE: Final = (
    "select table_schema, table_name, count(*) from information_schema.columns"
    " where table_schema not in ('information_schema', 'main', 'pg_catalog') group by 1, 2 order by 1, 2"
)


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the SQL console; asking changes nothing, so a read-only session may ask."""
    return [
        Route("/{workspace}/sql", page(desk, _console), methods=["GET"]),
        Route("/{workspace}/sql", action(desk, _run, Role.READ_ONLY), methods=["POST"]),
    ]


async def _console(visit: Visit) -> Response:
    """Show a given question unasked, so that no link makes somebody ask it; our own first one with its answer."""
    if given := visit.request.query_params.get("q", "")[:_SQL_CHARS_MAX]:
        return await _show(visit, given)
    sql = await asyncio.to_thread(_first_question, visit)
    try:
        result = await visit.desk.query(sql)
    except QueryError:  # nothing is loaded yet
        return await _show(visit, sql)
    return await _show(visit, sql, result=result)


def _first_question(visit: Visit) -> str:
    """Return a question that this workspace can answer."""
    sources = visit.desk.control.sources.all(visit.workspace.id)
    schema = next((each.schema_name for each in sources if each.type == "activecampaign"), "")
    schema = schema or (sources[0].schema_name if sources else "activecampaign")
    what = "select event, count(*) as events, max(timestamp) as latest"
    return f"{what}\nfrom {schema}.tracks\ngroup by 1\norder by 2 desc"


async def _run(visit: Visit) -> Response:
    sql = (visit.form.get("open") or visit.form.get("sql", "")).strip()
    if not sql:
        return await _show(visit, "", problem="Write a question first, such as: select * from activecampaign.tracks")
    try:
        result = await visit.desk.query(sql)
    except QueryError as error:
        return await _show(visit, sql, problem=str(error), status=422)
    if "csv" in visit.form:
        headers = {**HEADERS, "content-disposition": 'attachment; filename="headwater.csv"'}
        return Response(_csv(result), media_type="text/csv; charset=utf-8", headers=headers)
    return await _show(visit, sql, result=result)


async def _show(
    visit: Visit, sql: str, *, result: QueryResult | None = None, problem: str = "", status: int = 200
) -> Response:
    shown = None if result is None else [[_cell(value) for value in row] for row in result.rows[:_SHOWN_ROWS]]
    return visit.page(
        "sql.html",
        status=status,
        sql=sql,
        problem=problem,
        result=result,
        rows=shown,
        columns=[] if result is None else list(zip(result.columns, result.types, strict=True)),
        numeric=[] if result is None else [_is_number(kind) for kind in result.types],
        tree=await _tree(visit),
        shown_max=_SHOWN_ROWS,
    )


async def _tree(visit: Visit) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return the schemas with their tables and how many columns each has; () before the first load."""
    try:
        found = await visit.desk.query(_TREE)
    except QueryError:
        return []
    schemas: dict[str, list[tuple[str, int]]] = {}
    for schema, table, columns in list(found.rows)[:_TABLES_MAX]:
        schemas.setdefault(str(schema), []).append((str(table), int(columns)))
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


def _csv(result: QueryResult) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_harmless(column) for column in result.columns])
    writer.writerows([_for_csv(row) for row in result.rows])
    return text.getvalue()


def _for_csv(row: Sequence[Any]) -> list[str]:
    return [_harmless(value) if isinstance(value, str) else _cell(value) or "" for value in row]


def _harmless(text: str) -> str:
    """Return a cell that no spreadsheet runs."""
    return f"'{text}" if text.startswith(_FORMULA) else text
