"""Serve an app on a handed-down socket while background work runs; stop both together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp

_GRACE_S: Final = 10

log = structlog.get_logger()


class Server:
    """A uvicorn server for the roles behind the door."""

    def __init__(self, app: ASGIApp) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="httptools",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )

    async def serve(self, listener: socket.socket) -> None:
        """Answer until SIGTERM or SIGINT, then finish what is under way."""
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """End `serve` as SIGTERM would."""
        self._server.should_exit = True


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
