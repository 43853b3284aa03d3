"""`/replay` and `/replays`: stored events are delivered again, and how far that has come."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import letters as models
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import DESTINATION
from headwater.control.models import Role
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError

_NUMBER_MAX: Final = 10**18
_RATE: Final = (0.01, 10_000.0)  # ours: events a second; as for a destination


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /replay` takes; times by `receivedAt`, `from` included, `to` not."""

    destinationId: str  # noqa: N815 - the API's spelling
    sourceId: str | UnsetType = UNSET  # noqa: N815
    since: datetime | UnsetType = msgspec.field(name="from", default=UNSET)
    until: datetime | UnsetType = msgspec.field(name="to", default=UNSET)
    event: str | UnsetType = UNSET
    userId: str | UnsetType = UNSET  # noqa: N815
    ratePerSecond: float | UnsetType = UNSET  # noqa: N815
    dryRun: bool = False  # noqa: N815


class ReplayOperations:
    """Everything about replays."""

    def __init__(self, control: Control, pager: Pager, pipeline: Pipeline) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        return [
            Operation("POST", "/replay", Role.MEMBER, self.replay, Replay, answer=models.Replayed, cost=TRIAL),
            Operation(
                "GET", "/replays", Role.READ_ONLY, self.all, answer=models.Replays, query=(DESTINATION,), paged=True
            ),
            Operation("GET", "/replays/{replayId}", Role.READ_ONLY, self.get, answer=models.OneReplay),
            Operation("POST", "/replays/{replayId}/cancel", Role.MEMBER, self.cancel, answer=models.OneReplay),
        ]

    async def replay(self, asked: Asked) -> Answer:
        """Deliver stored events again; with `dryRun` they are only counted."""
        wanted: Replay = asked.body
        workspace_id = asked.caller.workspace_id
        destination = await asyncio.to_thread(self._control.destinations.get, workspace_id, wanted.destinationId)
        source_id = None
        if not isinstance(wanted.sourceId, UnsetType):
            source = await asyncio.to_thread(self._control.sources.get, workspace_id, wanted.sourceId)
            source_id = source.id
        since, until = instant(wanted.since, "from"), instant(wanted.until, "to")
        if since and until and since >= until:
            raise InvalidRequestError("from is not before to", field="from")
        rate = None if isinstance(wanted.ratePerSecond, UnsetType) else wanted.ratePerSecond
        if rate is not None and not _RATE[0] <= rate <= _RATE[1]:
            raise InvalidRequestError(f"ratePerSecond is from {_RATE[0]} to {_RATE[1]:,.0f}", field="ratePerSecond")
        return await self._pipeline.replay(
            destination.id,
            source_id=source_id,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
            event=wanted.event or None,
            user_id=wanted.userId or None,
            rate_per_s=rate,
            dry_run=wanted.dryRun,
        )

    async def all(self, asked: Asked) -> Answer:
        """Return a page of the newest replays of the workspace, or of one `destinationId`, newest first."""
        destination_id = asked.query.get("destinationId")
        if destination_id is not None:
            await asyncio.to_thread(self._control.destinations.get, asked.caller.workspace_id, destination_id)
        found = await self._runs(asked, destination_id)
        page, pagination = self._pager.page(
            asked, f"replays/{destination_id or ''}", found, lambda each: f"{_NUMBER_MAX - int(each['id']):019}"
        )
        return {"replays": page, "pagination": pagination}

    async def get(self, asked: Asked) -> Answer:
        """Return one replay with its progress."""
        return {"replay": await self._one(asked)}

    async def cancel(self, asked: Asked) -> Answer:
        """End a replay where it is and return it."""
        run = await self._one(asked)
        await self._pipeline.cancel_replay(int(run["id"]))
        return {"replay": await self._one(asked)}

    async def _one(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.path["replayId"]
        for run in await self._runs(asked, None):
            if str(run["id"]) == wanted:
                return run
        raise NotFoundError(f"There is no replay {wanted[:60]!r}; GET /replays lists the newest.")

    async def _runs(self, asked: Asked, destination_id: str | None) -> list[dict[str, Any]]:
        mine = await asyncio.to_thread(self._control.destinations.all, asked.caller.workspace_id)
        found = await self._pipeline.replays(destination_id, among=[destination.id for destination in mine])
        return list(found["replays"])


def instant(given: datetime | UnsetType, field: str) -> datetime | None:
    """Return a time of a request, None where there is none.

    Raises:
        InvalidRequestError: it has no zone.
    """
    if isinstance(given, UnsetType):
        return None
    if given.tzinfo is None:
        raise InvalidRequestError(f"{field} needs a zone, such as 2026-01-31T00:00:00Z", field=field)
    return given
