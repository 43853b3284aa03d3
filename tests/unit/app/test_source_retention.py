"""What single sources keep for a shorter time, or less of: a virtual clock over a real log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from headwater.app.source_retention import SourceRetention, Standing, longest
from headwater.control.models import Source
from headwater.control.snapshot import Snapshot
from headwater.eventlog.contract import Topic
from headwater.eventlog.erasing import Span
from headwater.eventlog.expiring import Expired, Keep, Share, due
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record
from headwater.spec.tombstone import is_tombstone

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 60
SHORT, SMALL, LONG, OTHER = "short", "small", "long", "other"


def days(count: float) -> timedelta:
    return timedelta(days=count)


def source(name: str, kept: int | None = None, size: int | None = None) -> Source:
    return Source(
        id=name,
        workspace_id="w",
        slug=name,
        name=name,
        type="http-api",
        schema_name=name,
        enabled=True,
        write_keys=(),
        created_at=START,
        retention_days=kept,
        retention_bytes=size,
    )


def snapshot(*sources: Source) -> Snapshot:
    return Snapshot(1, sources, (), ())


@dataclass
class House:
    """A log that is filled, a retention that watches over it, and readers who stand somewhere."""

    log: SegmentLog
    retention: SourceRetention
    standings: list[Standing] = field(default_factory=list)
    number: int = 0

    async def arrive(self, source_id: str, day: float, topic: Topic = Topic.EVENTS) -> None:
        line = msgspec.json.encode({"messageId": f"m{self.number}", "properties": {"x": "y" * 200}})
        await self.log.append(topic, source_id, START + days(day), [Record(f"m{self.number}", line)])
        self.number += 1

    def left(self, topic: Topic = Topic.EVENTS) -> dict[str, list[int]]:
        """Return the days of what is not erased, by source."""
        found: dict[str, list[int]] = {}
        cursor = 0
        while (batch := self.log.read(topic, cursor)).next_cursor > cursor:
            for frame in batch.frames:
                if not is_tombstone(frame.lines[:-1]):
                    found.setdefault(frame.source_id, []).append((frame.received_at - START).days)
            cursor = batch.next_cursor
        return found


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    log = SegmentLog.open(tmp_path, segment_bytes=3_000, disk_free_bytes_min=0, disk_reserved_bytes=0)
    standings: list[Standing] = []

    async def told() -> list[Standing]:
        return standings

    reader = SegmentReader(tmp_path)
    yield House(log, SourceRetention(reader, tmp_path, log, DAYS, told), standings)
    reader.close()
    await log.close()


async def test_each_source_is_kept_as_long_as_it_says_and_others_as_the_installation_does(house: House) -> None:
    for day in range(100):
        for name in (SHORT, LONG, OTHER):
            await house.arrive(name, day)
    house.retention.use(snapshot(source(SHORT, 10), source(LONG, 95), source(OTHER)))
    for day in range(90, 100):
        await house.retention.expire(START + days(day + 0.5))
    left = house.left()
    late = 1  # at most a day longer than asked for
    assert left[SHORT][-1] == left[LONG][-1] == left[OTHER][-1] == 99
    assert 90 - late <= left[SHORT][0] <= 90
    assert 40 - late <= left[OTHER][0] <= 40
    assert 5 - late <= left[LONG][0] <= 5
    assert all(found == list(range(found[0], 100)) for found in left.values())


async def test_nothing_is_read_or_erased_while_no_source_has_a_limit_of_its_own(house: House) -> None:
    await house.arrive(OTHER, 0)
    house.retention.use(snapshot(source(OTHER)))
    assert await house.retention.expire(START + days(5_000)) == 0
    assert house.left() == {OTHER: [0]}


async def test_webhooks_and_refused_requests_of_a_source_go_with_its_events(house: House) -> None:
    for topic in (Topic.INBOX, Topic.REJECTED):
        await house.arrive(SHORT, 0, topic)
        await house.arrive(OTHER, 0, topic)
    house.retention.use(snapshot(source(SHORT, 10, 1_000_000)))
    assert await house.retention.expire(START + days(12)) == 2
    assert house.left(Topic.INBOX) == house.left(Topic.REJECTED) == {OTHER: [0]}


async def test_by_size_the_oldest_go_and_up_to_a_segment_more_stays(house: House) -> None:
    for day in range(40):
        await house.arrive(SMALL, day)
        await house.arrive(OTHER, day)
    house.retention.use(snapshot(source(SMALL, size=4_000)))
    await house.retention.expire(START + days(40))
    left = house.left()
    assert left[OTHER] == list(range(40))
    assert left[SMALL] == list(range(left[SMALL][0], 40))
    assert 4_000 <= len(left[SMALL]) * 245 <= 4_000 + 3_000
    assert await house.retention.expire(START + days(40)) == 0


async def test_what_has_gone_does_not_come_back_as_new(house: House) -> None:
    await house.arrive(SHORT, 0)
    house.retention.use(snapshot(source(SHORT, 1)))
    await house.retention.expire(START + days(3))
    assert house.left() == {}
    house.number = 0
    await house.arrive(SHORT, 3)
    assert house.log.end(Topic.EVENTS) == 1


async def test_whoever_has_not_read_what_goes_is_named(house: House) -> None:
    for day in range(4):
        await house.arrive(SHORT, day)
    house.standings += [
        Standing("behind", SHORT, 1),
        Standing("warehouse", "", 3),
        Standing("at the end", SHORT, 4),
        Standing("of another", OTHER, 0),
    ]
    house.retention.use(snapshot(source(SHORT, 1)))
    with capture_logs() as told:
        await house.retention.expire(START + days(9))
    warned = {each["reader"]: each["count"] for each in told if each["event"] == "retention.unread"}
    assert warned == {"behind": 3, "warehouse": 1}


def test_a_segment_is_worth_rewriting_for_a_quarter_of_it_or_for_what_is_a_day_late() -> None:
    moment, span = START + days(100), Span(0, 9)

    def share(size: int, oldest: float, newest: float) -> Share:
        return Share(size, START + days(oldest), START + days(newest))

    def keep_of(source_id: str) -> Keep:
        return Keep(10 if source_id == SHORT else 1_000)

    def found(of_short: Share) -> list[Expired]:
        return due([(span, {SHORT: of_short, OTHER: share(700, 0, 99)})], keep_of, moment)

    cut = [Expired(span, {SHORT: START + days(90)})]
    assert found(share(300, 89.5, 89.9)) == cut
    assert found(share(200, 89.5, 89.9)) == []
    assert found(share(300, 89.5, 90.5)) == []
    assert found(share(1, 88.9, 95)) == cut
    assert found(share(300, 90, 99)) == []


def test_no_segment_goes_as_a_whole_before_the_source_that_keeps_it_longest_lets_go() -> None:
    assert longest(snapshot(source(SHORT, 10), source(OTHER)), 30) == 30
    assert longest(snapshot(source(SHORT, 10), source(LONG, 400)), 30) == 400
