"""The server in front of the door: uvicorn with our protocol, deadlines, and an end that finishes what has begun."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import uvicorn

from headwater.ingest.answers import App
from headwater.ingest.protocol import Bounds, DoorProtocol, sweep_all

_BACKLOG: Final = 2_048
_DRAIN_S: Final = 10

BOUNDS: Final = Bounds()

_COLLECT_EVERY: Final = (10_000, 50, 100)  # Python's own are 700, 10, 10

Ready = Callable[[str, int], None]
"""Called with the address once connections are taken."""


def collect_seldom() -> None:
    """Let the collector of cycles run seldom, and never over what is there now; for a process that only serves.

    A request leaves hardly a cycle behind, but thousands of its objects wait for the disk: passes over them cost a
    tenth of the rate of accepted events, and made one answer of a hundred take 18 ms instead of 5.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)


async def serve(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket.socket | None = None,
    on_ready: Ready | None = None,
    stop: asyncio.Event | None = None,
    bounds: Bounds = BOUNDS,
) -> None:
    """Answer requests until SIGTERM, SIGINT or `stop`, then finish those under way within 10 seconds.

    Args:
        app: gets every request that is valid HTTP within the bounds.
        host: where to listen when no socket is given.
        port: as `host`; 0 takes a free one.
        sock: a listening socket that somebody else keeps open: while this process restarts, connections wait in it.
        on_ready: told the address.
        stop: ends the server as a signal does; signals are only heard in the main thread.
        bounds: what slow peers and too many of them are allowed.
    """
    stop = stop or asyncio.Event()
    listener = sock.dup() if sock is not None else _listen(host, port)
    server = _Server(app, listener, on_ready, bounds)
    with _signals(stop):
        await server.run_until(stop)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`; uvicorn's own handlers would kill the process before the log is closed."""
    loop = asyncio.get_running_loop()
    handled = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    def __init__(self, app: App, listener: socket.socket, on_ready: Ready | None, bounds: Bounds) -> None:
        protocol = partial(DoorProtocol, bounds=bounds)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,  # type: ignore[arg-type]  # uvicorn only calls it
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_DRAIN_S,
            )
        )
        self._listener = listener
        self._sweep_s = bounds.sweep_s
        self._on_ready = on_ready

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve, and turn `stop` into uvicorn's own way to end."""
        watch = asyncio.create_task(self._end_after(stop))
        sweep = asyncio.create_task(self._sweep())
        try:
            await self._serve([self._listener])
        finally:
            for task in (watch, sweep):
                task.cancel()
            await asyncio.gather(watch, sweep, return_exceptions=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell where we listen once we do."""
        await super().startup(sockets)
        if self._on_ready is not None:
            address: Any = self._listener.getsockname()
            self._on_ready(address[0], address[1])

    async def _end_after(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.should_exit = True

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._sweep_s)
            sweep_all(self.server_state.connections, loop.time())
