"""What a replay sends again: chosen by time, event and user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from headwater.eventlog.contract import Reader, Topic
from headwater.spec.event import Event
from headwater.spec.times import parse_time

NOT_SELECTED: Final = "NOT_SELECTED"
_ROUNDED: Final = timedelta(milliseconds=1)  # `receivedAt` is kept in milliseconds


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a source; None is any.

    Attributes:
        since, until: times of arrival, by `receivedAt`: from `since` on, before `until`.
        event: a track call's name.
        user_id: one person's `userId` or `anonymousId`.
    """

    since: datetime | None = None
    until: datetime | None = None
    event: str | None = None
    user_id: str | None = None

    def to_json(self) -> str:
        """Return it as the ledger keeps it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Selection:
        """Return what `to_json` was given."""
        return msgspec.json.decode(text, type=cls)

    def bounds(self, reader: Reader) -> tuple[int, int]:
        """Return the sequences between which everything selected lies. Blocks, up to a look at the whole log.

        Nothing is stored before it has arrived, so what precedes the first request of `since` or later is older. The
        other end is the log's own: a webhook that is mapped late lies far behind others of its time.
        """
        start, end = reader.start(Topic.EVENTS), reader.end(Topic.EVENTS)
        first = start if self.since is None else _first_since(reader, self.since - _ROUNDED, start, end)
        return first, max(first, end)

    def has(self, event: Event) -> bool:
        """Tell whether an event is one of these."""
        body = event.body
        if self.event is not None and body.get("event") != self.event:
            return False
        if self.user_id is not None and self.user_id not in (body.get("userId"), body.get("anonymousId")):
            return False
        if self.since is None and self.until is None:
            return True
        arrived = parse_time(body.get("receivedAt"))
        if arrived is None:
            return False
        return (self.since is None or arrived >= self.since) and (self.until is None or arrived < self.until)


def _first_since(reader: Reader, instant: datetime, start: int, end: int) -> int:
    """Return the first sequence of a request that came at `instant` or later, `end` if there is none."""
    cursor = start
    while cursor < end:
        batch = reader.read(Topic.EVENTS, cursor)
        for frame in batch.frames:
            if frame.received_at >= instant:
                return max(cursor, frame.first_seq)
        if batch.next_cursor <= cursor:
            break
        cursor = batch.next_cursor
    return end


def cursor_at(reader: Reader, instant: datetime) -> int:
    """Return the first sequence that arrived at `instant` or later, by bisection; the log's end if none did. Blocks."""
    low, high = reader.start(Topic.EVENTS), reader.end(Topic.EVENTS)
    while low < high:
        middle = (low + high) // 2
        frames = reader.read(Topic.EVENTS, middle, records_max=1).frames
        if not frames or frames[0].received_at >= instant:
            high = middle
        else:
            low = middle + 1
    return low
