"""What is done with stored events: asked in SQL, delivered again, retried, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.asking import Query
from headwater.control.models import Role, WarehouseEntry
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.limits import QUERY_ROWS_MAX

_SQL_CHARS_MAX: Final = 100_000  # ours
_IDS_MAX: Final = 1_000  # ours, a call
_INTEGER_MAX: Final = 2**63 - 1  # what JSON readers hold at least; sums of DuckDB can be wider


class QuerySql(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /query` takes; without `warehouseId`, the oldest warehouse is asked."""

    sql: str
    warehouseId: str | UnsetType = UNSET  # noqa: N815 - the API's spelling
    rows: int = QUERY_ROWS_MAX


class DeadLetters(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters: some by id, or all of a destination."""

    ids: list[str] | UnsetType = UNSET
    destinationId: str | UnsetType = UNSET  # noqa: N815


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /replay` takes; times by `receivedAt`, `from` included, `to` not."""

    destinationId: str  # noqa: N815
    sourceId: str | UnsetType = UNSET  # noqa: N815
    since: datetime | UnsetType = msgspec.field(name="from", default=UNSET)
    until: datetime | UnsetType = msgspec.field(name="to", default=UNSET)
    event: str | UnsetType = UNSET
    dryRun: bool = False  # noqa: N815


class StoredEventOperations:
    """`/query`, `/replay` and `/dead-letters`."""

    def __init__(self, control: Control, pipeline: Pipeline, query: Query) -> None:
        self._control, self._pipeline, self._query = control, pipeline, query

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        letters = "/dead-letters"
        return [
            Operation("POST", "/query", Role.READ_ONLY, self.query, QuerySql),
            Operation("POST", "/replay", Role.MEMBER, self.replay, Replay),
            Operation("GET", letters, Role.READ_ONLY, self.dead_letters),
            Operation("GET", f"{letters}/{{deadLetterId}}", Role.READ_ONLY, self.dead_letter),
            Operation("POST", f"{letters}/retry", Role.MEMBER, self.retry, DeadLetters),
            Operation("POST", f"{letters}/discard", Role.MEMBER, self.discard, DeadLetters),
        ]

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

    async def replay(self, asked: Asked) -> Answer:
        """Deliver stored events again; with `dryRun` they are only counted."""
        wanted: Replay = asked.body
        workspace_id = asked.caller.workspace_id
        destination = await asyncio.to_thread(self._control.destinations.get, workspace_id, wanted.destinationId)
        source_id = None
        if not isinstance(wanted.sourceId, UnsetType):
            source = await asyncio.to_thread(self._control.sources.get, workspace_id, wanted.sourceId)
            source_id = source.id
        since, until = _instant(wanted.since, "from"), _instant(wanted.until, "to")
        if since and until and since >= until:
            raise InvalidRequestError("from is not before to", field="from")
        return await self._pipeline.replay(
            destination.id,
            source_id=source_id,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
            event=None if isinstance(wanted.event, UnsetType) else wanted.event,
            dry_run=wanted.dryRun,
        )

    async def dead_letters(self, asked: Asked) -> Answer:
        """Return what could not be delivered or mapped, newest first."""
        destination_id = asked.query.get("destinationId")
        if destination_id is not None:
            await asyncio.to_thread(self._control.destinations.get, asked.caller.workspace_id, destination_id)
        return await self._pipeline.dead_letters(
            destination_id, asked.query.get("cursor"), asked.whole("count", 50, 1, 500)
        )

    async def dead_letter(self, asked: Asked) -> Answer:
        """Return one dead letter with its event and the service's last answer."""
        return await self._pipeline.dead_letter(asked.path["deadLetterId"])

    async def retry(self, asked: Asked) -> Answer:
        """Deliver dead letters again."""
        return await self._pipeline.retry_dead_letters(**await self._which(asked))

    async def discard(self, asked: Asked) -> Answer:
        """Give dead letters up for good."""
        return await self._pipeline.discard_dead_letters(**await self._which(asked))

    async def _which(self, asked: Asked) -> Mapping[str, Any]:
        wanted: DeadLetters = asked.body
        ids, destination_id = wanted.ids, wanted.destinationId
        if not isinstance(ids, UnsetType) and isinstance(destination_id, UnsetType):
            if not 1 <= len(ids) <= _IDS_MAX:
                raise InvalidRequestError(f"ids are 1 to {_IDS_MAX}", field="ids")
            return {"ids": ids}
        if isinstance(ids, UnsetType) and not isinstance(destination_id, UnsetType):
            workspace_id = asked.caller.workspace_id
            destination = await asyncio.to_thread(self._control.destinations.get, workspace_id, destination_id)
            return {"destination_id": destination.id}
        raise InvalidRequestError("name either ids or destinationId", field="ids")

    def _warehouse(self, asked: Asked, wanted: QuerySql) -> WarehouseEntry:
        if not isinstance(wanted.warehouseId, UnsetType):
            return self._control.warehouses.get(asked.caller.workspace_id, wanted.warehouseId)
        for entry in self._control.warehouses.all(asked.caller.workspace_id):
            return entry
        raise NotFoundError("This workspace has no warehouse; POST /warehouses adds one.")


def _instant(given: datetime | UnsetType, field: str) -> datetime | None:
    if isinstance(given, UnsetType):
        return None
    if given.tzinfo is None:
        raise InvalidRequestError(f"{field} needs a zone, such as 2026-01-31T00:00:00Z", field=field)
    return given


def _cell(value: Any) -> Any:
    """Return a value as JSON can hold it; what is wider than 64 bits becomes text instead of losing digits."""
    if isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX:
        return str(value)
    return value
