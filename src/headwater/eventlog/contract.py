"""What a log promises: append durably, read from a cursor, say where it is damaged.

Three topics share a log. `inbox` keeps raw webhooks, `events` the accepted calls, `rejected` what was refused and why.
One process appends (`Appender`) and erases (`Eraser`); any number of processes read (`Reader`), each from a cursor of
its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from headwater.spec.event import Batch, Record


class Topic(StrEnum):
    """The three kinds of record, each with a gap-free sequence of its own."""

    INBOX = "inbox"
    EVENTS = "events"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes:
        first_seq: sequence of the first record kept; meaningless when `count` is 0.
        count: records kept.
        duplicates: positions in the request of the records that were stored before (or twice in it), ascending.
    """

    first_seq: int
    count: int
    duplicates: tuple[int, ...] = ()


class Appender(Protocol):
    """The write side, held by one process."""

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        """Store the records and return once they are on disk; all of them or none.

        A record whose (source_id, message_id) is stored already, or stands earlier in `records`, is left out and
        named in the answer: exact, for the whole retention, also when two requests race.

        Args:
            topic: only `events` is deduplicated.
            source_id: whose records these are.
            received_at: server clock, UTC.
            records: 1..n, in order.
            reserved: may use the disk space kept back for webhooks.

        Raises:
            LogUnavailableError: the disk is full or the log is closing; nothing was stored.
            LogOverloadedError: too much is waiting for the disk; nothing was stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did.

    Attributes:
        records: those of which a tombstone is left now.
        already: those that were erased before.
        missing: sequences that the log has no record for (any more): past retention, or not written yet.
        unreadable: those in damaged blocks, which nobody can read and which stay as they are.
        segments, size: files that were written anew, and bytes of them.
        rest: the first sequence that was not looked at yet; None when nothing is left to do.
    """

    records: int = 0
    already: int = 0
    missing: int = 0
    unreadable: int = 0
    segments: int = 0
    size: int = 0
    rest: int | None = None

    def plus(self, later: Erased) -> Erased:
        """Return what both did; `rest` is that of the later one."""
        return Erased(
            self.records + later.records,
            self.already + later.already,
            self.missing + later.missing,
            self.unreadable + later.unreadable,
            self.segments + later.segments,
            self.size + later.size,
            later.rest,
        )


class Eraser(Protocol):
    """Takes single records out of the log for good; held by the process that appends."""

    async def erase(self, topic: Topic, sequences: Iterable[int | range]) -> Erased:
        """Replace records by tombstones and return once the disk has nothing else of them.

        Sequences, ids that were seen and the chain of blocks stay. To ask again for what is erased changes nothing:
        after a crash the same call is repeated.

        Args:
            topic: of the records.
            sequences: places in it, single ones or stretches, in any order.

        Raises:
            LogUnavailableError: too little space to write a segment anew, or the log closes; what was done stays
                done, the rest is as it was.
        """
        ...


class Reader(Protocol):
    """The read side; sees a record only once it is durable."""

    def start(self, topic: Topic) -> int:
        """Return the oldest cursor that can still be read (retention moves it)."""
        ...

    def end(self, topic: Topic) -> int:
        """Return the cursor behind the newest durable record: the sequence that comes next."""
        ...

    def read(self, topic: Topic, cursor: int, *, records_max: int = 10_000, bytes_max: int = 8 * 1024 * 1024) -> Batch:
        """Return what follows `cursor`, up to the bounds but at least one record when there is one.

        Whole frames, except that the first is cut when `cursor` points into it. A cursor before `start` reads from
        `start`.
        """
        ...

    async def wait(self, topic: Topic, cursor: int, *, timeout_s: float) -> bool:
        """Return True as soon as there is something behind `cursor`, False after `timeout_s`."""
        ...
