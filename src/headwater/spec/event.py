"""What the log keeps: one accepted call, complete, as destinations and warehouses get it.

A stored event is one line of JSON: the call as it was sent, in Segment's spelling, with what the server adds
(`messageId`, `receivedAt`, corrected `timestamp`, `originalTimestamp`, `sentAt`, `type`). Nothing downstream has to
know how it arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from headwater.spec.tombstone import is_tombstone

Body = dict[str, Any]
"""One JSON object in Segment's spelling (camelCase)."""

_decode = msgspec.json.Decoder(Body).decode


class Call(StrEnum):
    """The six calls of Segment's spec."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"
    ALIAS = "alias"


class Record(NamedTuple):
    """One thing to append: `line` is JSON without a raw newline; `message_id` "" means never a duplicate."""

    message_id: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One stored event and where it stands in the log.

    Attributes:
        seq: position in its topic, gap-free from 0.
        source_id: the source that accepted it.
        line: the stored JSON, no newline.
        body: the same, decoded; treat as read-only.
    """

    seq: int
    source_id: str
    line: bytes
    body: Body

    @property
    def message_id(self) -> str:
        """The id that is the same in log, warehouse row (`id`) and every delivery attempt."""
        return str(self.body.get("messageId", ""))

    @property
    def type(self) -> str:
        """The call: one of `Call`, as text."""
        return str(self.body.get("type", ""))

    @property
    def is_erased(self) -> bool:
        """The record was erased: nothing of it is left but its place."""
        return len(self.body) == 1 and is_tombstone(self.line)


@dataclass(frozen=True, slots=True)
class Frame:
    """What one request (or one page of a back-fill) appended: records of one source with one arrival time.

    Attributes:
        source_id: "" where no source is known (a rejected call with an unknown write key).
        first_seq, count: the records hold sequences `first_seq .. first_seq + count - 1`.
        received_at: server clock, UTC, taken once per request.
        duplicates: records of the same request that were left out because their id was stored before.
        lines: `count` lines of JSON, each ended by a newline.
    """

    source_id: str
    first_seq: int
    count: int
    received_at: datetime
    duplicates: int
    lines: bytes

    def events(self) -> Iterator[Event]:
        """Yield the records in log order, decoded."""
        for offset, line in enumerate(self.lines[:-1].split(b"\n")):  # splitlines() would also split at a CR
            yield Event(self.first_seq + offset, self.source_id, line, _decode(line))


class Damage(NamedTuple):
    """A range of sequences `first .. last` that cannot be read any more, and where its bytes lie."""

    first: int
    last: int
    file: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A stretch of a topic in log order.

    Attributes:
        cursor: where the reader stood.
        next_cursor: where it stands once the batch is settled; `cursor` itself when there was nothing.
        damage: what is missing between the two because it is damaged: reported, never skipped silently.
    """

    cursor: int
    next_cursor: int
    frames: tuple[Frame, ...] = ()
    damage: tuple[Damage, ...] = ()

    @property
    def count(self) -> int:
        """How many records the frames hold."""
        return sum(frame.count for frame in self.frames)

    def events(self) -> Iterator[Event]:
        """Yield every record of every frame in log order, decoded."""
        for frame in self.frames:
            yield from frame.events()
