"""The live debugger: its page, the stream of events behind it, and where an event went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from headwater.control.live import Slice
from headwater.control.models import Source
from headwater.errors import InvalidRequestError
from headwater.spec.event import Event
from headwater.web import sources, standing, whereabouts
from headwater.web.access import admit_same_origin
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, page

SHOWN_MAX: Final = 500  # as in Segment's debugger; the page says so
PING_S: Final = 12.0  # below the shortest idle time-out of proxies that is in use
_ASK_AGAIN_S: Final = 2.0  # ours: how long a stream goes on after its session was ended
_NAMES_MAX: Final = 200
_SEQ_DIGITS_MAX: Final = 18


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the debugger."""
    source = "/{workspace}/sources/{source}"
    return [
        Route(f"{source}/debugger", page(desk, _debugger)),
        Route(f"{source}/stream", page(desk, _stream)),
        Route(f"{source}/where", page(desk, _where)),
    ]


async def _debugger(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    last = await asyncio.to_thread(visit.desk.volume.last_event, source.id)
    collections = await asyncio.to_thread(visit.desk.volume.collections, source.id)
    names = sorted({each.name for each in collections[:_NAMES_MAX]}, key=str.lower)
    chosen = visit.request.query_params.get("event", "")
    return visit.page(
        "debugger.html",
        source=source,
        type_name=sources.type_name(visit.desk, source),
        state=standing.of_source(source, last),
        names=names,
        chosen=chosen,
        extra=[chosen] if chosen and chosen not in names else [],
        q=visit.request.query_params.get("q", ""),
        shown_max=SHOWN_MAX,
    )


async def _stream(visit: Visit) -> Response:
    admit_same_origin(visit.request)
    source = await asyncio.to_thread(sources.found, visit)
    query = visit.request.query_params
    after = _sequence(visit.request.headers.get("last-event-id") or query.get("after", ""))
    frames = _frames(visit, source, after, query.get("event") or None)
    return StreamingResponse(frames, media_type="text/event-stream", headers={**HEADERS, "x-accel-buffering": "no"})


def _sequence(text: str) -> int | None:
    """Return the sequence a reader saw last, None when it saw nothing yet.

    Raises:
        InvalidRequestError: it is no sequence.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _SEQ_DIGITS_MAX):
        raise InvalidRequestError("after is the sequence of an event, a whole number", field="after")
    return int(text)


async def _frames(visit: Visit, source: Source, after: int | None, event: str | None) -> AsyncIterator[bytes]:
    """Yield frames of server-sent events until the reader leaves or its session ends.

    A first reader gets the newest events first; one that comes back gets what it missed. Ids are sequences of the log,
    so that they mean the same after a restart.
    """
    slices = visit.desk.live.stream(source.id, after, event)
    coming = asyncio.ensure_future(anext(slices))
    try:
        yield b"retry: 1500\n\n"
        await asyncio.sleep(0)  # the stream has noted its place: what arrives from here on is in it
        if after is None:
            recent = await asyncio.to_thread(visit.desk.live.recent, source.id, SHOWN_MAX, None, event)
            yield _batch(recent[::-1], recent[0].seq if recent else None, 0, backlog=True)
        asked_at = pinged_at = time.monotonic()
        while True:
            done, _ = await asyncio.wait({coming}, timeout=_ASK_AGAIN_S)
            if time.monotonic() - asked_at >= _ASK_AGAIN_S:
                if not await asyncio.to_thread(visit.desk.door.is_open, visit.session):
                    return
                asked_at = time.monotonic()
            if done:
                found: Slice = coming.result()
                coming = asyncio.ensure_future(anext(slices))
                if found.events or found.skipped:
                    yield _batch(found.events, found.next_seq - 1, found.skipped)
                    pinged_at = time.monotonic()
            if time.monotonic() - pinged_at >= PING_S:
                yield b"event: ping\ndata: {}\n\n"
                pinged_at = time.monotonic()
    finally:
        coming.cancel()


def _batch(events: Sequence[Event], last: int | None, skipped: int, *, backlog: bool = False) -> bytes:
    """Return one `batch` frame; JSON holds no raw newline, so one `data` line is enough."""
    shown: dict[str, Any] = {
        "events": [{"seq": event.seq, "body": msgspec.Raw(event.line)} for event in events],
        "skipped": skipped,
        "backlog": backlog,
    }
    position = b"" if last is None or last < 0 else b"id: %d\n" % last
    return position + b"event: batch\ndata: " + msgspec.json.encode(shown) + b"\n\n"


async def _where(visit: Visit) -> Response:
    """Answer where one event went, as JSON for the payload's foot."""
    source = await asyncio.to_thread(sources.found, visit)
    query = visit.request.query_params
    seq = _sequence(query.get("seq", ""))
    if seq is None:
        raise InvalidRequestError("seq is the sequence of an event", field="seq")
    stops = await whereabouts.of(visit, source, seq, query.get("id", ""))
    return JSONResponse({"stops": msgspec.to_builtins(stops)}, headers=HEADERS)
