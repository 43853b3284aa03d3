"""What arrives: live events, their stream, volume, collections and what was refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from starlette.responses import StreamingResponse

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import events as models
from headwater.control.api.parameters import BEFORE, EVENT, SOURCE, whole
from headwater.control.live import Live, Slice, name_of
from headwater.control.models import Role, Source
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.control.volume import LastEvent, Volume
from headwater.errors import InvalidRequestError
from headwater.spec.event import Event

_HOURS_MAX: Final = 24 * 31
_COUNT_MAX: Final = 500  # Segment's debugger shows as many
_SEQ_MAX: Final = 10**18 - 1
_COUNT: Final = whole("count", "How many at most.", 1, _COUNT_MAX)
_RECENT: Final = (_COUNT, BEFORE, EVENT)
_STREAM: Final = (whole("after", "Goes on behind this sequence.", 0, _SEQ_MAX), EVENT)
_HOURS: Final = whole("hours", "How many hours back.", 1, _HOURS_MAX)
_REJECTIONS: Final = (SOURCE, _COUNT, BEFORE)
_STREAMED: Final = "text/event-stream"
_ASK_AGAIN_S: Final = 2.0  # ours: how long a revoked token may go on reading a stream


class EventOperations:
    """The live debugger and the figures beside it, as an API."""

    def __init__(self, control: Control, live: Live, rejected: Live, volume: Volume) -> None:
        self._control, self._live, self._rejected, self._volume = control, live, rejected, volume

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/sources/{sourceId}"
        return [
            Operation("GET", "/events", Role.READ_ONLY, self.recent, answer=models.Events, query=_RECENT),
            Operation("GET", "/events/stream", Role.READ_ONLY, self.stream, query=_STREAM, files=(_STREAMED,)),
            Operation("GET", f"{one}/events", Role.READ_ONLY, self.recent, answer=models.Events, query=_RECENT),
            Operation("GET", f"{one}/events/stream", Role.READ_ONLY, self.stream, query=_STREAM, files=(_STREAMED,)),
            Operation("GET", f"{one}/volume", Role.READ_ONLY, self.volume, answer=models.Volume, query=(_HOURS,)),
            Operation("GET", f"{one}/collections", Role.READ_ONLY, self.collections, answer=models.Collections),
            Operation(
                "GET", "/rejections", Role.READ_ONLY, self.rejections, answer=models.Rejections, query=_REJECTIONS
            ),
        ]

    def recent(self, asked: Asked) -> Answer:
        """Return the newest events, newest first; `next` is the `before` of the following page."""
        wanted = self._source_ids(asked)
        count = asked.whole("count", 50, 1, _COUNT_MAX)
        found = self._live.recent(wanted, count, _before(asked), asked.query.get("event") or None)
        return {"events": [_event(each) for each in found], "next": found[-1].seq if len(found) == count else None}

    async def stream(self, asked: Asked) -> Answer:
        """Return server-sent events: the id is the sequence, `Last-Event-ID` or `after` goes on behind it."""
        wanted = await asyncio.to_thread(self._source_ids, asked)
        last_seen = asked.headers.get("last-event-id") or asked.query.get("after")
        if last_seen is not None and not (last_seen.isascii() and last_seen.isdecimal() and int(last_seen) <= _SEQ_MAX):
            raise InvalidRequestError("the id to go on after is a whole number", field="after")
        after = None if last_seen is None else int(last_seen)
        slices = self._live.stream(wanted, after, asked.query.get("event") or None)
        return StreamingResponse(
            self._sent(slices, asked.caller.token_id),
            media_type=_STREAMED,
            headers={"x-accel-buffering": "no"},  # nginx would keep events back
        )

    async def _sent(self, slices: AsyncIterator[Slice], token_id: str) -> AsyncIterator[bytes]:
        """Yield frames until the reader leaves or its token is worth nothing any more, busy or silent."""
        coming, asked_at = asyncio.ensure_future(anext(slices)), time.monotonic()
        try:
            yield b": connected\n\n"
            while True:
                done, _ = await asyncio.wait({coming}, timeout=_ASK_AGAIN_S)
                if time.monotonic() - asked_at >= _ASK_AGAIN_S:
                    if not await asyncio.to_thread(self._control.tokens.is_valid, token_id):
                        return
                    asked_at = time.monotonic()
                if done:
                    found = coming.result()
                    coming = asyncio.ensure_future(anext(slices))
                    yield _lines(found)
        finally:
            coming.cancel()

    def volume(self, asked: Asked) -> Answer:
        """Return what a source sent in the last `hours` (24): sums, by event, by hour."""
        source = self._source(asked)
        hours = asked.whole("hours", 24, 1, _HOURS_MAX)
        hourly = self._volume.hourly(source.id, hours)
        summary = self._volume.summary(source.id, hourly[0].start)
        last = self._volume.last_event(source.id)
        return {
            "accepted": summary.accepted,
            "duplicates": summary.duplicates,
            "rejected": sum(summary.rejected.values()),
            "rejectedByCode": summary.rejected,
            "events": summary.events,
            "hourly": [{"start": each.start, "accepted": each.accepted, "rejected": each.rejected} for each in hourly],
            "lastEvent": _last(last) if last else None,
        }

    def collections(self, asked: Asked) -> Answer:
        """Return the kinds of event a source has sent."""
        found = self._volume.collections(self._source(asked).id)
        return {
            "collections": [
                {
                    "type": each.type,
                    "name": each.name,
                    "count": each.count,
                    "firstSeen": text_of(each.first_seen),
                    "lastSeen": text_of(each.last_seen),
                }
                for each in found
            ]
        }

    def rejections(self, asked: Asked) -> Answer:
        """Return what was refused, newest first, and how much in the last 24 hours by source and code."""
        key = asked.query.get("sourceId")
        wanted = {self._control.sources.get(asked.caller.workspace_id, key).id} if key else self._refused(asked)
        count = asked.whole("count", 50, 1, _COUNT_MAX)
        found = self._rejected.recent(wanted, count, _before(asked))
        totals = self._volume.rejections(datetime.now(UTC) - timedelta(hours=24))
        return {
            "rejections": [{"seq": each.seq, "sourceId": each.source_id or None, **each.body} for each in found],
            "next": found[-1].seq if len(found) == count else None,
            "totals": [
                {"sourceId": source or None, "code": code, "count": number}
                for (source, code), number in sorted(totals.items())
                if source in wanted
            ],
        }

    def _source_ids(self, asked: Asked) -> set[str]:
        """Return the source of the path, or all of the workspace."""
        return {self._source(asked).id} if "sourceId" in asked.path else self._mine(asked)

    def _mine(self, asked: Asked) -> set[str]:
        return {each.id for each in self._control.sources.all(asked.caller.workspace_id)}

    def _refused(self, asked: Asked) -> set[str]:
        """Return the sources whose rejections a caller sees: the workspace's.

        What belongs to no source, such as an unknown write key, is seen by operators, and where there is one workspace.
        """
        is_alone = asked.caller.is_operator or len(self._control.workspaces.all()) == 1
        return self._mine(asked) | ({""} if is_alone else set())

    def _source(self, asked: Asked) -> Source:
        return self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])


def _before(asked: Asked) -> int | None:
    return asked.whole("before", 0, 0, _SEQ_MAX) if "before" in asked.query else None


def _last(event: LastEvent) -> dict[str, Any]:
    shown = {"seq": event.seq, "type": event.type, "name": event.name}
    return {**shown, "receivedAt": text_of(event.received_at), "who": event.who}


def _event(event: Event) -> dict[str, Any]:
    shown = {"seq": event.seq, "sourceId": event.source_id, "type": event.type, "name": name_of(event)}
    return {**shown, "receivedAt": event.body.get("receivedAt"), "event": event.body}


def _lines(found: Slice) -> bytes:
    """Return a slice as server-sent events; a comment when it is empty, which keeps the connection."""
    sent = [b"id: %d\ndata: %s\n\n" % (each.seq, msgspec.json.encode(_event(each))) for each in found.events]
    if found.skipped:
        sent.append(b'event: skipped\ndata: {"count":%d}\n\n' % found.skipped)
    return b"".join(sent) or b": nothing new\n\n"
