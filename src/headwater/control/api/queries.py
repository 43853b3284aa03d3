"""`/query`: stored events are asked in SQL."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.asking import Query
from headwater.control.models import Role, WarehouseEntry
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.limits import QUERY_ROWS_MAX

_SQL_CHARS_MAX: Final = 100_000  # ours
_INTEGER_MAX: Final = 2**63 - 1  # what JSON readers hold at least; sums of DuckDB can be wider


class QuerySql(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /query` takes; without `warehouseId`, the oldest warehouse is asked."""

    sql: str
    warehouseId: str | UnsetType = UNSET  # noqa: N815 - the API's spelling
    rows: int = QUERY_ROWS_MAX


class QueryOperations:
    """`/query`."""

    def __init__(self, control: Control, query: Query) -> None:
        self._control, self._query = control, query

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        return [Operation("POST", "/query", Role.READ_ONLY, self.query, QuerySql)]

    def query(self, asked: Asked) -> Answer:
        """Ask a warehouse in SQL, read-only."""
        wanted: QuerySql = asked.body
        if not wanted.sql.strip() or len(wanted.sql) > _SQL_CHARS_MAX:
            raise InvalidRequestError(f"sql has 1 to {_SQL_CHARS_MAX} characters", field="sql")
        if not 1 <= wanted.rows <= QUERY_ROWS_MAX:
            raise InvalidRequestError(f"rows is a whole number from 1 to {QUERY_ROWS_MAX}", field="rows")
        found = self._query(self._warehouse(asked, wanted), wanted.sql, wanted.rows)
        return {
            "columns": [{"name": name, "type": type_} for name, type_ in zip(found.columns, found.types, strict=True)],
            "rows": [[_cell(value) for value in row] for row in found.rows],
            "truncated": found.truncated,
            "durationMs": found.duration_ms,
        }

    def _warehouse(self, asked: Asked, wanted: QuerySql) -> WarehouseEntry:
        if not isinstance(wanted.warehouseId, UnsetType):
            return self._control.warehouses.get(asked.caller.workspace_id, wanted.warehouseId)
        for entry in self._control.warehouses.all(asked.caller.workspace_id):
            return entry
        raise NotFoundError("This workspace has no warehouse; POST /warehouses adds one.")


def _cell(value: Any) -> Any:
    """Return a value as JSON can hold it; what is wider than 64 bits becomes text instead of losing digits."""
    if isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX:
        return str(value)
    return value
