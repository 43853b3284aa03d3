"""The log's newest events, read and decoded once for all connections that follow it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from headwater.eventlog.contract import Reader, Topic
from headwater.spec.event import Batch, Event, Frame

_READ_RECORDS: Final = 1_000
_READ_BYTES: Final = 1024 * 1024
_KEPT_BYTES: Final = 4 * 1024 * 1024  # ours: stored lines; decoded they take some six times as much


class Decoded:
    """A frame whose events are decoded when they are asked for first; everybody gets the same ones, read-only."""

    def __init__(self, frame: Frame) -> None:
        self.source_id, self.first_seq, self.count = frame.source_id, frame.first_seq, frame.count
        self.line_bytes = len(frame.lines)
        self._frame: Frame | None = frame
        self._events: Sequence[Event] = ()

    @property
    def events(self) -> Sequence[Event]:
        """The frame's events in log order."""
        if (frame := self._frame) is not None:
            # Two threads may both decode; what counts is that neither sees the frame gone before its events are there.
            self._events = tuple(frame.events())
            self._frame = None
        return self._events


class Reading:
    """A stretch of the log: `cursor` itself is `next_cursor` when there was nothing."""

    def __init__(self, batch: Batch) -> None:
        self.cursor, self.next_cursor = batch.cursor, batch.next_cursor
        self.frames = tuple(map(Decoded, batch.frames))
        self.line_bytes = sum(frame.line_bytes for frame in self.frames)

    def own(self, source: str) -> int:
        """Return how many of the records are of this source."""
        return sum(frame.count for frame in self.frames if frame.source_id == source)


class Tail:
    """Reads events from any cursor; the last megabytes that were read are kept for whoever stands at the same one.

    Connections at the end of the log stand at the same cursor, and stay together: each gets the stretch that the
    first of them has read. May be called from any thread.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Reading] = OrderedDict()
        self._bytes = self._end = 0

    def end(self) -> int:
        """Return the sequence that comes next in the log."""
        return self._reader.end(Topic.EVENTS)

    def at_hand(self, cursor: int) -> Reading | None:
        """Return what follows `cursor` if it was read before."""
        with self._lock:
            self._check_end()
            return self._kept.get(cursor)

    def read(self, cursor: int) -> Reading:
        """Return what follows `cursor`, at least one record when there is one."""
        with self._lock:
            self._check_end()
            if (kept := self._kept.get(cursor)) is not None:
                self._kept.move_to_end(cursor)
                return kept
            # The lock is held while it reads: those who wait for it want the same stretch.
            read = Reading(self._reader.read(Topic.EVENTS, cursor, records_max=_READ_RECORDS, bytes_max=_READ_BYTES))
            if read.next_cursor > cursor:
                self._keep(read)
            return read

    def _keep(self, read: Reading) -> None:
        self._kept[read.cursor] = read
        self._bytes += read.line_bytes
        while self._bytes > _KEPT_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].line_bytes

    def _check_end(self) -> None:
        """Forget everything when the log has become shorter: its sequences are used for other events then."""
        end = self.end()
        if end < self._end:
            self._kept.clear()
            self._bytes = 0
        self._end = end
