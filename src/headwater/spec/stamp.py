"""A checked call to the line that is stored: what the server adds, and what it corrects.

Added are `type`, `messageId`, `receivedAt`, `timestamp` and `originalTimestamp`; `receivedAt` and the names of the
receiving project are never taken from the sender. `_metadata.warnings` names what was changed or looks odd, and
`_metadata.sent` keeps the sender's spelling of a time that could not be read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from headwater.errors import InvalidEventError
from headwater.limits import EVENT_BYTES_MAX, EVENT_DEPTH_MAX, PROPERTIES_MAX
from headwater.spec.checks import check
from headwater.spec.event import Body, Record
from headwater.spec.parse import depth_of
from headwater.spec.times import FUTURE_MAX, PAST_MAX, DeviceClock, format_time, parse_time

_encode = msgspec.json.Encoder().encode

_SERVERS_OWN: Final = ("writeKey", "projectId", "source_id", "sourceId")  # and `receivedAt`, which is overwritten
_FEW: Final = EVENT_DEPTH_MAX // 2  # brackets of either kind
_new_record: Final = partial(tuple.__new__, Record)  # half the time of calling Record, once an event


class Arrival:
    """What all events of one request share: both clocks, and what the batch says for its items.

    Attributes:
        warnings: the codes of what was changed in the events so far, one entry an occurrence.
    """

    __slots__ = ("clock", "context", "integrations", "new_id", "received", "received_at", "sent_at", "warnings")

    def __init__(self, received: datetime, new_id: Callable[[], str], sent_at: object = None) -> None:
        """Take the server's clock, a maker of message ids and the request's `sentAt`.

        Args:
            received: UTC, taken once per request.
            new_id: returns an id of at most 100 characters that no other event has.
            sent_at: as sent; it holds for each item that has none of its own.
        """
        self.received = received
        self.received_at = format_time(received)
        self.new_id = new_id
        self.sent_at = sent_at
        self.clock = DeviceClock(sent_at, received)
        self.warnings: list[str] = []
        self.context: Body | None = None
        self.integrations: Body | None = None

    def share(self, batch: Body) -> None:
        """Let each item inherit the batch's `context` and `integrations`; where both say something, the item wins."""
        self.context = self._object(batch, "context")
        self.integrations = self._object(batch, "integrations")

    def _object(self, batch: Body, field: str) -> Body | None:
        value = batch.get(field)
        if type(value) is dict:
            return value or None
        if value is not None:
            self.warnings.append(f"{field}_not_object")
        return None


def stamp(call: Any, item: Body, arrival: Arrival) -> Record:
    """Return the record of one call; `item` stays as it was sent.

    Args:
        call: what stands under `type`, or the address' own.
        item: as sent.
        arrival: shared by all items of the request.

    Raises:
        InvalidEventError: a check failed, or the event is too large or nested too deep.
    """
    check(call, item)
    try:
        event = item.copy()
        for field in _SERVERS_OWN:
            if field in event:
                del event[field]
        notes = [] if _is_whole(event, arrival) else _mend(event, arrival)
        event["type"] = call
        message_id = event.get("messageId")
        if not message_id:
            message_id = event["messageId"] = arrival.new_id()
        event["receivedAt"] = arrival.received_at
        _set_times(event, arrival, notes)
        if notes:
            _metadata(event)["warnings"] = notes
            arrival.warnings.extend(notes)
        line = _encode(event)
        if _needs_a_look(line):
            _check_bounds(item, line)
    except RecursionError:
        raise _too_deep() from None
    return _new_record((message_id, line))


def _needs_a_look(line: bytes) -> bool:
    """Whether a line may be too large or too deep.

    What the server adds only lengthens, so a line within the limit was within it as sent; and a level costs a bracket,
    so few brackets prove a shallow event.
    """
    return len(line) > EVENT_BYTES_MAX or line.count(b"{") > _FEW or (b"[" in line and line.count(b"[") > _FEW)


def _check_bounds(item: Body, line: bytes) -> None:
    if len(line) > EVENT_BYTES_MAX:
        _check_size(item)
    if depth_of(line) > EVENT_DEPTH_MAX:
        raise _too_deep()


def _check_size(item: Body) -> None:
    size = len(_encode(item))
    if size > EVENT_BYTES_MAX:
        raise too_large(size)


def too_large(size: int) -> InvalidEventError:
    """Return the error for an event of `size` bytes."""
    return InvalidEventError("event_too_large", f"The event has {size:,} bytes; the limit is {EVENT_BYTES_MAX:,}.")


def _too_deep() -> InvalidEventError:
    return InvalidEventError("too_deep", f"The event is nested more than {EVENT_DEPTH_MAX} levels deep.")


def _is_whole(event: Body, arrival: Arrival) -> bool:
    """Whether `_mend` would change nothing, judged quickly; what SDKs send usually is."""
    properties = event.get("properties")
    return (
        type(properties) is dict
        and len(properties) <= PROPERTIES_MAX
        and type(event.get("context")) is dict
        and type(event.get("integrations")) is dict
        and "traits" not in event
        and arrival.context is None
        and arrival.integrations is None
    )


def _mend(event: Body, arrival: Arrival) -> list[str]:
    """Drop or complete what may not stay as it is, merge what the batch shares; return the codes of what was lost."""
    notes: list[str] = []
    for field, shared in (("context", arrival.context), ("integrations", arrival.integrations)):
        value = event.get(field)
        if type(value) is not dict and field in event:
            del event[field]
            if value is not None:
                notes.append(f"{field}_not_object")
            value = None
        if shared is not None:
            event[field] = merged(shared, value) if value else shared
    for field in ("properties", "traits"):
        if field in event:
            value = event[field]
            if value is None:
                event[field] = {}
            elif type(value) is dict and len(value) > PROPERTIES_MAX:
                event[field] = dict(list(value.items())[:PROPERTIES_MAX])
                notes.append(f"{field}_dropped")
    return notes


def merged(shared: Body, own: Body) -> Body:
    """Return both objects as one, level by level; where both have a value that is no object, `own` wins."""
    result = shared | own
    for key in shared.keys() & own.keys():
        if type(shared[key]) is dict and type(own[key]) is dict:
            result[key] = merged(shared[key], own[key])
    return result


def _set_times(event: Body, arrival: Arrival, notes: list[str]) -> None:
    sent_at = event.get("sentAt")
    shared = sent_at is None or sent_at == arrival.sent_at
    clock = arrival.clock if shared else DeviceClock(sent_at, arrival.received)
    original = event.get("timestamp")
    moved = clock.quick(original) if type(original) is str else None
    if moved is None:
        _set_odd_times(event, clock, arrival, notes)
        return
    event["timestamp"] = moved
    event["originalTimestamp"] = original
    if clock.text is not None:
        event["sentAt"] = clock.text
    elif "sentAt" in event:
        del event["sentAt"]


def _set_odd_times(event: Body, clock: DeviceClock, arrival: Arrival, notes: list[str]) -> None:
    as_sent: Body = {}
    if clock.unreadable:
        notes.append("sent_at_unreadable")
        as_sent["sentAt"] = event.pop("sentAt", arrival.sent_at)
    elif clock.text is not None:
        event["sentAt"] = clock.text
    else:
        event.pop("sentAt", None)
    value = event.get("timestamp")
    original = parse_time(value)
    if original is None and value is not None:
        notes.append("timestamp_unreadable")
        as_sent["timestamp"] = value
    event["timestamp"] = _happened_at(original, clock, arrival, notes)
    event["originalTimestamp"] = event["timestamp"] if original is None else format_time(original)
    if as_sent:
        _metadata(event)["sent"] = as_sent


def _happened_at(original: datetime | None, clock: DeviceClock, arrival: Arrival, notes: list[str]) -> str:
    if original is None:
        return arrival.received_at
    try:
        moved = clock.corrected(original)
    except OverflowError:
        notes.append("timestamp_out_of_range")
        return arrival.received_at
    if moved - arrival.received > FUTURE_MAX:
        notes.append("timestamp_in_future")
    elif arrival.received - moved > PAST_MAX:
        notes.append("timestamp_in_past")
    return format_time(moved)


def _metadata(event: Body) -> Body:
    """Return the event's own `_metadata` object, made when it has none; the sender's members stay."""
    metadata = event.get("_metadata")
    own: Body = dict(metadata) if type(metadata) is dict else {}
    event["_metadata"] = own
    return own
