"""What is read of the log for one batch: frames by schema, and why others are left out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from headwater.clock import Clock
from headwater.errors import DeliveryError
from headwater.eventlog.contract import Reader, Topic
from headwater.eventlog.cutting import living
from headwater.loading.reloads import Reload
from headwater.spec.event import Batch, Damage, Frame

EVENTS_MAX: Final = 100_000  # ours, a batch
BATCH_BYTES_MAX: Final = 48 * 1024 * 1024  # ours: with what DuckDB makes of it, below 512 MB
SCAN_EVENTS_MAX: Final = 1_000_000  # ours: what a reload passes at once in search of its events; new ones wait for it
HELD_MAX: Final = 1_000  # ours: unknown sources that are remembered; one that is forgotten is waited for once more
SOURCE_KNOWN_AFTER: Final = timedelta(seconds=60)  # a configuration change reaches every process within 2 s


@dataclass(slots=True)
class Stretch:
    """The sequences `first .. next - 1`.

    Attributes:
        frames: to load, by schema.
        events: how many they hold.
        filtered: events of sources that are not connected, or that nobody knows.
        suppressed: events that were erased from the log.
        unknown: how many of the second, by source.
        expired: how many had left the log.
        held: the next frame waits for its source to be known.
    """

    first: int
    next: int
    frames: dict[str, list[Frame]] = field(default_factory=dict)
    events: int = 0
    size: int = 0
    filtered: int = 0
    suppressed: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)
    expired: int = 0
    held: bool = False

    @property
    def is_full(self) -> bool:
        """Whether the batch should be built now."""
        return self.held or self.events >= EVENTS_MAX or self.size >= BATCH_BYTES_MAX

    @property
    def missed(self) -> int:
        """How many events the log could not give."""
        return self.expired + sum(damage.last - damage.first + 1 for damage in self.damage)

    def take(self, schema: str, frame: Frame) -> None:
        """Add a frame, without what was erased of it."""
        parts, erased = living(frame)
        if parts:
            self.frames.setdefault(schema, []).extend(parts)
        self.events += frame.count - erased
        self.size += len(frame.lines)
        self.suppressed += erased

    def notices(self) -> list[str]:
        """Return what is to be said of a stretch before any table."""
        missing = [
            f"Events {damage.first} to {damage.last} are damaged in the log and missing here ({damage.reason})."
            for damage in self.damage
        ]
        unknown = [
            f"{number} events of source {source_id} were left out: it was deleted or is not connected here."
            for source_id, number in self.unknown.items()
        ]
        expired = f"{self.expired} events from {self.first} on had left the log (retention) before they were loaded"
        return ([f"{expired} here."] if self.expired else []) + missing + unknown


class NewEvents:
    """Reads what follows a warehouse's position."""

    def __init__(self, reader: Reader, clock: Clock, notes: Path) -> None:
        """Keep in the directory `notes` what a restart must not forget."""
        self._reader, self._clock, self._notes = reader, clock, notes
        self._held: dict[str, float] = {}  # sources that are waited for, and since when on a clock that nobody sets

    def after(self, position: int, cursor: int, sources: Mapping[str, str]) -> Stretch:
        """Return the next stretch; it ends where it begins when there is nothing.

        Args:
            position: where it begins.
            cursor: where the warehouse itself says that it stands.
            sources: schema by source, "" for one that is not connected.

        Raises:
            DeliveryError: the log ends before what the warehouse holds already.
        """
        self._refuse_another_log(cursor, self._reader.end(Topic.EVENTS))
        stretch = Stretch(position, position)
        while not stretch.is_full:
            batch = self._reader.read(Topic.EVENTS, stretch.next)
            if batch.next_cursor == stretch.next:
                break
            if all(self._take(stretch, frame, sources) for frame in batch.frames):
                stretch.next = batch.next_cursor
            stretch.expired += _expired(batch) if stretch.next > batch.cursor else 0
            stretch.damage += [damage for damage in batch.damage if damage.last < stretch.next]
        return stretch

    def _refuse_another_log(self, cursor: int, end: int) -> None:
        """Refuse a log that ends before what is loaded, also when it has grown beyond that meanwhile.

        What it held in between would be skipped silently: so the place is noted until the warehouse stands elsewhere.
        """
        noted = self._notes / "ahead"
        if 0 < end < cursor:  # a log of no event may just not be open yet
            noted.write_text(str(cursor))
        elif noted.exists() and noted.read_text() != str(cursor):
            noted.unlink()
        if cursor > end or noted.exists():
            raise DeliveryError(
                f"The warehouse was loaded up to event {cursor}, the log ends at {end}: it is another log, or an older "
                "copy of it. Give the warehouse an empty directory (or database) to load this log from its start."
            )

    def _take(self, stretch: Stretch, frame: Frame, sources: Mapping[str, str]) -> bool:
        """Add a frame to a stretch; False when it must wait because the configuration may not name its source yet."""
        schema = sources.get(frame.source_id)
        is_young = self._clock() - frame.received_at < SOURCE_KNOWN_AFTER
        if schema is None and is_young and self._may_wait_for(frame.source_id):
            stretch.held = True
            return False
        if schema:
            stretch.take(schema, frame)
        else:
            stretch.filtered += frame.count
        if schema is None:
            stretch.unknown[frame.source_id] = stretch.unknown.get(frame.source_id, 0) + frame.count
        stretch.next = frame.first_seq + frame.count
        return True

    def _may_wait_for(self, source_id: str) -> bool:
        """Whether a source was not waited for long enough: by a clock that was set back every frame is young."""
        now_s = time.monotonic()
        since_s = self._held.setdefault(source_id, now_s)
        if len(self._held) > HELD_MAX:
            del self._held[next(iter(self._held))]
        return now_s - since_s < SOURCE_KNOWN_AFTER.total_seconds()


def again(reader: Reader, reload: Reload, end: int, sources: Mapping[str, str]) -> Stretch:
    """Return the next stretch of a reload, which ends before the sequence `end`."""
    stretch = Stretch(reload.position, reload.position)
    while not stretch.is_full and stretch.next < min(end, stretch.first + SCAN_EVENTS_MAX):
        batch = reader.read(Topic.EVENTS, stretch.next, records_max=min(10_000, end - stretch.next))
        if batch.next_cursor == stretch.next:
            break
        stretch.expired += min(_expired(batch), end - stretch.next)
        for frame in batch.frames:
            schema = sources.get(frame.source_id)
            if frame.first_seq < end and schema and _is_wanted(reload, frame):
                stretch.take(schema, _before(frame, end))
        stretch.damage += [damage for damage in batch.damage if damage.first < end]
        stretch.next = min(batch.next_cursor, end)
    return stretch


def _before(frame: Frame, end: int) -> Frame:
    """Return a frame without its records from the sequence `end` on."""
    count = end - frame.first_seq
    if frame.count <= count:
        return frame
    lines = b"\n".join([*frame.lines.split(b"\n", count)[:count], b""])
    return replace(frame, count=count, lines=lines)


def _is_wanted(reload: Reload, frame: Frame) -> bool:
    """Whether a frame is of a source and a time that are reloaded."""
    return (
        (reload.source_ids is None or frame.source_id in reload.source_ids)
        and (reload.since is None or frame.received_at >= reload.since)
        and (reload.until is None or frame.received_at < reload.until)
    )


def _expired(batch: Batch) -> int:
    """Return how many records at the front of a batch retention has taken."""
    there = [*(frame.first_seq for frame in batch.frames[:1]), *(damage.first for damage in batch.damage[:1])]
    return max(0, min(there, default=batch.next_cursor) - batch.cursor)
