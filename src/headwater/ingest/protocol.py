"""HTTP/1.1 for the open internet: uvicorn's protocol with deadlines and bounds, which uvicorn leaves to a proxy.

A connection is always in one phase, and each phase but the application's own has a deadline. One sweep a second looks
at all of them: that costs nothing on the hot path, where a timer a request would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headwater.ingest.answers import ENDLESS, WHOLE, refusal, wire
from headwater.limits import (
    BODY_BYTES_PER_S_MIN,
    BODY_DEADLINE_S,
    BODY_GRACE_S,
    CONNECTIONS_MAX,
    HEADER_BYTES_MAX,
    HEADER_DEADLINE_S,
    HEADERS_MAX,
    IDLE_DEADLINE_S,
    LINGER_BYTES_MAX,
    LINGER_DEADLINE_S,
    READ_DEADLINE_S,
    SWEEP_S,
)

_UPGRADE: Final = (b"\nUpgrade:", b"\nupgrade:")
_HEADER_OVERHEAD: Final = 4  # bytes: colon, blank and line end


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds that each phase may last, how often that is looked at, and how many connections there may be."""

    idle_s: float = IDLE_DEADLINE_S
    header_s: float = HEADER_DEADLINE_S
    body_s: float = BODY_DEADLINE_S
    body_grace_s: float = BODY_GRACE_S
    read_s: float = READ_DEADLINE_S
    linger_s: float = LINGER_DEADLINE_S
    sweep_s: float = SWEEP_S
    connections_max: int = CONNECTIONS_MAX


class Phase(Enum):
    """What a connection is waiting for."""

    IDLE = "a request"
    HEADERS = "the rest of the headers"
    BODY = "the rest of the body"
    ANSWER = "the application"
    LINGER = "the sender to take the answer"


class DoorProtocol(HttpToolsProtocol):
    """One connection; made by uvicorn."""

    def __init__(self, *args: Any, bounds: Bounds, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bounds = bounds
        self.phase = Phase.IDLE
        self.since = self.loop.time()
        self.header_bytes = 0
        self.body_bytes = 0
        self.unread_since: float | None = None
        self.refused: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take the connection, or turn it away when there are too many."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > self.bounds.connections_max:
            self.refuse(503, "too_many_connections", "Too many connections. Try again.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.phase = Phase.ANSWER
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and keep the phase."""
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEADERS)
        if self.phase is Phase.HEADERS:
            data = _without_upgrade(data)
            self.header_bytes += len(data)
        else:
            self.body_bytes += len(data)
        if self.phase is Phase.LINGER:
            self._swallow()
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # nobody upgrades here: answer the request as it is, and take no other on this connection
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._refuse_malformed()
        else:
            if self.phase is Phase.BODY:
                # an answer before the body's end must not break the connection under its sender
                self.cycle.transport = _Gentle(self)  # type: ignore[assignment]  # all that a cycle uses of it
            # a header that never ends gives no callback, so what came is what counts
            if self.phase is Phase.HEADERS and self.header_bytes > HEADER_BYTES_MAX:
                self._refuse_headers()

    def on_message_begin(self) -> None:
        """Start counting the header block."""
        super().on_message_begin()
        self.scope[WHOLE] = self.answer_whole  # type: ignore[typeddict-unknown-key]  # ours
        self._header_block = self._hosts = 0

    def on_url(self, url: bytes) -> None:
        """Count the request line as part of the header block."""
        self._header_block += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header unless there are too many or too much of them; trailers are none of ours."""
        if self.phase is Phase.BODY:
            return
        self._header_block += len(name) + len(value) + _HEADER_OVERHEAD
        if self._header_block > HEADER_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            self.refused = 431
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand a good request to the application."""
        if self.refused is None and self._hosts > 1:
            self.refused = 400
        if self.refused is not None:
            self._refuse_now()
            return
        self._enter(Phase.BODY)
        self.body_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body."""
        if self.refused is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Leave the rest to the application."""
        if self.refused is not None:
            return
        # a request that was answered before its end leaves the connection idle
        self._enter(Phase.IDLE if self.cycle.response_complete and not self.pipeline else Phase.ANSWER)
        super().on_message_complete()

    def answer_whole(self, scope: Any, wire: bytes) -> bool:
        """Write a finished answer at once, or return False when this request needs the way through ASGI."""
        cycle = self.cycle
        usual = cycle.scope is scope and cycle.keep_alive and scope["method"] == "POST" and not self.flow.write_paused
        if not usual or not wire or cycle.response_started or cycle.disconnected:
            return False
        cycle.response_started = cycle.response_complete = True
        self.transport.write(wire)
        cycle.message_event.set()
        self.on_response_complete()
        return True

    def on_response_complete(self) -> None:
        """Go on with the next request; without uvicorn's timer, because the sweep closes idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self.phase is Phase.ANSWER:
            self._enter(Phase.IDLE)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def pause_writing(self) -> None:
        """Note that the other side does not read."""
        self.unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the other side reads again."""
        self.unread_since = None
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """End the connection if it has outstayed its phase."""
        waited = now - self.since
        if self.unread_since is not None and now - self.unread_since > self.bounds.read_s:
            self.transport.abort()
        elif self.phase is Phase.IDLE and waited > self.bounds.idle_s:
            self.transport.close()
        elif self.phase is Phase.HEADERS and waited > self.bounds.header_s:
            self.refuse(408, "request_timeout", "The headers took too long.")
        elif self.phase is Phase.BODY and self._is_slow(waited):
            self.refuse(408, "request_timeout", "The body took too long.")
        elif self.phase is Phase.LINGER and waited > self.bounds.linger_s:
            self.transport.abort()

    def _is_slow(self, waited: float) -> bool:
        if self.flow.read_paused:  # then the application is slow, not the sender
            return False
        return waited > self.bounds.body_s or (
            waited > self.bounds.body_grace_s and self.body_bytes < waited * BODY_BYTES_PER_S_MIN
        )

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer by ourselves, unless an answer has begun, and end the connection."""
        if self.transport.is_closing() or self.phase is Phase.LINGER:
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self.transport.write(_bytes_of(status, code, message))
        self.linger()

    def shutdown(self) -> None:
        """Let the request under way be the last; a stream without end is cut."""
        super().shutdown()
        cycle = self.cycle
        if cycle is None:
            return  # type: ignore[unreachable]  # uvicorn forgets the time before the first request
        if not cycle.response_complete and cycle.scope.get(ENDLESS):
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()

    def _swallow(self) -> None:
        if self.body_bytes > LINGER_BYTES_MAX:
            self.transport.abort()

    def linger(self) -> None:
        """Close our side and swallow what still comes, so that the answer is read before the connection breaks."""
        self._enter(Phase.LINGER)
        self.body_bytes = 0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _refuse_malformed(self) -> None:
        self.refuse(400, "malformed_request", "The request is not valid HTTP/1.1.")

    def _refuse_headers(self) -> None:
        self.refuse(431, "headers_too_large", "The headers are too many or too large.")

    def _refuse_now(self) -> None:
        if self.refused == 400:  # noqa: PLR2004 - bad request
            self._refuse_malformed()
        else:
            if self.phase is Phase.BODY:
                # an answer before the body's end must not break the connection under its sender
                self.cycle.transport = _Gentle(self)  # type: ignore[assignment]  # all that a cycle uses of it
            self._refuse_headers()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = self.loop.time()
        if phase is Phase.IDLE:
            self.header_bytes = 0


def _without_upgrade(data: bytes) -> bytes:
    """Return the bytes with an `Upgrade` header's name spoiled.

    Java's client offers HTTP/2 with each first request, and the parser drops the body of a request that offers that.
    Nobody upgrades here, so the offer is made unreadable instead.
    """
    end = data.find(b"\r\n\r\n", 0, HEADER_BYTES_MAX)
    for name in _UPGRADE:  # at the start of a line: addresses and bodies may hold the word, too
        at = data.find(name, 0, end if end >= 0 else HEADER_BYTES_MAX)
        if at >= 0:
            return b"%sx%s" % (data[: at + 1], data[at + 2 :])
    return data


class _Gentle:
    """A transport whose `close` lets the other side read the answer first."""

    def __init__(self, protocol: DoorProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        if self._protocol.phase is Phase.BODY:
            self._protocol.linger()
        else:
            self._protocol.transport.close()


def sweep_all(connections: Iterable[Any], now: float) -> None:
    """Look after every connection; called once a second."""
    for connection in list(connections):
        if connection.transport is not None:
            connection.sweep(now)


def _bytes_of(status: int, code: str, message: str) -> bytes:
    ready = refusal(status, code, message, close=True, retry_after_s=5 if status == 503 else None)  # noqa: PLR2004
    return wire(status, ready.start["headers"], ready.content["body"])
