"""A destination of the user's own: answers 200 at once and remembers when each event came."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any, Final

import uvloop

from headwater.app.bench.parts import Figures, tell

_ANSWER: Final = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"success":true}'
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NUMBER: Final = re.compile(rb'"email": ?"w-(\d+)@')
_CLICK: Final = b"Email Link Clicked"
_END: Final = b"\r\n\r\n"


def part(*, count: int, deadline_s: float) -> Figures:
    """Tell the port; return when the click of each number came, once all did or `deadline_s` after the start."""
    return {"seen": uvloop.run(_receive(count, deadline_s))}


async def _receive(count: int, deadline_s: float) -> dict[int, float]:
    seen: dict[int, float] = {}
    complete = asyncio.Event()

    def came(body: bytes) -> None:
        if _CLICK in body and (number := _NUMBER.search(body)) is not None:
            seen.setdefault(int(number[1]), time.monotonic())
            if len(seen) == count:
                complete.set()

    server = await asyncio.get_running_loop().create_server(lambda: _Connection(came), "127.0.0.1", 0)
    tell({"port": server.sockets[0].getsockname()[1]})
    with contextlib.suppress(TimeoutError):  # what did not come is missing in the answer
        await asyncio.wait_for(complete.wait(), deadline_s)
    return seen


class _Connection(asyncio.Protocol):
    """Reads requests with a content-length."""

    def __init__(self, came: Any) -> None:
        self._came, self._received = came, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        while (end := self._received.find(_END)) >= 0:
            length = _LENGTH.search(self._received[:end])
            upto = end + len(_END) + (int(length[1]) if length else 0)
            if len(self._received) < upto:
                return
            self._came(self._received[end + len(_END) : upto])
            self._received = self._received[upto:]
            self._transport.write(_ANSWER)
