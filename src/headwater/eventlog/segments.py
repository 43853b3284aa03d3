"""The durable log on this machine's disk: one writer, group commit, exact dedupe.

A line of the `events` topic carries its record's `message_id` as `messageId`: the index of ids is derived from there.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from headwater import clock as wall
from headwater.clock import Clock
from headwater.errors import LogUnavailableError
from headwater.eventlog.blocks import Entry, microseconds
from headwater.eventlog.committer import Committer, Waiting, end_process
from headwater.eventlog.contract import Appended, Erased, Topic
from headwater.eventlog.dedupe import Dedupe, Identified
from headwater.eventlog.erasing import Span, Terms, count, spans_of, within
from headwater.eventlog.mark import Mark
from headwater.eventlog.places import WriterLock, segments, sync_directory
from headwater.eventlog.stretch import TopicReader
from headwater.eventlog.topic import TopicFiles
from headwater.limits import DISK_FREE_BYTES_MIN, DISK_RESERVED_BYTES, SEGMENT_BYTES_MAX
from headwater.spec.event import Batch, Damage, Record
from headwater.spec.tombstone import MARK, is_tombstone, key_of

_FREE_CHECK_S: Final = 0.2
_PAUSE_S: Final = 0.001  # ours: what an erasure leaves to requests after each millisecond of its own


class _Identified(msgspec.Struct, rename={"message_id": "messageId"}):
    message_id: str = ""


def _keyless(_: str, lines: Sequence[bytes]) -> list[bytes]:
    """Return what the index of ids knows of records that it does not hold."""
    return [b""] * len(lines)


_identified = msgspec.json.Decoder(_Identified).decode


class _Space(NamedTuple):
    """Bytes of the disk that have to be left: by ordinary appends, and by all others."""

    free_bytes_min: int
    reserved_bytes: int


class SegmentLog:
    """Both sides of the log, for the one process that writes it; made by `open`, used inside one event loop."""

    def __init__(
        self, directory: Path, lock: WriterLock, files: dict[Topic, TopicFiles], dedupe: Dedupe, space: _Space
    ) -> None:
        self._directory, self._lock, self._files, self._dedupe = directory, lock, files, dedupe
        self._space = space
        self._free_bytes, self._free_at = 0, -_FREE_CHECK_S
        self._readers = {topic: TopicReader(directory / topic, self._mark_of(topic)) for topic in Topic}
        self._committers: dict[Topic, Committer] = {}
        self._waiting: dict[Topic, list[tuple[int, asyncio.Future[bool]]]] = {topic: [] for topic in Topic}
        self._erasing, self._closing, self._breathed_at = asyncio.Lock(), threading.Event(), 0.0

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES_MAX,
        disk_free_bytes_min: int = DISK_FREE_BYTES_MIN,
        disk_reserved_bytes: int = DISK_RESERVED_BYTES,
        clock: Clock = wall.now,
        on_failure: Callable[[Exception], None] = end_process,
    ) -> Self:
        """Take the right to write, recover what a crash left, and return the log; it blocks, so not on a busy loop.

        Args:
            directory: made when it is not there.
            segment_bytes: a segment is cut before it grows beyond this.
            disk_free_bytes_min: with less free space only `reserved` appends are taken.
            disk_reserved_bytes: the same, as the floor of `disk_free_bytes_min`.
            clock: labels commits; never decides an order.
            on_failure: called, on a thread of the log, when the disk failed; the log takes nothing any more.

        Raises:
            ConfigError: another process writes this log.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = WriterLock(directory)
        sync_directory(directory)
        files = {topic: TopicFiles(directory / topic, segment_bytes=segment_bytes, clock=clock) for topic in Topic}
        events = files[Topic.EVENTS].mark
        dedupe = Dedupe(directory, start=events.start, end=events.end, on_damage=on_failure)
        space = _Space(max(disk_free_bytes_min, disk_reserved_bytes), disk_reserved_bytes)
        log = cls(directory, lock, files, dedupe, space)
        for topic in Topic:
            log._committers[topic] = log._committer(topic, on_failure)
        dedupe.catch_up(log._identified_from(dedupe.upto), events.end)
        return log

    def _identified_from(self, cursor: int) -> Iterator[Identified]:
        """Yield the ids of each frame from `cursor` on; those of erased records as keys."""
        end = self.end(Topic.EVENTS)
        while cursor < end:
            batch = self.read(Topic.EVENTS, cursor)
            for frame in batch.frames:
                lines = frame.lines[:-1].split(b"\n")
                erased = [key_of(line) for line in lines if is_tombstone(line)] if MARK in frame.lines else []
                ids = [_identified(line).message_id for line in lines]
                yield Identified(frame.first_seq, frame.source_id, ids, erased)
            cursor = batch.next_cursor

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What `open` found unreadable at the end of the topics; `verify` looks at every byte."""
        return tuple(damage for files in self._files.values() for damage in files.damage)

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        """Store the records and return once they are on disk; see the contract."""
        committer = self._committers[topic]
        committer.admit()
        if not reserved:
            self._need_space(committer.waiting_bytes)
        keys: Sequence[bytes] = ()
        duplicates: tuple[int, ...] = ()
        if topic is Topic.EVENTS:
            lines, keys, duplicates = self._dedupe.admit(source_id, records)
        else:
            lines = [record.line for record in records]
        text = b"\n".join([*lines, b""])
        if text.count(b"\n") != len(lines):
            self._dedupe.withdraw(keys)
            raise ValueError("a record's line contains a newline")
        entry = Entry(source_id.encode(), microseconds(received_at), len(lines), len(duplicates), text)
        return await committer.submit(entry, duplicates, keys)

    def _need_space(self, waiting_bytes: int) -> None:
        if time.monotonic() - self._free_at >= _FREE_CHECK_S:
            status = os.statvfs(self._directory)
            self._free_bytes, self._free_at = status.f_bavail * status.f_frsize, time.monotonic()
        if self._free_bytes - waiting_bytes < self._space.free_bytes_min:
            raise LogUnavailableError("The disk is nearly full; free some space or lower the retention.")

    def start(self, topic: Topic) -> int:
        """Return the oldest cursor that can still be read."""
        return self._files[topic].mark.start

    def end(self, topic: Topic) -> int:
        """Return the sequence that comes next."""
        return self._files[topic].mark.end

    def read(self, topic: Topic, cursor: int, *, records_max: int = 10_000, bytes_max: int = 8 * 1024 * 1024) -> Batch:
        """Return what follows `cursor`; see the contract."""
        return self._readers[topic].read(cursor, records_max=records_max, bytes_max=bytes_max)

    async def wait(self, topic: Topic, cursor: int, *, timeout_s: float) -> bool:
        """Return True as soon as there is something behind `cursor`, False after `timeout_s`."""
        if self.end(topic) > cursor:
            return True
        news = asyncio.get_running_loop().create_future()
        self._waiting[topic].append((cursor, news))
        try:
            async with asyncio.timeout(timeout_s):
                return bool(await news)
        except TimeoutError:
            return False
        finally:
            self._waiting[topic] = [waiting for waiting in self._waiting[topic] if waiting[1] is not news]

    def trim(self, topic: Topic, *, before: datetime) -> int:
        """Remove the sealed segments whose newest commit is older than `before`; return the topic's new start."""
        start = self._readers[topic].sealed_before(microseconds(before))
        self._files[topic].trim(start)
        if topic is Topic.EVENTS:
            self._dedupe.forget(self.start(topic))
        return self.start(topic)

    def forget_ids(self, *, before: datetime) -> None:
        """Stop remembering the ids of events that sealed segments hold and that were stored before `before`.

        The events stay; what has one of these ids is then new.
        """
        sealed = self._readers[Topic.EVENTS].sealed_before(microseconds(before))
        self._dedupe.forget(max(sealed, self.start(Topic.EVENTS)))

    async def erase(self, topic: Topic, sequences: Iterable[int | range], *, segments_max: int | None = None) -> Erased:
        """Replace records by tombstones; see the contract. Appends and reads go on meanwhile.

        Args:
            topic: as in the contract.
            sequences: likewise.
            segments_max: after as many segments it returns, naming what is left; None for all of them.
        """
        async with self._erasing:
            return await asyncio.to_thread(self._erase, topic, spans_of(sequences), segments_max)

    def _erase(self, topic: Topic, asked: Sequence[Span], segments_max: int | None) -> Erased:
        files, mark = self._files[topic], self._files[topic].mark
        spans = within(asked, mark.start, mark.end)
        if within(spans, mark.segment, mark.end):
            files.seal()
        terms = Terms(self._keys_of if topic is Topic.EVENTS else _keyless, self._space.reserved_bytes, self._breathe)
        later = (first for first in segments(self._directory / topic) if mark.start < first < mark.end)
        done, turns = Erased(missing=count(within(asked, 0, mark.start))), 0
        for segment, following in pairwise([mark.start, *later, mark.end]):
            if of_segment := within(spans, segment, following):
                if turns == segments_max:
                    return replace(done, rest=of_segment[0].first)
                done = done.plus(files.erase(segment, of_segment, terms))
                turns += 1
        return done.plus(Erased(missing=count(within(asked, mark.end, 2**63))))

    def _keys_of(self, source_id: str, lines: Sequence[bytes]) -> list[bytes]:
        """Return the keys under which the index of ids knows the events of these lines."""
        ids = [_identified(line).message_id for line in lines]
        keys = iter(self._dedupe.keys_of(source_id, [message_id for message_id in ids if message_id]))
        return [next(keys) if message_id else b"" for message_id in ids]

    def _breathe(self) -> None:
        """Let the event loop have the interpreter; give up what is half done when the log closes."""
        if self._closing.is_set():
            raise LogUnavailableError("The event log closes; what was not erased yet is erased when it is asked again.")
        if time.monotonic() - self._breathed_at >= _PAUSE_S:
            time.sleep(_PAUSE_S)
            self._breathed_at = time.monotonic()

    async def close(self) -> None:
        """Store what was submitted, then close the files and give the right to write back."""
        self._closing.set()
        async with self._erasing:
            await self._close()

    async def _close(self) -> None:
        for committer in self._committers.values():
            await committer.close()
        await asyncio.to_thread(self._dedupe.close, self.end(Topic.EVENTS))
        for topic in Topic:
            self._readers[topic].close()
            self._files[topic].close()
        self._lock.release()

    def _committer(self, topic: Topic, on_failure: Callable[[Exception], None]) -> Committer:
        def stored(upto: int, group: Sequence[Waiting]) -> None:
            if topic is Topic.EVENTS:
                self._dedupe.stored(upto, [waiting.keys for waiting in group])
            self._tell(topic)

        def refused(group: Sequence[Waiting]) -> None:
            for waiting in group:
                self._dedupe.withdraw(waiting.keys)

        return Committer(
            self._files[topic], name=f"log-{topic}", on_stored=stored, on_refused=refused, on_failure=on_failure
        )

    def _tell(self, topic: Topic) -> None:
        """Wake those who wait for what is now durable."""
        end = self.end(topic)
        for cursor, news in self._waiting[topic]:
            if end > cursor and not news.done():
                news.set_result(True)

    def _mark_of(self, topic: Topic) -> Callable[[], Mark]:
        return lambda: self._files[topic].mark
