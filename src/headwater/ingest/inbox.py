"""Work off the inbox: every raw webhook becomes events, a rejection that is shown, or a count of what was ignored.

The order is append, then advance: a crash between the two means that webhooks are read again, and because the same
webhook gives the same `messageId`, the log leaves the repeats out.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog

from headwater import sqlite
from headwater.clock import Clock, now
from headwater.errors import CorruptLogError, LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Appender, Reader, Topic
from headwater.eventlog.cursors import Cursors
from headwater.limits import WEBHOOK_EVENT_BYTES_MAX
from headwater.sources.contract import Events, Mapped, Memory, Webhook
from headwater.spec.event import Batch, Frame, Record
from headwater.spec.times import format_time

NAME: Final = "inbox"
"""The mapper's cursor."""

EventsOf = Callable[[str], tuple[Events | Memory, Mapping[str, Any]] | None]
"""Returns a source's function `events` or its memory, and its settings; None for a source that is not there (any more)."""

Sources = Mapping[str, tuple[Events, Mapping[str, Any]] | None]
"""What `EventsOf` answered for the sources of a batch."""

_WEBHOOKS_MAX: Final = 500  # a batch: mapped in one thread call, appended as one group a source
_BATCH_BYTES_MAX: Final = 1024 * 1024  # likewise, unless one webhook alone is larger
_APPEND_BYTES_MAX: Final = 4 * 1024 * 1024  # an append travels in one request, whose bound is twice this
_NEWS_S: Final = 5.0  # a webhook may be faster than the news of its source: the roles poll the configuration
_NEWS_PAUSE_S: Final = 0.1
_WAIT_S: Final = 1.0
_PAUSE_S_MAX: Final = 5.0
_STUCK_S: Final = 30.0  # a mapper that has not moved for so long is not waited for
_DEFECT: Final = "the mapping failed; this is a defect of Headwater"
_REASONS_MAX: Final = 100  # different reasons that are counted apart; unknown webhook types must not fill the memory
_OTHER: Final = "other"

_log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder().encode


class _Stored(msgspec.Struct):
    """The inbox's record, as the webhook route writes it: `body` holds each byte as the code point of that number."""

    receivedAt: datetime  # noqa: N815 - as it is spelled in the log
    contentType: str  # noqa: N815
    body: str


@dataclass(slots=True)
class Counts:
    """What became of the webhooks: read = mapped + ignored + quarantined, each by the same process since its start.

    Attributes:
        mapped: webhooks that became events.
        events: events that were new to the log.
        duplicates: events that the log held before.
        damaged: inbox records that could not be read any more.
    """

    mapped: int = 0
    events: int = 0
    duplicates: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record of the inbox that could not be mapped: where it stands, whose it is, when it arrived, and why."""

    inbox_seq: int
    source_id: str
    received_at: datetime
    reason: str


@dataclass(slots=True)
class _Work:
    """One source's share of a batch, in order."""

    received_at: datetime
    events: list[Record] = field(default_factory=list)
    rejected: list[Record] = field(default_factory=list)
    results: list[Mapped] = field(default_factory=list)


class InboxMapper:
    """The reader of the inbox. `run` works until `stop`; `drain` waits until it has come as far as a given cursor."""

    def __init__(
        self,
        reader: Reader,
        appender: Appender,
        cursors: Cursors,
        events_of: EventsOf,
        *,
        pause_s: float = 0.1,
        clock: Clock = now,
    ) -> None:
        """Take the log's two sides, the cursors, the way to a source's mapping and the first wait when the log is full.

        Args:
            reader: the log's read side.
            appender: the log's write side, or the way to the process that holds it.
            cursors: where the mapper's place is kept.
            events_of: asked once a batch and source, on the event loop; answers from memory.
            pause_s: doubles with every refusal of the log, up to some seconds.
            clock: tells how old a webhook of an unknown source is.
        """
        self._reader, self._appender, self._cursors, self._events_of = reader, appender, cursors, events_of
        self._pause_s, self._clock = pause_s, clock
        self._stopped = asyncio.Event()
        self._moved = asyncio.Condition()
        self._cursor = -1  # not read yet
        self.counts = Counts()

    @property
    def cursor(self) -> int:
        """Where the mapper stands in the inbox; -1 before `run` has read it."""
        return self._cursor

    async def run(self) -> None:
        """Map what is in the inbox and what arrives, until `stop`.

        A disk that is full or fails is tried again, and nothing is skipped: delivery and loading go on meanwhile.
        """
        pause_s = self._pause_s
        try:
            while not self._stopped.is_set():
                try:
                    await self._step()
                    pause_s = self._pause_s
                except (CorruptLogError, OSError, sqlite.Error) as error:
                    _log.error("inbox.failed", error=type(error).__name__, pause_s=pause_s)
                    await self._stopped_within(pause_s)
                    pause_s = min(pause_s * 2, _PAUSE_S_MAX)
        finally:
            await self.stop()

    async def _step(self) -> None:
        """Map one batch, or wait a while for one."""
        if self._cursor < 0:
            await self._move(await asyncio.to_thread(self._cursors.get, NAME))
        batch = await asyncio.to_thread(
            self._reader.read, Topic.INBOX, self._cursor, records_max=_WEBHOOKS_MAX, bytes_max=_BATCH_BYTES_MAX
        )
        if batch.next_cursor > self._cursor:
            await self._settle(batch)
        elif 0 < (end := self._reader.end(Topic.INBOX)) < self._cursor:
            await self._begin_again(end)
        else:
            await self._arrival()

    async def _begin_again(self, end: int) -> None:
        """Map the whole inbox once more: it is an older copy, and which of its webhooks are new cannot be told.

        The log leaves out the events that it has.
        """
        start = self._reader.start(Topic.INBOX)
        _log.error("inbox.older_copy", cursor=self._cursor, end=end, start=start)
        await asyncio.to_thread(self._cursors.rewind, NAME, start)
        await self._move(start)

    async def _arrival(self) -> None:
        """Return when something arrived, after a while, or at once when stopped."""
        arrival = asyncio.ensure_future(self._reader.wait(Topic.INBOX, self._cursor, timeout_s=_WAIT_S))
        stop = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({arrival, stop}, return_when=asyncio.FIRST_COMPLETED)
            if arrival.done():
                arrival.result()  # what the log raises is raised here
        finally:
            arrival.cancel()
            stop.cancel()

    async def stop(self) -> None:
        """End `run` after the batch it is working on, and every `drain`; what is not appended is read again later."""
        self._stopped.set()
        async with self._moved:
            self._moved.notify_all()

    async def drain(self, upto_cursor: int) -> None:
        """Return once every webhook before `upto_cursor` is mapped and its events are in the log.

        Raises:
            LogUnavailableError: the mapper was stopped before it came so far, or has not moved for half a minute.
        """
        while self._cursor < upto_cursor and not self._stopped.is_set():
            before = self._cursor
            try:
                async with asyncio.timeout(_STUCK_S), self._moved:
                    await self._moved.wait_for(lambda: self._cursor != before or self._stopped.is_set())  # noqa: B023 - awaited here
            except TimeoutError:
                raise LogUnavailableError(
                    f"No webhook could be mapped for {_STUCK_S:g} seconds; the log of the server says why. Try again."
                ) from None
        if self._cursor < upto_cursor:
            raise LogUnavailableError("Webhooks are not mapped because the pipeline is stopping; try again.")

    async def deposit(self, source_id: str, bodies: Sequence[bytes]) -> None:
        """Put records that a source's worker made into the inbox; durable when it returns; see `contract.Deposit`."""
        raise NotImplementedError

    async def quarantined(self, source_id: str | None = None, count: int = 50) -> list[Quarantined]:
        """Return what could not be mapped and was not mapped later, newest first; None for all sources."""
        raise NotImplementedError

    async def retry_quarantined(self, source_id: str | None = None) -> dict[str, int]:
        """Map again what could not be mapped; return {"mapped": n, "stillQuarantined": n}."""
        raise NotImplementedError

    async def _settle(self, batch: Batch) -> None:
        """Map one batch, append what came of it, then advance; returns early, without advancing, when stopped."""
        sources = await self._sources(batch)
        if sources is None:
            return
        works = await asyncio.to_thread(_map, batch.frames, sources)
        for source_id, work in works.items():
            stored = await self._append(Topic.EVENTS, source_id, work.received_at, work.events)
            if stored is None:
                return
            if await self._append(Topic.REJECTED, source_id, work.received_at, work.rejected) is None:
                return
            self._count(work.results, stored)
        await asyncio.to_thread(self._cursors.advance, NAME, batch.next_cursor)
        self._report(batch)
        await self._move(batch.next_cursor)

    async def _sources(self, batch: Batch) -> Sources | None:
        """Return the mapping of every source in the batch; None when stopped.

        A source that is not known yet although its webhook is seconds old gets a little time to become known; also
        when the wall clock was set back and makes every webhook young.
        """
        deadline = time.monotonic() + _NEWS_S
        while True:
            sources = {frame.source_id: self._events_of(frame.source_id) for frame in batch.frames}
            unknown = [frame.received_at for frame in batch.frames if sources[frame.source_id] is None]
            if not unknown or self._clock() - max(unknown) > timedelta(seconds=_NEWS_S):
                return sources
            if time.monotonic() > deadline:
                return sources
            if await self._stopped_within(_NEWS_PAUSE_S):
                return None

    async def _append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record]
    ) -> Appended | None:
        """Append in pieces that fit into a request; None when stopped before the log took them all."""
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
        """Append, as often as it takes; None when stopped before the log took the records."""
        pause_s = self._pause_s
        while True:
            try:
                return await self._appender.append(topic, source_id, received_at, records)
            except (LogUnavailableError, LogOverloadedError) as error:
                _log.warning("inbox.append_refused", topic=topic.value, reason=type(error).__name__, pause_s=pause_s)
            if await self._stopped_within(random.uniform(pause_s / 2, pause_s)):  # noqa: S311 - spreads retries
                return None
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _move(self, cursor: int) -> None:
        async with self._moved:
            self._cursor = cursor
            self._moved.notify_all()

    def _count(self, results: Iterable[Mapped], stored: Appended) -> None:
        self.counts.events += stored.count
        self.counts.duplicates += len(stored.duplicates)
        for mapped in results:
            if mapped.quarantined:
                _bump(self.counts.quarantined, mapped.quarantined)
            elif mapped.ignored:
                _bump(self.counts.ignored, mapped.ignored)
            else:
                self.counts.mapped += 1

    def _report(self, batch: Batch) -> None:
        there = [*(frame.first_seq for frame in batch.frames[:1]), *(damage.first for damage in batch.damage[:1])]
        if expired := min(there, default=batch.next_cursor) - batch.cursor:
            self.counts.damaged += expired
            _log.error("inbox.expired", first=batch.cursor, count=expired)
        for damage in batch.damage:
            self.counts.damaged += damage.last - damage.first + 1
            _log.error("inbox.damaged", first=damage.first, last=damage.last, file=damage.file, offset=damage.offset)
        _log.debug("inbox.mapped", cursor=batch.next_cursor, count=batch.count)


def _bump(counter: Counter[str], reason: str) -> None:
    counter[reason if reason in counter or len(counter) < _REASONS_MAX else _OTHER] += 1


def _map(frames: Iterable[Frame], sources: Sources) -> dict[str, _Work]:
    """Return what every source's webhooks became, in the order they arrived."""
    works: dict[str, _Work] = {}
    for frame in frames:
        # the newest arrival stands for the group: retention must not delete an event before its time
        work = works.setdefault(frame.source_id, _Work(frame.received_at))
        work.received_at = max(work.received_at, frame.received_at)
        for offset, line in enumerate(frame.lines.splitlines()):
            seq = frame.first_seq + offset
            mapped = map_record(seq, frame.source_id, line, sources[frame.source_id])
            mapped, events = _records(seq, mapped)
            work.results.append(mapped)
            work.events.extend(events)
            if mapped.quarantined:
                work.rejected.append(_rejection(seq, frame.received_at, mapped.quarantined))
    return works


def _records(seq: int, mapped: Mapped) -> tuple[Mapped, list[Record]]:
    """Return what becomes of a mapped webhook, and its events as the log takes them."""
    try:
        events = [Record(str(body["messageId"]), _encode(body)) for body in mapped.events]
    except Exception as error:  # noqa: BLE001 - as in `map_record`: events that are no JSON cost their own webhook
        _log.error("inbox.mapping_failed", seq=seq, reason=type(error).__name__)
        return Mapped(quarantined=_DEFECT), []
    if any(len(event.line) > WEBHOOK_EVENT_BYTES_MAX for event in events):
        return Mapped(quarantined="the event is too large"), []
    return mapped, events


def pieces(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield the records in order, in stretches of bounded bytes, at least one record each."""
    first, size = 0, 0
    for position, record in enumerate(records):
        if size and size + len(record.line) > _APPEND_BYTES_MAX:
            yield records[first:position]
            first, size = position, 0
        size += len(record.line)
    if first < len(records):
        yield records[first:]


def map_record(seq: int, source_id: str, line: bytes, source: tuple[Events, Mapping[str, Any]] | None) -> Mapped:
    """Return what one record of the inbox means; whatever is wrong with it, it is quarantined and harms no other."""
    if source is None:
        return Mapped(quarantined="the source does not exist any more")
    try:
        stored = msgspec.json.decode(line, type=_Stored)
        body = stored.body.encode("latin-1")
    except (msgspec.DecodeError, UnicodeEncodeError):
        return Mapped(quarantined="the inbox record is not readable")
    received_at = stored.receivedAt if stored.receivedAt.tzinfo else stored.receivedAt.replace(tzinfo=UTC)
    events, settings = source
    try:
        return events(Webhook(seq, source_id, received_at, stored.contentType, body), settings)
    except Exception as error:  # noqa: BLE001 - a mapping that breaks its promise costs its own webhook, no other
        _log.error("inbox.mapping_failed", seq=seq, source_id=source_id, reason=type(error).__name__)
        return Mapped(quarantined=_DEFECT)


def _rejection(seq: int, received_at: datetime, reason: str) -> Record:
    """Return what is kept of a webhook that could not be mapped; its bytes stay in the inbox under `inboxSeq`."""
    line = {
        "code": "quarantined",
        "message": reason,
        "count": 1,
        "receivedAt": format_time(received_at),
        "inboxSeq": seq,
    }
    return Record("", _encode(line))
