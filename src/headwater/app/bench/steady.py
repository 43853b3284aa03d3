"""A steady stream that waits for nobody: each request has its time, and its answer is measured from there.

A sender that waits for the last answer before it sends the next one leaves out just the requests that would have met a
slow moment; here they are sent, late, and the wait counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Final
from urllib.parse import urlencode

import uvloop

from headwater.app.bench import calls
from headwater.app.bench.parts import Figures, tell
from headwater.app.bench.percentiles import percentiles_ms

_LAST_ANSWERS_S: Final = 30.0
_LEAD_S: Final = 0.2
_OPEN_AT_FIRST: Final = 16


def part(
    *, port: int, seconds: float, rate: float, webhook_path: str, write_key: str, contacts_from: int = 1
) -> Figures:
    """Send webhooks and single calls, `rate` of each a second; tell the due times first, return the answers' latencies.

    The number of a webhook is in its contact's address, that of a call in its id: `w-7@example.com`, `t-7`. Each
    webhook has a contact of its own; their ids go up from `contacts_from`.
    """
    count = int(seconds * rate)
    webhooks = [_webhook(number, contacts_from + number, webhook_path) for number in range(count)]
    return uvloop.run(_run(port, webhooks, [_track(number, write_key) for number in range(count)], rate))


class _Stream:
    """Requests that are all made beforehand, and the connections that carry them."""

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self.port, self.requests = port, requests
        self.idle: deque[_Connection] = deque()  # taken in turn: one that rests too long is closed by the server
        self.latencies: list[float] = []
        self.failed = 0
        self.done = asyncio.Event()

    async def run(self, began: float, rate: float) -> None:
        """Send each request at its time."""
        for number, request in enumerate(self.requests):
            due = began + number / rate
            if (ahead := due - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            connection = self.idle.popleft() if self.idle else await self.connect()
            connection.send(request, due)
        await asyncio.wait_for(self.done.wait(), _LAST_ANSWERS_S)

    async def connect(self) -> _Connection:
        """Return a new connection."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.port))[1]

    def answered(self, connection: _Connection, since: float, *, ok: bool) -> None:
        """Count one answer and take the connection back."""
        self.latencies.append(time.monotonic() - since)
        self.failed += not ok
        self.idle.append(connection)
        if len(self.latencies) == len(self.requests):
            self.done.set()

    def figures(self) -> Figures:
        """Return how it went."""
        return {"sent": len(self.requests), "failed": self.failed, **percentiles_ms(self.latencies)}


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, stream: _Stream) -> None:
        self._stream, self._answer, self._since = stream, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way there."""
        self._transport: Any = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due then."""
        self._since = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer; it is short and ends with its JSON."""
        self._answer += data
        if self._answer.endswith(b"}"):
            ok = self._answer.startswith(b"HTTP/1.1 200")
            self._answer = b""
            self._stream.answered(self, self._since, ok=ok)


async def _run(port: int, webhooks: list[bytes], tracks: list[bytes], rate: float) -> Figures:
    streams = {"webhook": _Stream(port, webhooks), "track": _Stream(port, tracks)}
    for stream in streams.values():
        stream.idle.extend([await stream.connect() for _ in range(_OPEN_AT_FIRST)])
    began, apart = time.monotonic() + _LEAD_S, 0.5 / rate
    tell({"began": {name: began + apart * place for place, name in enumerate(streams)}})
    cpu_before = time.process_time()
    await asyncio.gather(*(stream.run(began + apart * place, rate) for place, stream in enumerate(streams.values())))
    cpu_s, elapsed = time.process_time() - cpu_before, time.monotonic() - began
    figures = {name: stream.figures() for name, stream in streams.items()}
    return {**figures, "sender_cpu_share": round(cpu_s / elapsed, 3)}


def _track(number: int, write_key: str) -> bytes:
    sent = calls.body(1, write_key).replace(b'"messageId":"ID"', b'"messageId":"t-%d"' % number)
    return calls.post("/v1/track", "application/json", len(sent)) + sent


def _webhook(number: int, contact_id: int, path: str) -> bytes:
    """Return the webhook of a click, as ActiveCampaign spells it."""
    sent = urlencode(
        {
            "type": "click",
            "date_time": "2026-11-23T06:00:00-06:00",
            "initiated_from": "public",
            "initiated_by": "public",
            "list": "3",
            "contact[id]": str(contact_id),
            "contact[email]": f"w-{number}@example.com",
            "contact[first_name]": "Robin",
            "contact[last_name]": "Example",
            "contact[phone]": "",
            "contact[ip]": "0.0.0.0",  # noqa: S104 - what the service sends for an unknown address
            "contact[tags]": "customer, newsletter",
            "campaign[id]": "417",
            "campaign[name]": "November newsletter",
            "campaign[status]": "5",
            "campaign[type]": "single",
            "campaign[recipients]": "50000",
            "campaign[message][id]": "905",
            "campaign[message][subject]": "Shoes for the winter",
            "link[id]": "9981",
            "link[url]": "https://shop.example.com/products/shoes?utm_source=newsletter",
        }
    ).encode()
    return calls.post(path, "application/x-www-form-urlencoded", len(sent)) + sent
