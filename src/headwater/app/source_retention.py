"""Let go of what single sources keep for a shorter time, or less of, than the installation does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from headwater.app.hourly import moments
from headwater.control.snapshot import Snapshot
from headwater.errors import CorruptLogError, LogUnavailableError
from headwater.eventlog.contract import Eraser, Reader, Topic
from headwater.eventlog.erasing import Span, count, within
from headwater.eventlog.expiring import Keep, Share, due, sequences, shares
from headwater.eventlog.places import segments

_TOPICS: Final = (Topic.EVENTS, Topic.INBOX, Topic.REJECTED)

log = structlog.get_logger()


class Standing(NamedTuple):
    """Where a reader of events stands; `source_id` "" for one that reads those of all sources."""

    name: str
    source_id: str
    cursor: int


class SourceRetention:
    """Looks at the log once an hour while some source has a limit of its own; costs nothing while none has.

    A sealed segment is read once, and what it holds of each source is remembered, until it is written anew.
    """

    def __init__(
        self,
        reader: Reader,
        directory: Path,
        eraser: Eraser,
        days: int,
        standings: Callable[[], Awaitable[Sequence[Standing]]],
    ) -> None:
        """Take the log and the way to its writer.

        Args:
            reader: of its own, as it reads the log from the beginning.
            directory: the log's.
            eraser: carries it out.
            days: how long the events of all other sources stay.
            standings: asked before events go, so that it is told which of them somebody has not read.
        """
        self._reader, self._directory, self._eraser = reader, directory, eraser
        self._days, self._standings = days, standings
        self._keeps: dict[str, Keep] = {}
        self._held: dict[tuple[Topic, int], dict[str, Share]] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Take over a new configuration."""
        self._keeps = {
            source.id: Keep(
                self._days if source.retention_days is None else source.retention_days, source.retention_bytes
            )
            for source in snapshot.sources
            if source.retention_days is not None or source.retention_bytes is not None
        }

    async def run(self) -> None:
        """Expire once an hour, for the first time after an hour."""
        async for moment in moments():
            try:
                await self.expire(moment)
            except (LogUnavailableError, CorruptLogError, OSError) as error:  # what is left goes an hour later
                reason = type(error).__name__ if isinstance(error, OSError) else str(error)
                log.warning("retention.failed", reason=reason)

    async def expire(self, moment: datetime) -> int:
        """Erase what is past its source's limits at `moment`; return how many records that were.

        Raises:
            LogUnavailableError: the writer of the log is away or short of space; the next time goes on.
        """
        if not self._keeps:
            self._held.clear()
            return 0
        return sum([await self._expire(topic, moment) for topic in _TOPICS])

    async def _expire(self, topic: Topic, moment: datetime) -> int:
        held = await asyncio.to_thread(self._look, topic)
        gone = 0
        for expired in due(held, self._keep_of(topic), moment):
            found = await asyncio.to_thread(sequences, self._reader, topic, expired)
            for source_id, spans in found.items():
                if topic is Topic.EVENTS:
                    await self._warn(source_id, spans)
                done = await self._eraser.erase(topic, [range(*span) for span in spans])
                gone += done.records
                log.info("retention.erased", topic=topic.value, source=source_id, count=done.records)
            self._held.pop((topic, expired.span.first), None)
        return gone

    def _keep_of(self, topic: Topic) -> Callable[[str], Keep]:
        """Return what is kept of a source: a size bounds its events alone."""
        others = Keep(self._days)
        if topic is Topic.EVENTS:
            return lambda source_id: self._keeps.get(source_id, others)
        return lambda source_id: Keep(self._keeps.get(source_id, others).days)

    def _look(self, topic: Topic) -> list[tuple[Span, dict[str, Share]]]:
        """Return every segment with what it holds. Blocks: reads those that were not read before, and the last one."""
        start, end = self._reader.start(topic), self._reader.end(topic)
        if start == end:
            return []
        later = [first for first in segments(self._directory / topic) if start < first < end]
        spans = [Span(first, behind) for first, behind in pairwise([start, *later, end])]
        found = []
        for span in spans:
            known = self._held.get((topic, span.first)) if span is not spans[-1] else None
            found.append((span, shares(self._reader, topic, span) if known is None else known))
        self._held = {key: held for key, held in self._held.items() if key[0] is not topic}
        self._held |= {(topic, span.first): held for span, held in found[:-1]}
        return found

    async def _warn(self, source_id: str, spans: Sequence[Span]) -> None:
        """Tell of events that go before a destination or warehouse has read them: to those they are suppressed."""
        for reader in await self._standings():
            if reader.source_id in {"", source_id} and (
                unread := count(within(spans, reader.cursor, spans[-1].behind))
            ):
                log.warning("retention.unread", reader=reader.name, source=source_id, count=unread)


def longest(snapshot: Snapshot, days: int) -> int:
    """Return how many days the source that keeps its events longest does; no segment goes as a whole before."""
    return max([days, *(source.retention_days or 0 for source in snapshot.sources)])
