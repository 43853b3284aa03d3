"""Serve an app on a handed-down socket while background work runs; stop both together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GRACE_S: Final = 10
_STREAM: Final = b"text/event-stream"

log = structlog.get_logger()


class Server:
    """A uvicorn server for the roles behind the door."""

    def __init__(self, app: ASGIApp) -> None:
        self._stopping = asyncio.Event()
        self._server = _Uvicorn(
            self._stopping,
            uvicorn.Config(
                _Endless(app, self._stopping),
                http="httptools",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            ),
        )

    async def serve(self, listener: socket.socket) -> None:
        """Answer until SIGTERM or SIGINT, then finish what is under way; a stream of events ends at once."""
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """End `serve` as SIGTERM would."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    """Tells, before it waits for what is under way, that it is stopping."""

    def __init__(self, stopping: asyncio.Event, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT end `serve`, and do no more.

        uvicorn's own handlers raise the signal once more when `serve` is over: the process died of it before what was
        under way behind the server, such as answers of destinations, was settled. Ours stay until the loop is closed,
        so that a second signal does not cut that short.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then finish the rest."""
        self._stopping.set()
        await super().shutdown(sockets)


class _Endless:
    """Ends streams of events when the server stops: they never end by themselves, and would use up its patience."""

    def __init__(self, app: ASGIApp, stopping: asyncio.Event) -> None:
        self._app, self._stopping = app, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on; tell a stream that its reader has left once the server stops, and close it properly."""
        is_stream = is_open = False

        async def sending(message: Message) -> None:
            nonlocal is_stream, is_open
            if message["type"] == "http.response.start":
                is_stream = any(
                    name == b"content-type" and value.startswith(_STREAM) for name, value in message["headers"]
                )
            is_open = message["type"] == "http.response.start" or bool(message.get("more_body"))
            await send(message)

        async def receiving() -> Message:
            left = asyncio.ensure_future(receive())
            stopped = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({left, stopped}, return_when=asyncio.FIRST_COMPLETED)
                return await left if left.done() or not is_stream else {"type": "http.disconnect"}
            finally:
                left.cancel()
                stopped.cancel()

        await self._app(scope, receiving, sending)
        if is_stream and is_open and self._stopping.is_set():
            await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def alongside(stop: Any, **work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run named coroutines beside the body; when one fails, log it and call `stop`, so that the role starts anew."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work.failed", work=task.get_name(), exc_info=error)
            stop()

    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
