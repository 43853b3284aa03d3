"""`/unmapped`: webhooks that are stored but could not be mapped, why, and once more after a fix."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import events as models
from headwater.control.api.parameters import SOURCE, whole
from headwater.control.models import Role
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import NotFoundError

_COUNT: Final = whole("count", "How many at most.", 1, 500)
_DIGITS_MAX: Final = 18  # of a 64-bit number


class RetryUnmapped(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /unmapped/retry` takes: one source, or all."""

    sourceId: str | UnsetType = UNSET  # noqa: N815 - the API's spelling


class UnmappedOperations:
    """`/unmapped`, one of them, and `/unmapped/retry`."""

    def __init__(self, control: Control, pipeline: Pipeline) -> None:
        self._control, self._pipeline = control, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        return [
            Operation(
                "GET", "/unmapped", Role.READ_ONLY, self.list, answer=models.UnmappedList, query=(SOURCE, _COUNT)
            ),
            Operation("GET", "/unmapped/{inboxSeq}", Role.READ_ONLY, self.show, answer=models.OneUnmapped),
            Operation("POST", "/unmapped/retry", Role.MEMBER, self.retry, RetryUnmapped, answer=models.MappedAgain),
        ]

    async def list(self, asked: Asked) -> Answer:
        """Return webhooks that could not be mapped, newest first."""
        count = asked.whole("count", 50, 1, 500)
        source_id = await self._source_id(asked, asked.query.get("sourceId"))
        return await self._pipeline.unmapped(source_id, count, among=await self._mine(asked))

    async def show(self, asked: Asked) -> Answer:
        """Return one with its body as it came."""
        number = asked.path["inboxSeq"]
        if not (number.isascii() and number.isdecimal() and len(number) <= _DIGITS_MAX):
            raise NotFoundError(f"No webhook {number[:_DIGITS_MAX]!r} waits to be mapped; GET /unmapped lists them.")
        try:
            found = await self._pipeline.unmapped_one(int(number))
        except NotFoundError:
            found = {"sourceId": ""}  # sounds like another workspace's
        if found["sourceId"] not in await self._mine(asked):
            raise NotFoundError(f"No webhook {number} waits to be mapped; GET /unmapped lists them.")
        return {"unmapped": found}

    async def retry(self, asked: Asked) -> Answer:
        """Map them once more."""
        wanted = asked.body.sourceId
        source_id = await self._source_id(asked, None if isinstance(wanted, UnsetType) else wanted)
        return await self._pipeline.retry_unmapped(source_id, among=await self._mine(asked))

    async def _mine(self, asked: Asked) -> Sequence[str]:
        """Return the ids of the workspace's sources."""
        return [each.id for each in await asyncio.to_thread(self._control.sources.all, asked.caller.workspace_id)]

    async def _source_id(self, asked: Asked, key: str | None) -> str | None:
        if key is None:
            return None
        source = await asyncio.to_thread(self._control.sources.get, asked.caller.workspace_id, key)
        return source.id
