"""Records that are taken out of the log: what is left of them, and what everybody else still finds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import LogUnavailableError
from headwater.eventlog.contract import Erased, Topic
from headwater.eventlog.cutting import living
from headwater.eventlog.erasing import Span, count, spans_of, within
from headwater.eventlog.idindex import INDEX_FILE, SECRET_FILE, IdIndex
from headwater.eventlog.memory import MemoryLog
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.verify import verify
from headwater.spec.event import Batch, Frame, Record
from headwater.spec.tombstone import count_tombstones, is_tombstone, key_of, tombstone

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECRET = b"ada@example.com"


def record(number: int) -> Record:
    name = f"id-{number}"
    body = {"messageId": name, "type": "track", "properties": {"email": SECRET.decode(), "n": number, "erased": "x"}}
    return Record(name, msgspec.json.encode(body))


def opened(directory: Path, segment_bytes: int = 2_000, *, reserved: int = 0) -> SegmentLog:
    return SegmentLog.open(directory, segment_bytes=segment_bytes, disk_free_bytes_min=0, disk_reserved_bytes=reserved)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SegmentLog]:
    stored = opened(tmp_path / "log")
    yield stored
    await stored.close()


async def fill(log: SegmentLog | MemoryLog, count: int, topic: Topic = Topic.EVENTS, first: int = 0) -> None:
    for number in range(first, first + count, 3):
        some = [record(each) for each in range(number, min(number + 3, first + count))]
        await log.append(topic, f"src_{number % 2}", NOON, some)


def lines(reader: SegmentReader | SegmentLog | MemoryLog, topic: Topic = Topic.EVENTS) -> list[bytes]:
    cursor, found = 0, list[bytes]()
    while (batch := reader.read(topic, cursor, records_max=20)).next_cursor > cursor:
        assert not batch.damage
        found += [line for frame in batch.frames for line in frame.lines[:-1].split(b"\n")]
        cursor = batch.next_cursor
    return found


def bytes_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["memory", "segments"])
async def test_an_erased_record_leaves_its_place_and_nothing_else(kind: str, tmp_path: Path) -> None:
    log = MemoryLog() if kind == "memory" else opened(tmp_path / "log")
    await fill(log, 60)
    before = lines(log)
    erased = await log.erase(Topic.EVENTS, [3, range(10, 14), 59, 10])
    assert (erased.records, erased.already, erased.missing, erased.unreadable, erased.rest) == (6, 0, 0, 0, None)
    gone = {3, 10, 11, 12, 13, 59}
    after = lines(log)
    assert [seq for seq, line in enumerate(after) if is_tombstone(line)] == sorted(gone)
    assert [line for seq, line in enumerate(after) if seq not in gone] == [
        line for seq, line in enumerate(before) if seq not in gone
    ]
    again = await log.erase(Topic.EVENTS, [3, 60, 1_000])
    assert (again.records, again.already, again.missing, again.segments) == (0, 1, 2, 0)
    if isinstance(log, SegmentLog):
        await log.close()


async def test_no_byte_of_what_was_erased_is_left_in_any_file(log: SegmentLog, tmp_path: Path) -> None:
    for topic in Topic:
        await fill(log, 30, topic)
        await log.erase(topic, range(30))
    assert SECRET not in bytes_of(tmp_path / "log")


@pytest.mark.parametrize("topic", [Topic.INBOX, Topic.REJECTED])
async def test_records_without_ids_keep_no_key(log: SegmentLog, topic: Topic) -> None:
    await fill(log, 3, topic)
    await log.erase(topic, [1])
    assert lines(log, topic)[1] == b'{"erased":""}' == tombstone()


async def test_a_late_duplicate_of_an_erased_event_does_not_come_back(log: SegmentLog) -> None:
    await fill(log, 3)
    await log.erase(Topic.EVENTS, range(3))
    appended = await log.append(Topic.EVENTS, "src_0", NOON, [record(1)])
    assert (appended.count, appended.duplicates) == (0, (0,))


@pytest.mark.parametrize("lost", [[INDEX_FILE, "ids.filter"], ["ids.filter"], []])
async def test_nor_after_the_index_of_ids_was_lost(lost: list[str], tmp_path: Path) -> None:
    log = opened(tmp_path)
    await fill(log, 6)
    await log.erase(Topic.EVENTS, range(6))
    await log.close()
    for name in lost:
        (tmp_path / name).unlink()
    log = opened(tmp_path)
    assert (await log.append(Topic.EVENTS, "src_0", NOON, [record(1), record(7)])).duplicates == (0,)
    await log.close()


async def test_an_index_of_an_older_version_gives_its_secret_to_the_file(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await fill(log, 3)
    await log.close()
    (tmp_path / SECRET_FILE).unlink()
    log = opened(tmp_path)
    await log.erase(Topic.EVENTS, [0])
    await log.close()
    index, reader = IdIndex(tmp_path / INDEX_FILE), SegmentReader(tmp_path)
    assert (tmp_path / SECRET_FILE).read_bytes() == index.secret
    key = key_of(lines(reader)[0])
    assert [found for found, _ in index.find([key])] == [key]
    reader.close()
    index.close()


async def test_verify_finds_a_whole_chain_and_counts_what_was_erased(log: SegmentLog, tmp_path: Path) -> None:
    await fill(log, 60)
    await log.erase(Topic.EVENTS, range(20, 40))
    report = verify(tmp_path / "log")
    assert report.damage == ()
    assert (report.records[Topic.EVENTS], report.erased[Topic.EVENTS]) == (60, 20)


async def test_a_start_removes_what_a_crash_left_beside(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await fill(log, 9)
    await log.close()
    aside = tmp_path / "events" / "00000000000000000000.aside"
    aside.write_bytes(b"half")
    log = opened(tmp_path)
    assert (aside.exists(), log.damage, len(lines(log))) == (False, (), 9)
    await log.close()


async def test_readers_that_know_places_in_the_old_file_find_them_in_the_new_one(tmp_path: Path) -> None:
    log, beside = opened(tmp_path, 20_000), SegmentReader(tmp_path)
    await fill(log, 300)
    cursors = [*range(0, 300, 7)]
    chance = random.Random(7)
    for turn in range(6):
        for reader in (log, beside):
            for cursor in chance.sample(cursors, len(cursors)):
                batch = reader.read(Topic.EVENTS, cursor, records_max=5)
                assert not batch.damage
                assert batch.frames[0].first_seq == cursor
        await log.erase(Topic.EVENTS, chance.sample(range(300), 20))
        assert lines(log) == lines(beside)
        await fill(log, 3, first=300 + 3 * turn)
    beside.close()
    await log.close()


async def test_a_reader_that_stands_in_an_erased_block_is_given_nothing_old(tmp_path: Path) -> None:
    log, beside = opened(tmp_path, 20_000), SegmentReader(tmp_path)
    await fill(log, 3)
    for reader in (log, beside):
        assert SECRET in reader.read(Topic.EVENTS, 1, records_max=1).frames[0].lines
    await log.erase(Topic.EVENTS, range(3))
    for reader in (log, beside):
        assert SECRET not in reader.read(Topic.EVENTS, 1, records_max=1).frames[0].lines
    beside.close()
    await log.close()


async def test_what_is_written_to_is_sealed_first_and_appends_go_on(log: SegmentLog) -> None:
    await fill(log, 3)
    await asyncio.gather(log.erase(Topic.EVENTS, [0]), fill(log, 30, first=3))
    assert len(lines(log)) == 33
    assert is_tombstone(lines(log)[0])


async def test_only_so_many_segments_at_a_time_and_the_rest_is_named(log: SegmentLog) -> None:
    await fill(log, 120)
    done, left = Erased(), list(range(0, 120, 2))
    for _ in range(100):
        part = await log.erase(Topic.EVENTS, left, segments_max=1)
        assert part.segments <= 1
        done = done.plus(part)
        if part.rest is None:
            break
        left = [seq for seq in left if seq >= part.rest]
    assert (done.records, done.missing, done.rest) == (60, 0, None)


async def test_without_space_nothing_is_erased_and_the_reason_is_said(tmp_path: Path) -> None:
    log = opened(tmp_path, reserved=2**60)
    for number in range(3):
        await log.append(Topic.EVENTS, "s", NOON, [record(number)], reserved=True)
    with pytest.raises(LogUnavailableError, match="too little space"):
        await log.erase(Topic.EVENTS, [0])
    assert not any(map(is_tombstone, lines(log)))
    await log.close()


async def test_retention_counts_what_it_took_as_missing(log: SegmentLog) -> None:
    await fill(log, 60)
    start = log.trim(Topic.EVENTS, before=datetime(2100, 1, 1, tzinfo=UTC))
    assert start > 0
    assert (await log.erase(Topic.EVENTS, range(60))).missing == start


async def test_a_log_that_closes_gives_up_an_erasure_and_keeps_the_old_segment(tmp_path: Path) -> None:
    log = opened(tmp_path, 2_000_000)
    await fill(log, 900)
    erasing = asyncio.create_task(log.erase(Topic.EVENTS, range(900)))
    await asyncio.sleep(0.02)
    await log.close()
    with pytest.raises(LogUnavailableError, match="asked again"):
        await erasing
    reader = SegmentReader(tmp_path)
    assert not any(map(is_tombstone, lines(reader)))
    reader.close()


ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: range(pair[0], sum(pair))))


@given(ranges, st.integers(0, 60), st.integers(0, 60))
def test_spans_are_the_sequences_that_were_given(given_ranges: list[range], first: int, behind: int) -> None:
    wanted = {seq for each in given_ranges for seq in each}
    spans = spans_of(given_ranges)
    assert {seq for span in spans for seq in range(*span)} == wanted
    assert count(spans) == len(wanted)
    assert all(one.behind < other.first for one, other in pairwise(spans))
    cut = within(spans, first, behind)
    assert {seq for span in cut for seq in range(*span)} == {seq for seq in wanted if first <= seq < behind}
    assert spans_of([5, 3, 4]) == [Span(3, 6)]


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_the_living_parts_of_a_frame_keep_their_sequences(erased: list[bool]) -> None:
    stored = [tombstone(bytes(16)) if is_erased else record(seq).line for seq, is_erased in enumerate(erased)]
    frame = Frame("s", 100, len(stored), NOON, 4, b"\n".join([*stored, b""]))
    parts, number = living(frame)
    kept = {event.seq: event.line for event in Batch(0, 0, tuple(parts)).events()}
    assert kept == {100 + seq: line for seq, line in enumerate(stored) if not erased[seq]}
    assert number == sum(erased) == count_tombstones(frame.lines)
    assert sum(part.duplicates for part in parts) == (0 if all(erased) else 4)


@pytest.mark.parametrize(
    "line",
    [b'{"erased":"x","messageId":"m"}', b'{"erased":"' + b"f" * 32 + b'","a":1}', b'{"erased":"' + b"f" * 31 + b'"}'],
)
def test_no_event_looks_like_a_tombstone(line: bytes) -> None:
    assert not is_tombstone(line)
    assert count_tombstones(line + b"\n") == 0
