"""Work off the inbox: every raw webhook becomes events, a rejection that is shown, or a count of what was ignored.

The order is append, let the source's memory keep, then advance: a crash in between means that webhooks are read again,
and because the same webhook gives the same `messageId`, the log leaves the repeats out.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from headwater import sqlite
from headwater.clock import Clock, now
from headwater.errors import HeadwaterError, LogUnavailableError, NotFoundError
from headwater.eventlog.contract import Appender, Eraser, Reader, Topic
from headwater.eventlog.cursors import Cursors
from headwater.ingest.carrying import Carrier, Counts, EventsOf, HowMapped
from headwater.ingest.inbox_records import Stretch, report, stretches
from headwater.ingest.inbox_state import InboxState, Quarantined
from headwater.ingest.patience import PAUSE_S_MAX, PatientAppender
from headwater.privacy.suppression import Suppressed, nobody
from headwater.sources.contract import Webhook
from headwater.spec.event import Batch, Frame

__all__ = ["NAME", "Counts", "EventsOf", "InboxMapper", "Quarantined"]

NAME: Final = "inbox"
"""The mapper's cursor."""
BEHIND_MAX: Final = 100
"""Ours: records that may wait for the mapper when a report is deposited: a webhook behind them waits some seconds."""

_WEBHOOKS_MAX: Final = 500  # a batch: mapped in one thread call, appended as one group a source
_BATCH_BYTES_MAX: Final = 1024 * 1024  # likewise, unless one webhook alone is larger
_SWEPT_MAX: Final = 100_000  # ours: records that one call erases; some MB of numbers
_RETRY_MAX: Final = 50  # ours: records that are mapped again at a time
_NEWS_S: Final = 5.0  # a webhook may be faster than the news of its source: the roles poll the configuration
_NEWS_PAUSE_S: Final = 0.1
_WAIT_S: Final = 1.0
_STUCK_S: Final = 30.0  # a mapper that has not moved for so long is not waited for
_RELEASE_EVERY_S: Final = 1.0  # how often memories are asked for what they held back
_IN_FLIGHT: Final = timedelta(seconds=5)  # ours: from the arrival of a webhook to its being in the inbox

_log = structlog.get_logger()


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
        suppressed: Suppressed = nobody,
    ) -> None:
        """Take the log's two sides, the cursors, the way to a source's mapping and the first wait when the log is full.

        Args:
            reader: the log's read side.
            appender: the log's write side, or the way to the process that holds it.
            cursors: where the mapper's place is kept, and beside which it remembers what it could not map.
            events_of: asked once a batch and source, on the event loop; answers from memory.
            pause_s: doubles with every refusal of the log, up to some seconds.
            clock: tells how old a webhook is: one of an unknown source, one that may wait for another.
            suppressed: whether an event may not be stored.
        """
        self._reader, self._cursors, self._events_of = reader, cursors, events_of
        self._pause_s, self._clock = pause_s, clock
        self._log = PatientAppender(appender, pause_s=pause_s)
        self._state = InboxState(cursors.path.with_name("inbox-state.db"))
        self._carrier = Carrier(self._log, self._state, suppressed)
        self._moved = asyncio.Condition()
        self._turn = asyncio.Lock()  # memories serve one caller at a time
        self._cursor = -1  # not read yet
        self._release_at = 0.0

    @property
    def counts(self) -> Counts:
        """What became of the webhooks since the start."""
        return self._carrier.counts

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
            while not self._log.is_stopped:
                try:
                    await self._step()
                    pause_s = self._pause_s
                except (HeadwaterError, OSError, sqlite.Error) as error:
                    _log.error("inbox.failed", error=type(error).__name__, pause_s=pause_s)
                    await self._log.stopped_within(pause_s)
                    pause_s = min(pause_s * 2, PAUSE_S_MAX)
        finally:
            await self.stop()

    async def _step(self) -> None:
        """Map one batch, or wait a while for one."""
        if self._cursor < 0:
            await asyncio.to_thread(self._state.follow, self._reader)
            await self._move(await asyncio.to_thread(self._cursors.get, NAME))
        asked_at = self._clock()
        batch = await asyncio.to_thread(
            self._reader.read, Topic.INBOX, self._cursor, records_max=_WEBHOOKS_MAX, bytes_max=_BATCH_BYTES_MAX
        )
        if batch.next_cursor > self._cursor:
            async with self._turn:
                await self._settle(batch)
        elif 0 < (end := self._reader.end(Topic.INBOX)) < self._cursor:
            await self._begin_again(end)
        else:
            await self._release(asked_at)
            await self._arrival()

    async def _begin_again(self, end: int) -> None:
        """Map the whole inbox once more: it is an older copy, and which of its webhooks are new cannot be told.

        The log leaves out the events that it has.
        """
        start = self._reader.start(Topic.INBOX)
        _log.error("inbox.older_copy", cursor=self._cursor, end=end, start=start)
        last = await asyncio.to_thread(self._last_arrival)
        for source_id in await asyncio.to_thread(self._state.remembering):
            await self._carrier.begin_again(source_id, self._events_of(source_id), last)
        await asyncio.to_thread(self._state.forget_all)
        await asyncio.to_thread(self._state.follow, self._reader)
        await asyncio.to_thread(self._cursors.rewind, NAME, start)
        await self._move(start)

    def _last_arrival(self) -> datetime | None:
        """Return when the log's last record arrived, None where it has none."""
        found = []
        for topic in (Topic.INBOX, Topic.EVENTS):
            at = max(self._reader.end(topic) - 1, 0)
            found += [frame.received_at for frame in self._reader.read(topic, at, records_max=1, bytes_max=1).frames]
        return max(found, default=None)

    async def _arrival(self) -> None:
        """Return when something arrived, after a while, or at once when stopped."""
        arrival = asyncio.ensure_future(self._reader.wait(Topic.INBOX, self._cursor, timeout_s=_WAIT_S))
        stop = asyncio.ensure_future(self._log.stopped())
        try:
            await asyncio.wait({arrival, stop}, return_when=asyncio.FIRST_COMPLETED)
            if arrival.done():
                arrival.result()  # what the log raises is raised here
        finally:
            arrival.cancel()
            stop.cancel()

    async def stop(self) -> None:
        """End `run` after the batch it is working on, and every `drain`; what is not appended is read again later."""
        self._log.stop()
        async with self._moved:
            self._moved.notify_all()

    async def drain(self, upto_cursor: int) -> None:
        """Return once every webhook before `upto_cursor` is mapped and its events are in the log.

        What a source's memory holds back, such as an unsubscribe that waits for its reason, comes when its wait is
        over: it is not waited for.

        Raises:
            LogUnavailableError: the mapper was stopped before it came so far, or has not moved for half a minute.
        """
        while self._cursor < upto_cursor and not self._log.is_stopped:
            if not await self._moved_within(_STUCK_S):
                raise LogUnavailableError(
                    f"No webhook could be mapped for {_STUCK_S:g} seconds; the log of the server says why. Try again."
                )
        if self._cursor < upto_cursor:
            raise LogUnavailableError("Webhooks are not mapped because the pipeline is stopping; try again.")

    async def _moved_within(self, seconds: float) -> bool:
        """Wait until the cursor moves or the mapper is stopped; False when neither happens in time."""
        before = self._cursor
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self._cursor != before or self._log.is_stopped)
        except TimeoutError:
            return False
        return True

    async def deposit(self, source_id: str, bodies: Sequence[bytes]) -> None:
        """Put records that a source's worker made into the inbox; durable when it returns.

        Waits while the mapper is more than `BEHIND_MAX` records behind, and as long as the log refuses.

        Raises:
            LogUnavailableError: the mapper was stopped before the log took all.
        """
        while self._reader.end(Topic.INBOX) - max(self._cursor, 0) > BEHIND_MAX and not self._log.is_stopped:
            await self._moved_within(_WAIT_S)
        received_at = self._clock()
        records = [report(body, received_at) for body in bodies]
        stopped = self._log.is_stopped
        if stopped or await self._log.append(Topic.INBOX, source_id, received_at, records) is None:
            raise LogUnavailableError("Reports are not taken because the pipeline is stopping; they are read again.")
        async with self._moved:
            self._moved.notify_all()

    async def quarantined(self, source_ids: Sequence[str] | None = None, count: int = 50) -> list[Quarantined]:
        """Return what could not be mapped and was not mapped later, newest first; None for all sources."""
        await self._follow()
        return await asyncio.to_thread(self._state.newest, source_ids, count)

    async def quarantined_at(self, seq: int) -> tuple[Quarantined, Webhook]:
        """Return one that could not be mapped, as it came.

        Raises:
            NotFoundError: no such record waits, or its bytes cannot be read any more.
        """
        await self._follow()
        found = await asyncio.to_thread(self._state.find, seq)
        stored = await asyncio.to_thread(self._stored, [seq]) if found else {}
        webhooks = [webhook for stretch in stored.values() for webhook in stretch.webhooks]
        if found is None or not webhooks:
            raise NotFoundError(
                f"No webhook {seq} waits to be mapped; `headwater dead-letters list --unmapped` shows them."
            )
        return found, webhooks[0]

    async def retry_quarantined(self, source_ids: Sequence[str] | None = None) -> dict[str, int]:
        """Map again what could not be mapped, oldest first; return {"mapped": n, "stillQuarantined": n}.

        Raises:
            LogUnavailableError: the mapper was stopped meanwhile.
        """
        await self._follow()
        answer, after = {"mapped": 0, "stillQuarantined": 0}, -1
        while found := await asyncio.to_thread(self._state.oldest, source_ids, after, _RETRY_MAX):
            after = found[-1].inbox_seq
            async with self._turn:
                stuck, erased = await self._again([each.inbox_seq for each in found])
                settled = [each.inbox_seq for each in found if each.inbox_seq not in stuck]
                await asyncio.to_thread(self._state.settle, settled)
            answer["mapped"] += len(settled) - len(erased)
            answer["stillQuarantined"] += len(stuck)
        return answer

    async def sweep(self, eraser: Eraser) -> int:
        """Take webhooks of people who are suppressed out of the inbox, of those that are mapped; return how many.

        Raises:
            LogUnavailableError, sqlite.Error: not now; the next time goes on.
        """
        gone = 0
        while found := await asyncio.to_thread(self._state.withheld, self._cursor, _SWEPT_MAX):
            gone += (await eraser.erase(Topic.INBOX, found)).records
            await asyncio.to_thread(self._state.swept, found[-1])
        return gone

    async def _follow(self) -> None:
        await asyncio.to_thread(self._state.follow, self._reader)
        await asyncio.to_thread(self._state.forget_before, self._reader.start(Topic.INBOX))

    async def _again(self, seqs: Sequence[int]) -> tuple[set[int], set[int]]:
        """Carry records of the inbox once more; return which of them still cannot be mapped, and which were erased."""
        stored = await asyncio.to_thread(self._stored, seqs)
        there = {webhook.seq for stretch in stored.values() for webhook in stretch.webhooks}
        erased = {seq for stretch in stored.values() for seq in stretch.erased}
        stuck = set(seqs) - there - erased
        for source_id, stretch in stored.items():
            more = await self._carrier.carry(stretch, self._events_of(source_id))
            if more is None:
                raise LogUnavailableError("Webhooks are not mapped because the pipeline is stopping; try again.")
            stuck |= more
        return stuck, erased

    def _stored(self, seqs: Iterable[int]) -> Mapping[str, Stretch]:
        """Return single records of the inbox; one that is damaged or expired meanwhile is not there."""
        frames: dict[int, list[Frame]] = defaultdict(list)
        for seq in seqs:
            for frame in self._reader.read(Topic.INBOX, seq, records_max=1, bytes_max=1).frames[:1]:
                line, _, _ = frame.lines.partition(b"\n")
                if frame.first_seq == seq:
                    frames[seq].append(Frame(frame.source_id, seq, 1, frame.received_at, 0, line + b"\n"))
        return stretches(frame for found in frames.values() for frame in found)

    async def _settle(self, batch: Batch) -> None:
        """Map one batch, append what came of it, then advance; returns early, without advancing, when stopped."""
        sources = await self._sources(batch)
        if sources is None:
            return
        found = await asyncio.to_thread(stretches, batch.frames)
        rejected = False
        for source_id, stretch in found.items():
            stuck = await self._carrier.carry(stretch, sources[source_id])
            if stuck is None:
                return
            rejected = rejected or bool(stuck)
        if rejected:  # known before the cursor moves, so that none is listed twice after a crash
            await asyncio.to_thread(self._state.follow, self._reader)
        await asyncio.to_thread(self._cursors.advance, NAME, batch.next_cursor)
        self._report(batch)
        await self._move(batch.next_cursor)
        if batch.frames:
            await self._release_overdue(batch.frames[-1].received_at)

    async def _release(self, until: datetime) -> None:
        async with self._turn:
            await self._release_overdue(until)

    async def _release_overdue(self, arrived: datetime) -> None:
        """Let memories go on with what they held back, now that all that arrived before some instant was taken."""
        if time.monotonic() < self._release_at:
            return
        for source_id in await asyncio.to_thread(self._state.remembering):
            if not await self._carrier.release(source_id, self._events_of(source_id), arrived - _IN_FLIGHT):
                return
        self._release_at = time.monotonic() + _RELEASE_EVERY_S

    async def _sources(self, batch: Batch) -> Mapping[str, HowMapped | None] | None:
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
            if await self._log.stopped_within(_NEWS_PAUSE_S):
                return None

    async def _move(self, cursor: int) -> None:
        async with self._moved:
            self._cursor = cursor
            self._moved.notify_all()

    def _report(self, batch: Batch) -> None:
        there = [*(frame.first_seq for frame in batch.frames[:1]), *(damage.first for damage in batch.damage[:1])]
        if expired := min(there, default=batch.next_cursor) - batch.cursor:
            self.counts.damaged += expired
            _log.error("inbox.expired", first=batch.cursor, count=expired)
        for damage in batch.damage:
            self.counts.damaged += damage.last - damage.first + 1
            _log.error("inbox.damaged", first=damage.first, last=damage.last, file=damage.file, offset=damage.offset)
        _log.debug("inbox.mapped", cursor=batch.next_cursor, count=batch.count)
