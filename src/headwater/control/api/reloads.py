"""What is done to a warehouse's rows beside loading: loaded again, counted by day, looked at, removed for good."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import warehouses as models
from headwater.control.api.parameters import whole
from headwater.control.api.replays import instant
from headwater.control.loads import table_of
from headwater.control.models import Role, WarehouseEntry
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError

_COLLECTIONS_MAX: Final = 1_000  # ours, a reload
_RELOADS_MAX: Final = 1_000  # ours: the newest that are looked at
_DAYS_MAX: Final = 90  # ours
_DAYS: Final = whole("days", "How many days.", 1, _DAYS_MAX)
_IDS_MAX: Final = 1_000  # ours, an erasure
_ID_CHARS_MAX: Final = 512  # as a userId


class Reload(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /warehouses/{warehouseId}/reloads` takes; times by `receivedAt`, `from` included, `to` not."""

    sourceIds: list[str] | UnsetType = UNSET  # noqa: N815 - the API's spelling
    collections: list[str] | UnsetType = UNSET
    since: datetime | UnsetType = msgspec.field(name="from", default=UNSET)
    until: datetime | UnsetType = msgspec.field(name="to", default=UNSET)


class Erasure(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /warehouses/{warehouseId}/erasures` takes: who is removed."""

    userIds: list[str] = []  # noqa: N815
    anonymousIds: list[str] = []  # noqa: N815
    emails: list[str] = []


class ReloadOperations:
    """Reloads, trends, misfits and erasures."""

    def __init__(self, control: Control, pipeline: Pipeline) -> None:
        self._control, self._pipeline = control, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/warehouses/{warehouseId}"
        reload = f"{one}/reloads/{{reloadId}}"
        return [
            Operation("GET", f"{one}/reloads", Role.READ_ONLY, self.all, answer=models.Reloads, paged=True),
            Operation("POST", f"{one}/reloads", Role.MEMBER, self.reload, Reload, answer=models.OneReload),
            Operation("GET", reload, Role.READ_ONLY, self.get, answer=models.OneReload, volatile=models.PROGRESS),
            Operation("DELETE", reload, Role.MEMBER, self.cancel, answer=models.OneReload),
            Operation("GET", f"{one}/row-trends", Role.READ_ONLY, self.trends, answer=models.RowTrends, query=(_DAYS,)),
            Operation("GET", f"{one}/misfits", Role.READ_ONLY, self.misfits, answer=models.Misfits),
            Operation("POST", f"{one}/erasures", Role.OWNER, self.erase, Erasure, answer=models.Erased),
        ]

    async def all(self, asked: Asked) -> Answer:
        """Return the newest reloads of a warehouse, newest first."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        return await self._pipeline.reloads(entry.id, asked.whole("pagination.count", 50, 1, _RELOADS_MAX))

    async def reload(self, asked: Asked) -> Answer:
        """Load a stretch of the log again, beside what comes in; rows replace those of the same id."""
        wanted: Reload = asked.body
        entry = await asyncio.to_thread(self._warehouse, asked)
        since, until = instant(wanted.since, "from"), instant(wanted.until, "to")
        if since and until and since >= until:
            raise InvalidRequestError("from is not before to", field="from")
        source_ids = None
        if not isinstance(wanted.sourceIds, UnsetType):
            source_ids = await asyncio.to_thread(self._source_ids, entry, wanted.sourceIds)
        return await self._pipeline.reload(
            entry.id,
            source_ids=source_ids,
            collections=None
            if isinstance(wanted.collections, UnsetType)
            else _collections(wanted.collections, entry.type),
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
        )

    async def get(self, asked: Asked) -> Answer:
        """Return one reload with its progress."""
        return {"reload": await self._one(asked)}

    async def cancel(self, asked: Asked) -> Answer:
        """End a reload where it is and return it; what it has loaded stays."""
        run = await self._one(asked)
        return await self._pipeline.cancel_reload(str(run["id"]))

    async def trends(self, asked: Asked) -> Answer:
        """Return how many rows were loaded on each of the last days, whole and by table."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        return await self._pipeline.row_trends(entry.id, asked.whole("days", 30, 1, _DAYS_MAX))

    async def misfits(self, asked: Asked) -> Answer:
        """Return which values did not fit the type of their column, and what became of it."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        return await self._pipeline.misfits(entry.id)

    async def erase(self, asked: Asked) -> Answer:
        """Remove a person's rows from a warehouse for good; done twice, the second finds nothing."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        found = await self._pipeline.remove_person(_ids(asked.body), entry.id)
        for each in found["warehouses"]:
            if each["warehouseId"] == entry.id:
                return {"rows": each["rows"], "error": each["error"]}
        raise NotFoundError("This warehouse is not loaded yet; try again in a moment.")

    def _source_ids(self, entry: WarehouseEntry, keys: list[str]) -> list[str]:
        """Return the ids of connected sources.

        Raises:
            InvalidRequestError: there are none, or one is not connected.
            NotFoundError: there is no such source.
        """
        ids = list(dict.fromkeys(self._control.sources.get(entry.workspace_id, key).id for key in keys))
        if not ids or not set(ids) <= set(entry.source_ids):
            raise InvalidRequestError("sourceIds are sources that are connected to this warehouse", field="sourceIds")
        return ids

    async def _one(self, asked: Asked) -> dict[str, Any]:
        entry, wanted = await asyncio.to_thread(self._warehouse, asked), asked.path["reloadId"]
        found = await self._pipeline.reloads(entry.id, _RELOADS_MAX)
        for run in found["reloads"]:
            if str(run["id"]) == wanted:
                return dict(run)
        raise NotFoundError(f"There is no reload {wanted[:60]!r}; choose one of this warehouse's.")

    def _warehouse(self, asked: Asked) -> WarehouseEntry:
        return self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])


def _collections(names: list[str], engine: str) -> list[str]:
    if not 1 <= len(names) <= _COLLECTIONS_MAX or not all(names):
        raise InvalidRequestError(f"collections has 1 to {_COLLECTIONS_MAX:,} names", field="collections")
    return list(dict.fromkeys(table_of(name, engine) for name in names))


def _ids(wanted: Erasure) -> dict[str, list[str]]:
    """Return who is meant.

    Raises:
        InvalidRequestError: nobody, too many at once, or something that is no id or address.
    """
    ids = {"userIds": wanted.userIds, "anonymousIds": wanted.anonymousIds, "emails": wanted.emails}
    if not 1 <= sum(map(len, ids.values())) <= _IDS_MAX:
        raise InvalidRequestError(f"name 1 to {_IDS_MAX:,} userIds, anonymousIds or emails", field="userIds")
    for name, values in ids.items():
        for value in values:
            if (
                not 0 < len(value) <= _ID_CHARS_MAX
                or not value.strip()
                or (name == "emails" and "@" not in value[1:-1])
            ):
                kind = "an address such as ann@example.com" if name == "emails" else f"1 to {_ID_CHARS_MAX} characters"
                raise InvalidRequestError(f"each of {name} is {kind}", field=name)
    return ids
