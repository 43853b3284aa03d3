"""Carry one source's stretch of the inbox through its mapping, or its memory, into the log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from headwater import sqlite
from headwater.errors import HeadwaterError
from headwater.eventlog.contract import Appended, Topic
from headwater.ingest.inbox_records import DEFECT, GONE, Stretch, Work, failed, mapped_by, released, work_of
from headwater.ingest.inbox_state import InboxState
from headwater.ingest.patience import PatientAppender
from headwater.privacy.suppression import Suppressed, nobody
from headwater.sources.contract import Events, Mapped, Memory, Taken

HowMapped = tuple[Events | Memory, Mapping[str, Any]]
"""How a source's records become events, and its settings."""

EventsOf = Callable[[str], HowMapped | None]
"""Returns a source's function `events` or its memory, and its settings; None for one that is not there (any more)."""

_REASONS_MAX: Final = 100  # different reasons that are counted apart; unknown webhook types must not fill the memory
_OTHER: Final = "other"
_PASSING: Final = (HeadwaterError, OSError, sqlite.Error)
"""What a memory may raise and the whole batch is tried again for: a disk that is full, a service that is away."""


@dataclass(slots=True)
class Counts:
    """What became of the webhooks: read = mapped + ignored + quarantined + erased, by one process since its start.

    Attributes:
        mapped: webhooks that became events.
        events: events that were new to the log.
        duplicates: events that the log held before.
        damaged: inbox records that could not be read any more.
        suppressed: events of people who may not be stored; of them nothing but this number is kept.
        erased: webhooks that were taken out of the inbox before they were mapped.
    """

    mapped: int = 0
    events: int = 0
    duplicates: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    damaged: int = 0
    suppressed: int = 0
    erased: int = 0


class Carrier:
    """Maps, appends, and lets the memory keep; every answer None or False means that it was stopped before the end."""

    def __init__(self, log: PatientAppender, state: InboxState, suppressed: Suppressed = nobody) -> None:
        """Take the way into the log, what is remembered of webhooks that could not be mapped, who is suppressed."""
        self._log, self._state, self._suppressed = log, state, suppressed
        self._remembering: set[str] = set()
        self.counts = Counts()

    async def carry(self, stretch: Stretch, source: HowMapped | None) -> set[int] | None:
        """Settle a stretch; return which of its places in the inbox could not be mapped.

        Raises:
            OSError, HeadwaterError, sqlite.Error: the memory failed; the same stretch can be carried again.
        """
        self.counts.erased += len(stretch.erased)
        if not stretch.webhooks and not stretch.unreadable:
            return set()
        if source is None:
            return await self._append(stretch, [Mapped(quarantined=GONE)] * len(stretch.webhooks))
        mapping, settings = source
        if not callable(mapping):
            return await self._remembered(stretch, mapping, settings)
        return await self._append(stretch, await asyncio.to_thread(mapped_by, mapping, stretch.webhooks, settings))

    async def _remembered(self, stretch: Stretch, memory: Memory, settings: Mapping[str, Any]) -> set[int] | None:
        """Carry with a memory; if it breaks its promise for some record, that one is found and quarantined."""
        await self._note(stretch.source_id)
        try:
            taken = await memory.take(stretch.source_id, stretch.webhooks, settings)
        except _PASSING:
            raise
        except Exception as error:  # noqa: BLE001 - a defect costs its own record, no other
            if len(stretch.webhooks) > 1:
                return await self._one_by_one(stretch, memory, settings)
            failed(stretch.webhooks[0].seq if stretch.webhooks else -1, error)
            return await self._append(stretch, [Mapped(quarantined=DEFECT)] * len(stretch.webhooks))
        stuck = await self._append(stretch, taken.mapped)
        if stuck is not None:
            await memory.keep(stretch.source_id, taken)
        return stuck

    async def _one_by_one(self, stretch: Stretch, memory: Memory, settings: Mapping[str, Any]) -> set[int] | None:
        stuck = await self._append(Stretch(stretch.source_id, stretch.received_at, [], stretch.unreadable), [])
        for single in stretch.singles():
            more = await self._remembered(single, memory, settings)
            if stuck is None or more is None:
                return None
            stuck |= more
        return stuck

    async def _note(self, source_id: str) -> None:
        if source_id not in self._remembering:
            await asyncio.to_thread(self._state.remember, source_id)
            self._remembering.add(source_id)

    async def release(self, source_id: str, source: HowMapped | None, until: datetime) -> bool:
        """Append the events that a source's memory held back and that need not wait any longer."""
        if source is None:
            return True
        memory, settings = source
        if callable(memory):
            return True
        taken: Taken = await memory.overdue(source_id, settings, until)
        work = await asyncio.to_thread(released, taken.mapped, until, source_id, self._suppressed)
        stored = await self._log.append(Topic.EVENTS, source_id, until, work.events)
        if stored is None:
            return False
        self._count_events(stored)
        self.counts.suppressed += work.suppressed
        await memory.keep(source_id, taken)
        return True

    async def begin_again(self, source_id: str, source: HowMapped | None, last: datetime | None) -> None:
        """Tell a source's memory that its stretches come once more, because the log is an older copy."""
        if source is not None and not callable(source[0]):
            await source[0].begin_again(source_id, last)

    async def _append(self, stretch: Stretch, results: Iterable[Mapped]) -> set[int] | None:
        work = await asyncio.to_thread(work_of, stretch, list(results), self._suppressed)
        listed = await asyncio.to_thread(self._state.listed, work.rejected) if work.rejected else set()
        stored = await self._log.append(Topic.EVENTS, stretch.source_id, work.received_at, work.events)
        if stored is None:
            return None
        new = [work.rejected[seq] for seq in sorted(work.rejected.keys() - listed)]
        if await self._log.append(Topic.REJECTED, stretch.source_id, work.received_at, new) is None:
            return None
        if work.withheld:  # known before the cursor moves, so that none is forgotten after a crash
            await asyncio.to_thread(self._state.withhold, work.withheld)
        self._count_events(stored)
        self.counts.suppressed += work.suppressed
        self._count(work, listed)
        return set(work.rejected)

    def _count_events(self, stored: Appended) -> None:
        self.counts.events += stored.count
        self.counts.duplicates += len(stored.duplicates)

    def _count(self, work: Work, listed: set[int]) -> None:
        """Count what became of records; one that is rejected again was counted before."""
        again = len(listed)
        for mapped in work.results:
            if mapped.quarantined and again:
                again -= 1
            elif mapped.quarantined:
                _bump(self.counts.quarantined, mapped.quarantined)
            elif mapped.ignored:
                _bump(self.counts.ignored, mapped.ignored)
            else:
                self.counts.mapped += 1


def _bump(counter: Counter[str], reason: str) -> None:
    counter[reason if reason in counter or len(counter) < _REASONS_MAX else _OTHER] += 1
