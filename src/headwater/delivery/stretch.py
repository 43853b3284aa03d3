"""Read the log for one connection: the events of its source, in pieces that are settled whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.delivery.fate import Filtered, Item, arrival
from headwater.delivery.settlement import Lane, Move
from headwater.delivery.tail import Reading, Tail
from headwater.spec.event import Event

_FILTERED_MAX: Final = 2_000  # events one piece may leave out, so that its commit stays small
_AT_ONCE_MAX: Final = 32  # ours: events that may be decoded and filtered between two calls, as it takes below 1 ms
_SMALL: Final = 1_000  # ours: events ready, below which one more stretch of the log is read; bounds what is held
_FOREIGN_MAX: Final = 100_000  # events of other sources after which a cursor is worth a commit of its own


@dataclass(frozen=True, slots=True)
class Piece:
    """Some events in log order, and the cursor's move that settling them means.

    Attributes:
        wanted: to be attempted.
        filtered: kept out before an attempt.
    """

    move: Move
    wanted: tuple[Item, ...]
    filtered: tuple[tuple[Item, Filtered], ...]


class Stretch:
    """A lane's reader. `take` blocks on the log's files; call it from a thread, one at a time.

    Attributes:
        passed: everything before it was settled, or concerns other sources; at least the stored cursor.
    """

    def __init__(self, tail: Tail, lane: Lane) -> None:
        self._tail, self._lane, self._source, self._until = tail, lane.id, lane.source, lane.until
        self._settled = self._read_to = lane.cursor
        self.passed = lane.cursor
        self._missed = 0
        self._share = 1.0
        self._ready: deque[Event] = deque()

    @property
    def cursor(self) -> int:
        """The sequence that is read next."""
        return self._read_to

    @property
    def settled(self) -> int:
        """The sequence up to which pieces were taken; the stored cursor once the last of them is settled."""
        return self._settled

    @property
    def is_at_hand(self) -> bool:
        """The next piece is small and was read for another connection already: taking it blocks on nothing."""
        if self._ready or self._until is not None:
            return False
        found = self._tail.at_hand(self._read_to)
        return found is not None and 0 < found.own(self._source) <= _AT_ONCE_MAX

    @property
    def is_finished(self) -> bool:
        """Everything up to the end was taken."""
        return self._until is not None and not self._ready and self._read_to >= self._until

    def end_of_backlog(self, late_at: float, count_min: int) -> int | None:
        """Return the log's end when a backlog lies before it, None otherwise; reads at most one stretch more.

        Args:
            late_at: epoch seconds; the next event has to be older.
            count_min: as many events have to lie ahead, estimated by their share of what was read last.
        """
        if not self._ready and not self._read():
            return None
        end = self._tail.end()
        if not self._ready or len(self._ready) + self._share * (end - self._read_to) < count_min:
            return None
        arrived_at = arrival(self._ready[0])
        return end if arrived_at is not None and arrived_at < late_at else None

    def take(self, wanted_max: int, screen: Callable[[Event], Event | str]) -> Piece | None:
        """Return the next piece with up to `wanted_max` wanted events, None when the log has nothing new.

        `screen` returns an event as it is to be sent, or the reason why it is not.
        A piece without events appears only now and then, so that the traffic of other sources costs no commits.
        """
        while not self._ready and not self.is_finished and not self._is_far() and self._read():
            pass
        self._fill_up(wanted_max)
        if not self._ready and not self._is_far() and not self._is_at_end():
            self.passed = self._read_to
            return None
        lane, wanted = self._lane, list[Item]()
        filtered: list[tuple[Item, Filtered]] = []
        while self._ready and len(wanted) < wanted_max and len(filtered) < _FILTERED_MAX:
            event = self._ready.popleft()
            screened = screen(event)
            if isinstance(screened, str):
                filtered.append((Item(lane, event), Filtered(screened)))
            else:
                wanted.append(Item(lane, screened))
        return Piece(self._move(len(wanted) + len(filtered)), tuple(wanted), tuple(filtered))

    def _fill_up(self, wanted_max: int) -> None:
        """Read once more for a piece that would be small although the log goes on: each costs a commit."""
        end = self._tail.end() if self._until is None else min(self._until, self._tail.end())
        if 0 < len(self._ready) < min(wanted_max, _SMALL) and self._read_to < end and not self._is_far():
            self._read()

    def _is_far(self) -> bool:
        return self._missed > 0 or self._read_to - self._settled >= _FOREIGN_MAX

    def _is_at_end(self) -> bool:
        return self.is_finished and self._read_to > self._settled

    def _move(self, count: int) -> Move:
        reached = self._ready[0].seq if self._ready else self._read_to
        move = Move(self._lane, self._settled, reached, count, self._missed)
        self._settled, self._missed = reached, 0
        return move

    def _read(self) -> bool:
        found = self._tail.read(self._read_to)
        if found.next_cursor <= self._read_to:
            return False
        self._missed += _missing(found, self._read_to)
        present = sum(frame.count for frame in found.frames)
        self._share = found.own(self._source) / present if present else 0.0
        for frame in found.frames:
            if frame.source_id == self._source:
                self._ready.extend(self._within(frame.events))
        self._read_to = found.next_cursor
        return True

    def _within(self, events: Sequence[Event]) -> Iterable[Event]:
        first, until = self._read_to, self._until
        if events[0].seq >= first and (until is None or events[-1].seq < until):
            return events
        return [event for event in events if event.seq >= first and (until is None or event.seq < until)]


def _missing(found: Reading, cursor: int) -> int:
    # Sequences have no gaps: what is not there was damaged, or went with the retention before it was read.
    present = sum(frame.first_seq + frame.count - max(frame.first_seq, cursor) for frame in found.frames)
    return found.next_cursor - cursor - present
