"""Bring every change of the configuration to the parts that use it, within two seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headwater.control.service import Control
from headwater.control.snapshot import Snapshot

_EVERY_S: Final = 0.5
_FIRST_S: Final = 0.1

log = structlog.get_logger()

Use = Callable[[Snapshot], Awaitable[None]]


class Watch:
    """Polls the version of the control database and hands on a new snapshot when it moved."""

    def __init__(self, control: Control, use: Use) -> None:
        self._control, self._use = control, use
        self._version = -1
        self._looking = asyncio.Lock()  # a change is handed on by one look, and others wait until it is in use

    async def first(self) -> None:
        """Wait until the web role has made the database, then hand on the first snapshot."""
        while True:
            if await self._look():
                return
            await asyncio.sleep(_FIRST_S)

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._look()

    async def refresh(self) -> bool:
        """Return once the newest configuration is in use, False if it could not be read."""
        return await self._look()

    async def _look(self) -> bool:
        async with self._looking:
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
        if self._control.version() == self._version:
            return None
        return self._control.snapshot()
