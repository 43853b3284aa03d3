"""Cursors, retention, the filter and the index of ids, each alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headwater.errors import ConfigError, ConflictError, LogUnavailableError
from headwater.eventlog import sieve
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.idindex import IdIndex
from headwater.eventlog.mark import MarkFile
from headwater.eventlog.places import WriterLock
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.stretch import TopicReader
from headwater.eventlog.verify import verify
from headwater.spec.event import Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def numbered(first: int, count: int) -> list[Record]:
    return [Record(f"id-{n}", f'{{"messageId":"id-{n}"}}'.encode()) for n in range(first, first + count)]


def test_a_cursor_moves_forward_and_is_kept(tmp_path: Path) -> None:
    cursors = Cursors(tmp_path / "cursors.sqlite")
    assert cursors.get("mapper") == 0
    cursors.advance("mapper", 7)
    cursors.advance("mapper", 7)
    with pytest.raises(ConflictError, match="rewind"):
        cursors.advance("mapper", 6)
    cursors.close()
    again = Cursors(tmp_path / "cursors.sqlite")
    assert again.all() == {"mapper": 7}
    again.rewind("mapper", 2)
    assert again.get("mapper") == 2
    again.close()


class Days:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


async def test_what_retention_takes_while_it_is_looked_for_is_not_called_damaged(tmp_path: Path) -> None:
    log = SegmentLog.open(tmp_path, segment_bytes=2_000, disk_free_bytes_min=0, disk_reserved_bytes=0, clock=Days())
    for first in range(0, 200, 20):
        await log.append(Topic.EVENTS, "s", NOON, numbered(first, 20))
    files = MarkFile(tmp_path / Topic.EVENTS, writable=False)
    before = files.load()
    assert before is not None
    start = log.trim(Topic.EVENTS, before=NOON + DAY)
    now = files.load()
    assert now is not None
    marks = [before]
    batch = TopicReader(tmp_path / Topic.EVENTS, lambda: marks.pop() if marks else now).read(
        0, records_max=10_000, bytes_max=10**6
    )
    assert (batch.damage, batch.frames[0].first_seq, batch.next_cursor) == ((), start, 200)
    files.close()
    await log.close()


async def test_retention_removes_whole_old_segments_with_their_ids(tmp_path: Path) -> None:
    clock = Days()
    log = SegmentLog.open(tmp_path, segment_bytes=2_000, disk_free_bytes_min=0, disk_reserved_bytes=0, clock=clock)
    beside = SegmentReader(tmp_path)
    for day in range(10):
        clock.now = NOON + day * DAY
        for part in range(5):
            await log.append(Topic.EVENTS, "s", NOON, numbered(day * 100 + part * 20, 20))
    start = log.trim(Topic.EVENTS, before=NOON + 4 * DAY)
    assert 300 < start <= 400
    assert start == log.start(Topic.EVENTS) == beside.start(Topic.EVENTS)
    assert min(int(path.stem) for path in (tmp_path / "events").glob("*.segment")) == start
    for reader in (log, beside):
        assert [event.seq for event in reader.read(Topic.EVENTS, 0).events()] == list(range(start, 1000))
    await log.close()
    assert verify(tmp_path).damage == ()
    again = SegmentLog.open(tmp_path, segment_bytes=2_000, disk_free_bytes_min=0, disk_reserved_bytes=0, clock=clock)
    assert again.damage == ()
    assert (await again.append(Topic.EVENTS, "s", NOON, numbered(900, 100))).count == 0
    again.trim(Topic.EVENTS, before=NOON + 100 * DAY)
    assert again.start(Topic.EVENTS) < again.end(Topic.EVENTS)
    await again.close()
    beside.close()


async def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = SegmentLog.open(tmp_path, disk_free_bytes_min=0, disk_reserved_bytes=0)
    await log.append(Topic.EVENTS, "s", NOON, numbered(0, 1))
    await log.close()
    with pytest.raises(LogUnavailableError, match="closed"):
        await log.append(Topic.EVENTS, "s", NOON, numbered(1, 1))


def test_one_process_at_a_time_may_write(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    with pytest.raises(ConfigError, match=str(tmp_path)):
        WriterLock(tmp_path)
    lock.release()
    WriterLock(tmp_path).release()


def test_the_filter_knows_all_it_was_given_and_little_else() -> None:
    chance = random.Random(1)
    filters = sieve.Sieve()
    words = [chance.getrandbits(64) for _ in range(300_000)]
    filters.add(words)
    decoded = sieve.decode(filters.encode(b"o" * 16, 42), b"o" * 16)
    assert decoded is not None
    again, upto = decoded
    assert upto == 42
    part = again.newest
    assert all(held(part, word) for word in words)
    assert sum(held(part, chance.getrandbits(64)) for _ in range(100_000)) < 1_000
    assert sieve.decode(filters.encode(b"o" * 16, 42), b"p" * 16) is None
    assert sieve.decode(b"", b"o" * 16) is None


def held(part: sieve.Filter, word: int) -> bool:
    mask = sieve.MASKS[word >> sieve.MASK_SHIFT]
    return part.cells[word & part.last] & mask == mask


def test_a_full_filter_is_followed_by_a_larger_one() -> None:
    filters = sieve.Sieve()
    first = filters.newest
    filters.grow(first.capacity)
    assert filters.newest.capacity == 2 * first.capacity


def test_runs_of_ids_are_merged_and_every_id_is_found(tmp_path: Path) -> None:
    index = IdIndex(tmp_path / "ids.sqlite")
    chance = random.Random(2)
    runs = [[chance.randbytes(16) for _ in range(50)] for _ in range(70)]
    for number, keys in enumerate(runs):
        index.add(keys, (number + 1) * 50)
        while index.merge(0):
            pass
    assert (index.keys, index.upto) == (3_500, 3_500)
    for number, keys in enumerate(runs):
        assert index.find([b"0" * 16, *keys]) == [(key, (number + 1) * 50 - 1) for key in keys]
    assert index.find([b"0" * 16]) == []
    assert {key for some in index.all_keys() for (key,) in some} == {key for keys in runs for key in keys}
    index.forget(3_500)
    assert index.keys == 0
    index.close()
