"""Append for as long as the log refuses, in pieces that fit into a request, until told to stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from headwater.errors import LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Appender, Topic
from headwater.ingest.inbox_records import pieces
from headwater.spec.event import Record

PAUSE_S_MAX: Final = 5.0

_log = structlog.get_logger()


class PatientAppender:
    """The log's write side for a reader of the log: what it has read is not lost when the log refuses for a while."""

    def __init__(self, appender: Appender, *, pause_s: float) -> None:
        """Take the log and the first wait, which doubles with every refusal, up to some seconds."""
        self._appender, self._pause_s = appender, pause_s
        self._stopped = asyncio.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End every append that waits, and every wait."""
        self._stopped.set()

    async def stopped(self) -> None:
        """Return when stopped."""
        await self._stopped.wait()

    async def stopped_within(self, seconds: float) -> bool:
        """Wait so long; True at once when stopped."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record]
    ) -> Appended | None:
        """Append all; None when stopped before the log took them all."""
        count, duplicates = 0, list[int]()
        for piece in pieces(records):
            stored = await self._append_piece(topic, source_id, received_at, piece)
            if stored is None:
                return None
            count += stored.count
            duplicates.extend(stored.duplicates)
        return Appended(0, count, tuple(duplicates))

    async def _append_piece(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record]
    ) -> Appended | None:
        pause_s = self._pause_s
        while True:
            try:
                return await self._appender.append(topic, source_id, received_at, records)
            except (LogUnavailableError, LogOverloadedError) as error:
                _log.warning("inbox.append_refused", topic=topic.value, reason=type(error).__name__, pause_s=pause_s)
            if await self.stopped_within(random.uniform(pause_s / 2, pause_s)):  # noqa: S311 - spreads retries
                return None
            pause_s = min(pause_s * 2, PAUSE_S_MAX)
