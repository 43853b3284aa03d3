"""What a replay sends again: chosen by time, event and user, marked as meant for one destination only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from headwater.delivery.fate import UNSUPPORTED_EVENT_TYPE, Item
from headwater.destinations.contract import Card
from headwater.eventlog.contract import Reader, Topic
from headwater.spec.event import Event

NOT_SELECTED: Final = "NOT_SELECTED"
# Times of arrival are taken before the log's order is decided, so neighbours may be swapped by as much as a slow body.
_ARRIVAL_SLACK: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a source; None is any. Times are those of arrival: from `since` on, before `until`."""

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

    def why_not(self, event: Event, card: Card) -> str | None:
        """Return why an event is not sent again, None when it is."""
        if not self._has(event):
            return NOT_SELECTED
        return None if event.type in card.calls else UNSUPPORTED_EVENT_TYPE

    def bounds(self, reader: Reader) -> tuple[int, int]:
        """Return the sequences between which everything selected lies. Blocks."""
        first = reader.start(Topic.EVENTS) if self.since is None else cursor_at(reader, self.since - _ARRIVAL_SLACK)
        end = reader.end(Topic.EVENTS) if self.until is None else cursor_at(reader, self.until + _ARRIVAL_SLACK)
        return first, max(first, end)

    def _has(self, event: Event) -> bool:
        if self.event is not None and event.body.get("event") != self.event:
            return False
        if self.user_id is not None and event.body.get("userId") != self.user_id:
            return False
        if self.since is None and self.until is None:
            return True
        arrived = datetime.fromisoformat(str(event.body["receivedAt"]))
        return (self.since is None or arrived >= self.since) and (self.until is None or arrived < self.until)


def sent_again(item: Item, name: str) -> Item:
    """Return the item with `integrations` rewritten for one destination; ids and times stay.

    Source: Segment, what is replay.
    """
    body = {**item.event.body, "integrations": {"All": False, name: True}}
    event = dataclasses.replace(item.event, line=msgspec.json.encode(body), body=body)
    return dataclasses.replace(item, event=event)


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
