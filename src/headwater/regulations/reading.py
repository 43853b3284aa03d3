"""Read one topic of the log for records of a person, in threads, a bounded stretch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from headwater.eventlog.contract import Reader, Topic
from headwater.privacy.matching import Matcher
from headwater.regulations.stores import Reach
from headwater.spec.event import Batch
from headwater.spec.tombstone import is_tombstone


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that is somebody's."""

    seq: int
    source_id: str
    line: bytes


async def hits(reader: Reader, topic: Topic, matcher: Matcher, reach: Reach) -> AsyncIterator[list[Hit]]:
    """Yield the person's records of a topic in log order, up to those that are durable now; lists may be empty."""
    is_theirs = matcher.in_event if topic is Topic.EVENTS else matcher.in_text
    cursor, end = reader.start(topic), reader.end(topic)
    while cursor < end:
        batch = await asyncio.to_thread(reader.read, topic, cursor)
        if batch.next_cursor <= cursor:
            return
        yield await asyncio.to_thread(_found, batch, reach, is_theirs, matcher.may_hold)
        cursor = batch.next_cursor


def _found(
    batch: Batch, reach: Reach, is_theirs: Callable[[bytes], bool], may_hold: Callable[[bytes], bool]
) -> list[Hit]:
    return list(_each(batch, reach, is_theirs, may_hold))


def _each(
    batch: Batch, reach: Reach, is_theirs: Callable[[bytes], bool], may_hold: Callable[[bytes], bool]
) -> Iterator[Hit]:
    for frame in batch.frames:
        if not reach.holds(frame.source_id) or not may_hold(frame.lines):
            continue
        for offset, line in enumerate(frame.lines[:-1].split(b"\n")):
            if may_hold(line) and not is_tombstone(line) and is_theirs(line):
                yield Hit(frame.first_seq + offset, frame.source_id, line)
