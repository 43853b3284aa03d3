"""What of a topic its sources keep no longer, by age and by size: told by segment, so that few files are written anew.

Frames have one source and one arrival, so that no record is looked into. A segment is worth its rewriting once a good
part of it has expired, or something in it has been past its time for a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from headwater.eventlog.contract import Reader, Topic
from headwater.eventlog.erasing import Span, spans_of
from headwater.spec.event import Frame
from headwater.spec.tombstone import count_tombstones

EXPIRED_SHARE: Final = 0.25  # ours: of a segment's bytes, from which on it is written anew at once
LATE_MAX: Final = timedelta(days=1)  # ours: how much longer than asked for a record may stay, to save rewriting
_ALL: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of a source stays: `days` since arrival, and at most `size` bytes, None for any number."""

    days: int
    size: int | None = None


class Share(NamedTuple):
    """What a segment holds of a source that was not erased: bytes, and between which arrivals."""

    size: int
    oldest: datetime
    newest: datetime


class Expired(NamedTuple):
    """A segment that is to be written anew: of these sources, what arrived before these instants goes."""

    span: Span
    before: Mapping[str, datetime]


def shares(reader: Reader, topic: Topic, span: Span) -> dict[str, Share]:
    """Return what a segment holds, by source. Blocks: reads all of it."""
    found: dict[str, Share] = {}
    for frame in _frames(reader, topic, span):
        if count_tombstones(frame.lines) == frame.count:
            continue
        at = frame.received_at
        size, oldest, newest = found.get(frame.source_id, Share(0, at, at))
        found[frame.source_id] = Share(size + len(frame.lines), min(oldest, at), max(newest, at))
    return found


def due(
    held: Sequence[tuple[Span, Mapping[str, Share]]], keep_of: Callable[[str], Keep], moment: datetime
) -> list[Expired]:
    """Return which segments are to be written anew at `moment`, oldest first.

    By size whole shares go, oldest first, as long as the newer ones alone are as much as the source may keep: so a
    source keeps its size and up to a segment more.

    Args:
        held: all segments of a topic with what is in them, oldest first.
        keep_of: of a source, by its id.
        moment: the present.
    """
    found: list[Expired] = []
    newer: Counter[str] = Counter()
    for span, of_segment in reversed(held):
        before: dict[str, datetime] = {}
        ripe, is_urgent = 0, False
        for source_id, share in of_segment.items():
            keep = keep_of(source_id)
            limit = moment - timedelta(days=keep.days)
            if keep.size is not None and newer[source_id] >= keep.size:
                before[source_id], is_urgent = _ALL, True
            elif share.oldest < limit:
                before[source_id] = limit
                ripe += share.size if share.newest < limit else 0
                is_urgent |= share.oldest < limit - LATE_MAX
            newer[source_id] += share.size
        total = sum(share.size for share in of_segment.values())
        if before and (is_urgent or ripe >= EXPIRED_SHARE * total):
            found.append(Expired(span, before))
    return found[::-1]


def sequences(reader: Reader, topic: Topic, expired: Expired) -> dict[str, list[Span]]:
    """Return where what has expired stands, by source. Blocks: reads the segment."""
    found: dict[str, list[range]] = {}
    for frame in _frames(reader, topic, expired.span):
        if frame.received_at < expired.before.get(frame.source_id, frame.received_at):
            found.setdefault(frame.source_id, []).append(range(frame.first_seq, frame.first_seq + frame.count))
    return {source_id: spans_of(ranges) for source_id, ranges in found.items()}


def _frames(reader: Reader, topic: Topic, span: Span) -> Iterator[Frame]:
    cursor = span.first
    while cursor < span.behind:
        batch = reader.read(topic, cursor, records_max=min(10_000, span.behind - cursor))
        if batch.next_cursor <= cursor:
            return
        yield from (frame for frame in batch.frames if frame.first_seq < span.behind)
        cursor = batch.next_cursor
