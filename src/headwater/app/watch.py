"""Bring every change of the configuration to the parts that use it, within two seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from headwater.control import snapshot
from headwater.control.secrets import SecretBox
from headwater.control.snapshot import Snapshot

_EVERY_S: Final = 0.5
_FIRST_S: Final = 0.1

log = structlog.get_logger()

Use = Callable[[Snapshot], Awaitable[None]]


class Watch:
    """Polls the version of the control database and hands on a new snapshot when it moved."""

    def __init__(self, engine: Engine, box: SecretBox, use: Use) -> None:
        self._engine, self._box, self._use = engine, box, use
        self._version = -1

    async def first(self) -> None:
        """Wait until another role has made the database, then hand on the first snapshot."""
        while not await self._look():
            await asyncio.sleep(_FIRST_S)

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._look()

    async def _look(self) -> bool:
        try:
            found = await asyncio.to_thread(self._changed)
        except SQLAlchemyError as error:  # not made yet, or locked for a moment: the next look finds it
            log.debug("configuration.unreadable", error=type(error).__name__)
            return False
        if found is not None:
            self._version = found.version
            await self._use(found)
            log.info("configuration.applied", version=found.version, sources=len(found.sources))
        return self._version >= 0

    def _changed(self) -> Snapshot | None:
        if snapshot.version(self._engine) == self._version:
            return None
        return snapshot.load(self._engine, self._box)
