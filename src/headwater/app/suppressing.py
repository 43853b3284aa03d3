"""Bring the list of suppressed people to the parts of a process that ask it, within a second or two."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.errors import ConfigError
from headwater.privacy.suppression import Suppressions

_EVERY_S: Final = 1.0

log = structlog.get_logger()


class Following:
    """Keeps one process's list like the one in the control database; reads only what is new there."""

    def __init__(self, control: Control, list_: Suppressions) -> None:
        self._control, self._list = control, list_
        self._upto = -1
        self._looking = asyncio.Lock()

    async def first(self) -> None:
        """Return once the list was read: until then nobody may be let in."""
        while self._upto < 0:
            await self.refresh()
            if self._upto < 0:
                await asyncio.sleep(_EVERY_S)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.refresh()

    def place(self, snapshot: Snapshot) -> None:
        """Take over which source belongs to which workspace."""
        self._list.place({source.id: source.workspace_id for source in snapshot.sources})

    async def refresh(self) -> None:
        """Return once the newest list is in use, or could not be read for now."""
        async with self._looking:
            try:
                news = await asyncio.to_thread(self._control.suppressions.news, self._upto)
            except (SQLAlchemyError, ConfigError) as error:  # locked for a moment: the next look finds it
                log.warning("suppressions.unreadable", error=type(error).__name__)
                return
            if news is None:
                return
            self._list.use(self._control.suppressions.hasher)
            (self._list.replace if news.is_anew else self._list.add)(news.entries)
            self._upto = news.upto
            log.info("suppressions.applied", entries=len(self._list))
