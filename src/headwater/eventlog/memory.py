"""A log in memory with the same promises but durability: for tests, and for trying things out."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from headwater.eventlog.contract import Appended, Erased, Topic
from headwater.eventlog.cutting import from_sequence
from headwater.eventlog.erasing import count, spans_of, within
from headwater.spec.event import Batch, Frame, Record
from headwater.spec.tombstone import is_tombstone, tombstone


class MemoryLog:
    """Both sides of the log; used inside one event loop."""

    def __init__(self) -> None:
        self._frames: dict[Topic, list[Frame]] = {topic: [] for topic in Topic}
        self._seen: set[tuple[str, str]] = set()
        self._grown = asyncio.Condition()

    async def append(
        self,
        topic: Topic,
        source_id: str,
        received_at: datetime,
        records: Sequence[Record],
        *,
        reserved: bool = False,  # noqa: ARG002 - memory has no disk to keep space on
    ) -> Appended:
        """Keep the records; see the contract."""
        if any(b"\n" in record.line for record in records):
            raise ValueError("a record's line contains a newline")
        kept, duplicates = self._new(topic, source_id, records)
        first_seq = self.end(topic)
        if kept:
            lines = b"".join(line + b"\n" for line in kept)
            self._frames[topic].append(Frame(source_id, first_seq, len(kept), received_at, len(duplicates), lines))
            async with self._grown:
                self._grown.notify_all()
        return Appended(first_seq, len(kept), duplicates)

    def _new(self, topic: Topic, source_id: str, records: Sequence[Record]) -> tuple[list[bytes], tuple[int, ...]]:
        lines, duplicates = [], []
        for position, (message_id, line) in enumerate(records):
            if topic is Topic.EVENTS and message_id:
                if (source_id, message_id) in self._seen:
                    duplicates.append(position)
                    continue
                self._seen.add((source_id, message_id))
            lines.append(line)
        return lines, tuple(duplicates)

    async def erase(self, topic: Topic, sequences: Iterable[int | range], *, segments_max: int | None = None) -> Erased:
        """Replace records by tombstones; see the contract. There are no segments, so that all is done at once."""
        del segments_max
        asked = spans_of(sequences)
        records = already = 0
        for place, frame in enumerate(self._frames[topic]):
            lines = frame.lines.split(b"\n")
            for span in within(asked, frame.first_seq, frame.first_seq + frame.count):
                for at in range(span.first - frame.first_seq, span.behind - frame.first_seq):
                    already += is_tombstone(lines[at])
                    records += not is_tombstone(lines[at])
                    lines[at] = tombstone()  # what was seen is known without it
            self._frames[topic][place] = replace(frame, lines=b"\n".join(lines))
        return Erased(records, already, missing=count(asked) - records - already)

    def start(self, topic: Topic) -> int:
        """Return the oldest cursor that can still be read."""
        frames = self._frames[topic]
        return frames[0].first_seq if frames else 0

    def end(self, topic: Topic) -> int:
        """Return the sequence that comes next."""
        frames = self._frames[topic]
        return frames[-1].first_seq + frames[-1].count if frames else 0

    def read(self, topic: Topic, cursor: int, *, records_max: int = 10_000, bytes_max: int = 8 * 1024 * 1024) -> Batch:
        """Return what follows `cursor`; see the contract."""
        frames, taken = self._frames[topic], list[Frame]()
        place = max(bisect_right(frames, cursor, key=lambda frame: frame.first_seq) - 1, 0)
        at = max(cursor, self.start(topic))
        for whole in frames[place:]:
            if whole.first_seq + whole.count <= at:
                continue
            frame = from_sequence(whole, at)
            if taken and (frame.count > records_max or len(frame.lines) > bytes_max):
                break
            taken.append(frame)
            records_max, bytes_max = records_max - frame.count, bytes_max - len(frame.lines)
            at = frame.first_seq + frame.count
        return Batch(cursor, at, tuple(taken))

    async def wait(self, topic: Topic, cursor: int, *, timeout_s: float) -> bool:
        """Return True as soon as there is something behind `cursor`, False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._grown:
                await self._grown.wait_for(lambda: self.end(topic) > cursor)
        except TimeoutError:
            return False
        return True
