"""`/query`: stored events are asked in SQL; what is running can be seen and cancelled, results saved as files."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import queries as models
from headwater.control.asking import Asking
from headwater.control.models import Role, WarehouseEntry
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.limits import QUERY_EXPORT_SECONDS_MAX, QUERY_ROWS_MAX, QUERY_SECONDS_MAX
from headwater.warehouses.contract import Format, Result

_SQL_CHARS_MAX: Final = 100_000  # ours
_INTEGER_MAX: Final = 2**63 - 1  # what JSON readers hold at least; sums of DuckDB can be wider
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MEDIA_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.JSON: "application/json",
}


class QuerySql(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /query` takes; without `warehouseId`, the oldest warehouse is asked.

    With `format`, the answer is a file with every row; else JSON with at most `rows` of them. A query is cancelled by
    its `id`: who may only read knows no others than their own.
    """

    sql: str
    warehouseId: str | UnsetType = UNSET  # noqa: N815 - the API's spelling
    rows: int = QUERY_ROWS_MAX
    timeoutS: float | UnsetType = UNSET  # noqa: N815 - the API's spelling
    id: str | UnsetType = UNSET
    format: Format | UnsetType = UNSET


class QueryOperations:
    """`/query`, `/queries` and the catalog of tables."""

    def __init__(self, control: Control, asking: Asking) -> None:
        self._control, self._asking = control, asking

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        return [
            Operation(
                "POST",
                "/query",
                Role.READ_ONLY,
                self.query,
                QuerySql,
                answer=models.Rows,
                cost=TRIAL,
                files=tuple(_MEDIA_TYPES.values()),
            ),
            Operation("GET", "/queries", Role.MEMBER, self.list, answer=models.RunningQueries),
            Operation("DELETE", "/queries/{queryId}", Role.READ_ONLY, self.cancel, answer=Done),
            Operation(
                "GET",
                "/warehouses/{warehouseId}/catalog",
                Role.READ_ONLY,
                self.catalog,
                answer=models.Schemas,
                cost=TRIAL,
            ),
        ]

    def query(self, asked: Asked) -> Answer:
        """Ask a warehouse in SQL, read-only."""
        wanted: QuerySql = asked.body
        if not wanted.sql.strip() or len(wanted.sql) > _SQL_CHARS_MAX:
            raise InvalidRequestError(f"sql has 1 to {_SQL_CHARS_MAX} characters", field="sql")
        if not 1 <= wanted.rows <= QUERY_ROWS_MAX:
            raise InvalidRequestError(f"rows is a whole number from 1 to {QUERY_ROWS_MAX}", field="rows")
        query_id = _or_default(wanted.id, "")
        if query_id and not _ID.fullmatch(query_id):
            raise InvalidRequestError("id has 1 to 64 letters, digits, - and _", field="id")
        warehouse = self._warehouse(asked, wanted)
        if not isinstance(wanted.format, UnsetType):
            return self._file(warehouse, wanted, wanted.format, query_id)
        seconds = _seconds(wanted, QUERY_SECONDS_MAX)
        found = self._asking.run(warehouse.id, wanted.sql, wanted.rows, timeout_s=seconds, query_id=query_id)
        return _shape(found)

    def list(self, asked: Asked) -> Answer:
        """Return what is being answered now in this workspace, oldest first."""
        mine = self._mine(asked)
        return {
            "queries": [
                {
                    "id": each.id,
                    "warehouseId": each.warehouse_id,
                    "sql": each.sql,
                    "startedAt": text_of(each.started_at),
                }
                for each in self._asking.running()
                if each.warehouse_id in mine
            ]
        }

    def cancel(self, asked: Asked) -> Answer:
        """End a query; the one who asked gets an error that says so."""
        query_id, mine = asked.path["queryId"], self._mine(asked)
        known = [each for each in self._asking.running() if each.id == query_id and each.warehouse_id in mine]
        if not known or not self._asking.cancel(query_id, known[0].warehouse_id):
            raise NotFoundError("No query of this id is running; GET /queries lists those that are.")
        return {"status": "CANCELLED"}

    def catalog(self, asked: Asked) -> Answer:
        """Return the schemas of a warehouse with their tables and views, and the columns of each."""
        entry = self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])
        schemas: dict[str, list[dict[str, Any]]] = {}
        for table in self._asking.catalog(entry.id):
            columns = [{"name": name, "type": kind} for name, kind in table.columns]
            schemas.setdefault(table.schema, []).append({"name": table.name, "columns": columns})
        return {"schemas": [{"name": name, "tables": tables} for name, tables in schemas.items()]}

    def _file(self, warehouse: WarehouseEntry, wanted: QuerySql, format_: Format, query_id: str) -> FileResponse:
        """Return a file with every row; it is removed once it was sent."""
        scratch = Path(tempfile.mkdtemp(prefix="headwater-query-"))
        target = scratch / f"headwater.{format_}"
        seconds = _seconds(wanted, QUERY_EXPORT_SECONDS_MAX)
        try:
            rows = self._asking.export(warehouse.id, wanted.sql, target, format_, timeout_s=seconds, query_id=query_id)
        except BaseException:  # a full disk, or a server that stops
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return FileResponse(
            target,
            media_type=_MEDIA_TYPES[format_],
            filename=target.name,
            headers={"x-headwater-rows": str(rows)},
            background=BackgroundTask(shutil.rmtree, scratch, ignore_errors=True),
        )

    def _warehouse(self, asked: Asked, wanted: QuerySql) -> WarehouseEntry:
        if not isinstance(wanted.warehouseId, UnsetType):
            return self._control.warehouses.get(asked.caller.workspace_id, wanted.warehouseId)
        for entry in self._control.warehouses.all(asked.caller.workspace_id):
            return entry
        raise NotFoundError("This workspace has no warehouse; POST /warehouses adds one.")

    def _mine(self, asked: Asked) -> set[str]:
        """Return the ids of the workspace's warehouses."""
        return {each.id for each in self._control.warehouses.all(asked.caller.workspace_id)}


def _or_default(value: str | UnsetType, default: str) -> str:
    return default if isinstance(value, UnsetType) else value


def _seconds(wanted: QuerySql, most: float) -> float:
    """Return the time a query may take.

    Raises:
        InvalidRequestError: it is no time, or too long.
    """
    if isinstance(wanted.timeoutS, UnsetType):
        return most
    if not 0 < wanted.timeoutS <= QUERY_EXPORT_SECONDS_MAX:
        raise InvalidRequestError(f"timeoutS is more than 0 and at most {QUERY_EXPORT_SECONDS_MAX:g}", field="timeoutS")
    return wanted.timeoutS


def _shape(found: Result) -> dict[str, Any]:
    return {
        "columns": [{"name": name, "type": type_} for name, type_ in zip(found.columns, found.types, strict=True)],
        "rows": [[_cell(value) for value in row] for row in found.rows],
        "truncated": found.truncated,
        "durationMs": found.duration_ms,
    }


def _cell(value: Any) -> Any:
    """Return a value as JSON can hold it; what is wider than 64 bits becomes text instead of losing digits."""
    if isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX:
        return str(value)
    return value
