"""The live debugger's view of the log: the newest events, and those that arrive. A sample when there are too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from headwater.eventlog.contract import Reader, Topic
from headwater.eventlog.cutting import living
from headwater.spec.event import Batch, Event, Frame

_WINDOW: Final = 2_000  # records read at once
_LOOKED_AT_MAX: Final = 100_000  # records that one `recent` walks back through for a quiet source or event
_BEHIND_MAX: Final = 20_000  # a stream that is further behind jumps to the newest
_SHOWN_MAX: Final = 200  # of one slice; nobody reads faster
_WAIT_S: Final = 15.0  # an empty slice keeps the connection through proxies alive


@dataclass(frozen=True, slots=True)
class Slice:
    """What a stream hands on at once.

    Attributes:
        events: log order, at most 200; empty when nothing came for 15 seconds.
        next_seq: where the stream goes on; a reader that comes back asks for it.
        skipped: records that were passed over because more came than can be shown.
    """

    events: tuple[Event, ...]
    next_seq: int
    skipped: int = 0


class Live:
    """Reads one topic of the log for people. Sequences are the ids: they survive restarts."""

    def __init__(self, reader: Reader, topic: Topic = Topic.EVENTS) -> None:
        self._reader, self._topic = reader, topic

    @property
    def reader(self) -> Reader:
        """The log."""
        return self._reader

    def recent(
        self,
        source_id: str | Collection[str] | None = None,
        count: int = 50,
        before: int | None = None,
        event: str | None = None,
    ) -> list[Event]:
        """Return the newest events, newest first. Reads files: in an event loop, call it in a thread.

        Args:
            source_id: one, or several; None for all sources of every workspace.
            count: at most so many; fewer when they lie further back than 100,000 records.
            before: only what has a smaller sequence, for the next page.
            event: only events of this name (tracks) or call type (the others).
        """
        end, wanted = self._reader.end(self._topic), _set_of(source_id)
        high = end if before is None else min(before, end)
        low = max(self._reader.start(self._topic), high - _LOOKED_AT_MAX)
        found: list[Event] = []
        while high > low and len(found) < count:
            cursor = max(low, high - _WINDOW)
            for each in reversed(list(self._between(cursor, high, wanted))):
                if _is_called(each, event):
                    found.append(each)
                    if len(found) == count:
                        break
            high = cursor
        return found

    async def stream(
        self, source_id: str | Collection[str] | None = None, after_seq: int | None = None, event: str | None = None
    ) -> AsyncIterator[Slice]:
        """Yield what arrives, for ever.

        Args:
            source_id: one, or several; None for all sources of every workspace.
            after_seq: the last sequence that was seen; None starts with what comes next.
            event: as in `recent`.
        """
        wanted = _set_of(source_id)
        cursor = self._reader.end(self._topic) if after_seq is None else max(0, after_seq + 1)
        while True:
            found = await asyncio.to_thread(self._next, cursor, wanted, event)
            if found.next_seq > cursor:
                cursor = found.next_seq
                if found.events or found.skipped:
                    yield found
            elif not await self._reader.wait(self._topic, cursor, timeout_s=_WAIT_S):
                yield Slice((), cursor)

    def _next(self, cursor: int, wanted: frozenset[str] | None, event: str | None) -> Slice:
        end = self._reader.end(self._topic)
        start = min(cursor, end)  # the log may have been restored from an older copy
        jumped = 0
        if end - start > _BEHIND_MAX:
            jumped, start = end - _WINDOW - start, end - _WINDOW
        batch = self._reader.read(self._topic, start, records_max=_WINDOW)
        if event is None:
            kept, left = _tail(batch, wanted)
            return Slice(kept, batch.next_cursor, jumped + left)
        named = [each for each in self._of(batch, wanted) if _is_called(each, event)]
        return Slice(tuple(named[-_SHOWN_MAX:]), batch.next_cursor, jumped + max(0, len(named) - _SHOWN_MAX))

    def _between(self, low: int, high: int, wanted: frozenset[str] | None) -> Iterator[Event]:
        cursor = low
        while cursor < high:
            batch = self._reader.read(self._topic, cursor, records_max=high - cursor)
            if batch.next_cursor <= cursor:
                return
            yield from (each for each in self._of(batch, wanted) if each.seq < high)
            cursor = batch.next_cursor

    def _of(self, batch: Batch, wanted: frozenset[str] | None) -> Iterator[Event]:
        for frame in batch.frames:
            if wanted is None or frame.source_id in wanted:
                for part in living(frame)[0]:
                    yield from part.events()


def _tail(batch: Batch, wanted: frozenset[str] | None) -> tuple[tuple[Event, ...], int]:
    """Return the last events of a batch and how many came before them; decodes only what it returns."""
    mine = [frame for frame in batch.frames if wanted is None or frame.source_id in wanted]
    frames = [part for frame in mine for part in living(frame)[0]]
    room, kept = _SHOWN_MAX, []
    for frame in reversed(frames):
        if room <= 0:
            break
        kept.append(_last(frame, room))
        room -= frame.count
    events = tuple(each for frame in reversed(kept) for each in frame.events())
    return events, sum(frame.count for frame in frames) - len(events)


def _set_of(source_id: str | Collection[str] | None) -> frozenset[str] | None:
    return frozenset((source_id,) if isinstance(source_id, str) else source_id) if source_id is not None else None


def _last(frame: Frame, count: int) -> Frame:
    if frame.count <= count:
        return frame
    lines = b"".join(frame.lines.splitlines(keepends=True)[-count:])
    first_seq = frame.first_seq + frame.count - count
    return Frame(frame.source_id, first_seq, count, frame.received_at, frame.duplicates, lines)


def name_of(event: Event) -> str:
    """Return what people call an event: a track's name, otherwise the call."""
    if event.type == "track":
        return str(event.body.get("event") or "track")
    return event.type


def _is_called(event: Event, name: str | None) -> bool:
    return name is None or name_of(event) == name
