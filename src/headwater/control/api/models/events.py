"""What arrives: events, volume, kinds of event, and what was refused."""

from __future__ import annotations

from typing import Any

import msgspec


class LiveEvent(msgspec.Struct, rename="camel"):
    """An event as it is stored; `seq` counts up in the log."""

    seq: int
    source_id: str
    type: str
    name: str
    received_at: str | None
    event: dict[str, Any]


class Events(msgspec.Struct, rename="camel"):
    """Events, newest first; `next` is the `before` of the page that follows."""

    events: list[LiveEvent]
    next: int | None


class LastEvent(msgspec.Struct, rename="camel"):
    """The newest event of a source."""

    seq: int
    type: str
    name: str
    received_at: str
    who: str


class Hour(msgspec.Struct, rename="camel"):
    """One hour that began at `start`."""

    start: str
    accepted: int
    rejected: int


class Volume(msgspec.Struct, rename="camel"):
    """What a source sent."""

    accepted: int
    duplicates: int
    rejected: int
    rejected_by_code: dict[str, int]
    events: dict[str, int]
    hourly: list[Hour]
    last_event: LastEvent | None


class Collection(msgspec.Struct, rename="camel"):
    """A kind of event that a source has sent."""

    type: str
    name: str
    count: int
    first_seen: str
    last_seen: str


class Collections(msgspec.Struct, rename="camel"):
    """The kinds of event that a source has sent."""

    collections: list[Collection]


class RejectionCount(msgspec.Struct, rename="camel"):
    """How often something was refused in the last 24 hours."""

    source_id: str | None
    code: str
    count: int


class Rejections(msgspec.Struct, rename="camel"):
    """What was refused, newest first, each with `seq`, `sourceId`, `code` and what is known of the request."""

    rejections: list[dict[str, Any]]
    next: int | None
    totals: list[RejectionCount]


class Unmapped(msgspec.Struct, rename="camel"):
    """A webhook that could not be mapped."""

    inbox_seq: int
    source_id: str
    received_at: str
    reason: str


class UnmappedBody(Unmapped, rename="camel"):
    """A webhook with its body as it came."""

    content_type: str
    body: str


class OneUnmapped(msgspec.Struct, rename="camel"):
    """One webhook that could not be mapped."""

    unmapped: UnmappedBody


class UnmappedList(msgspec.Struct, rename="camel"):
    """Webhooks that could not be mapped, newest first."""

    unmapped: list[Unmapped]


class MappedAgain(msgspec.Struct, rename="camel"):
    """How many were mapped now, and how many still wait."""

    mapped: int
    still_unmapped: int
