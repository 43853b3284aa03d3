"""`/dead-letters`: what could not be delivered is found, retried and given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import letters as models
from headwater.control.api.parameters import DESTINATION, EVENT, SOURCE, moment, whole
from headwater.control.models import Role
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError

_IDS_MAX: Final = 1_000  # ours, a call
_PAGE_MAX: Final = 200  # ours: what the pipeline role gives at a time
_FILTERS: Final = ("sourceId", "event", "type", "reason", "messageId", "since", "until")
_QUERY: Final = (
    DESTINATION,
    SOURCE,
    EVENT,
    Query("type", "Only calls of this type, such as track."),
    Query("reason", "Only those that were given up for this reason."),
    Query("messageId", "Only this event."),
    moment("since", "Only those that were given up at or after this time."),
    moment("until", "Only those that were given up before this time."),
    whole("count", "How many at most.", 1, 500),
    Query("cursor", "`next` of the page before."),
)


class DeadLetters(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters: some by id, or all that match; with `dryRun` they are only counted."""

    ids: list[str] | UnsetType = UNSET
    destinationId: str | UnsetType = UNSET  # noqa: N815 - the API's spelling
    sourceId: str | UnsetType = UNSET  # noqa: N815
    event: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    messageId: str | UnsetType = UNSET  # noqa: N815
    since: str | UnsetType = UNSET
    until: str | UnsetType = UNSET
    all: bool = False
    dryRun: bool = False  # noqa: N815


class DeadLetterOperations:
    """Everything under `/dead-letters`."""

    def __init__(self, control: Control, pipeline: Pipeline) -> None:
        self._control, self._pipeline = control, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        letters = "/dead-letters"
        return [
            Operation("GET", letters, Role.READ_ONLY, self.all, answer=models.DeadLetters, query=_QUERY),
            Operation("GET", f"{letters}/{{deadLetterId}}", Role.READ_ONLY, self.get, answer=models.DeadLetter),
            Operation("POST", f"{letters}/retry", Role.MEMBER, self.retry, DeadLetters, answer=models.Count),
            Operation("POST", f"{letters}/discard", Role.MEMBER, self.discard, DeadLetters, answer=models.Count),
        ]

    async def all(self, asked: Asked) -> Answer:
        """Return the dead letters that match, newest first; `next` is the cursor of the page that follows."""
        wanted = {name: asked.query[name] for name in _FILTERS if name in asked.query}
        destination_id, chosen = await self._chosen(asked, asked.query.get("destinationId"), wanted)
        count = asked.whole("count", 50, 1, 500)
        return await self._pipeline.dead_letters(
            destination_id, asked.query.get("cursor"), min(count, _PAGE_MAX), chosen=chosen
        )

    async def get(self, asked: Asked) -> Answer:
        """Return one dead letter with its event and the service's last answer."""
        letter = await self._letter(asked.path["deadLetterId"])
        if letter is None or letter["destinationId"] not in await self._mine(asked):
            raise NotFoundError("There is no such dead letter; it may have been retried, discarded or expired.")
        return letter

    async def retry(self, asked: Asked) -> Answer:
        """Deliver dead letters again."""
        return await self._pipeline.retry_dead_letters(**await self._which(asked))

    async def discard(self, asked: Asked) -> Answer:
        """Give dead letters up for good."""
        return await self._pipeline.discard_dead_letters(**await self._which(asked))

    async def _which(self, asked: Asked) -> Mapping[str, Any]:
        wanted: DeadLetters = asked.body
        filters = {name: value for name in _FILTERS if not isinstance(value := getattr(wanted, name), UnsetType)}
        destination_id = None if isinstance(wanted.destinationId, UnsetType) else wanted.destinationId
        is_matching = bool(filters) or destination_id is not None or wanted.all
        if isinstance(wanted.ids, UnsetType) != is_matching:
            told = "name either ids, or destinationId and other filters, or all"
            raise InvalidRequestError(told, field="ids")
        if isinstance(wanted.ids, UnsetType):
            destination_id, chosen = await self._chosen(asked, destination_id, filters)
            return {"destination_id": destination_id, "chosen": chosen, "dry_run": wanted.dryRun}
        if not 1 <= len(wanted.ids) <= _IDS_MAX:
            raise InvalidRequestError(f"ids are 1 to {_IDS_MAX}", field="ids")
        return {"ids": await self._known(asked, wanted.ids), "dry_run": wanted.dryRun}

    async def _known(self, asked: Asked, ids: list[str]) -> list[str]:
        """Return those of the ids that are dead letters of this workspace.

        Raises:
            NotFoundError: none is.
        """
        mine, known = await self._mine(asked), []
        for each in dict.fromkeys(ids):
            letter = await self._letter(each)
            if letter is not None and letter["destinationId"] in mine:
                known.append(each)
        if not known:
            raise NotFoundError("There are no such dead letters; GET /dead-letters lists them.")
        return known

    async def _letter(self, number: str) -> dict[str, Any] | None:
        """Return a dead letter of any workspace; None where it is gone, which sounds like another workspace's."""
        try:
            return await self._pipeline.dead_letter(number)
        except NotFoundError:
            return None

    async def _chosen(
        self, asked: Asked, destination_id: str | None, filters: Mapping[str, str]
    ) -> tuple[str | None, dict[str, Any]]:
        """Return what the pipeline role is asked for: never more than this workspace's own."""
        chosen: dict[str, Any] = dict(filters)
        for name in ("since", "until"):
            if name in chosen:
                chosen[name] = _instant(chosen[name], name)
        workspace_id = asked.caller.workspace_id
        if "sourceId" in chosen:
            source = await asyncio.to_thread(self._control.sources.get, workspace_id, chosen["sourceId"])
            chosen["sourceId"] = source.id
        if destination_id is not None:
            await asyncio.to_thread(self._control.destinations.get, workspace_id, destination_id)
        else:
            chosen["destinationIds"] = sorted(await self._mine(asked))
        return destination_id, chosen

    async def _mine(self, asked: Asked) -> set[str]:
        found = await asyncio.to_thread(self._control.destinations.all, asked.caller.workspace_id)
        return {destination.id for destination in found}


def _instant(text: str, name: str) -> str:
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a `+` in a query stands for a blank
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidRequestError(f"{name} is a time with a zone, such as 2026-01-31T00:00:00Z", field=name)
    return found.isoformat()
