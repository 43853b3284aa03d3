"""What every log promises, run over each implementation: in memory, on disk, on disk read by a second reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from headwater.eventlog.contract import Appended, Appender, Reader, Topic
from headwater.eventlog.memory import MemoryLog
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record

NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass
class Sides:
    appender: Appender
    reader: Reader


@pytest.fixture(params=["memory", "segments", "segments read beside"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sides]:
    if request.param == "memory":
        memory = MemoryLog()
        yield Sides(memory, memory)
        return
    segments = SegmentLog.open(tmp_path / "log", segment_bytes=2_000, disk_free_bytes_min=0, disk_reserved_bytes=0)
    beside = SegmentReader(tmp_path / "log")
    yield Sides(segments, segments if request.param == "segments" else beside)
    beside.close()
    await segments.close()


def record(message_id: str, **members: object) -> Record:
    return Record(message_id, msgspec.json.encode({"messageId": message_id, **members}))


def numbered(first: int, count: int) -> list[Record]:
    return [record(f"id-{number}") for number in range(first, first + count)]


def ids(log: Sides, cursor: int = 0, **bounds: int) -> list[str]:
    return [event.message_id for event in log.reader.read(Topic.EVENTS, cursor, **bounds).events()]


async def test_an_empty_log_begins_and_ends_at_zero(log: Sides) -> None:
    for topic in Topic:
        batch = log.reader.read(topic, 0)
        assert (log.reader.start(topic), log.reader.end(topic)) == (0, 0)
        assert (batch.next_cursor, batch.frames, batch.damage) == (0, (), ())


async def test_what_was_appended_is_read_back_whole(log: Sides) -> None:
    records = [record("a", type="track", properties={"naïve": "☃\u2028"}), record("b")]
    assert await log.appender.append(Topic.EVENTS, "src_1", NOON, records) == Appended(0, 2)
    (frame,) = log.reader.read(Topic.EVENTS, 0).frames
    assert (frame.source_id, frame.first_seq, frame.count, frame.duplicates) == ("src_1", 0, 2, 0)
    assert frame.received_at == NOON
    assert frame.lines == b"".join(line + b"\n" for _, line in records)


async def test_sequences_have_no_gaps_and_each_topic_has_its_own(log: Sides) -> None:
    for topic in Topic:
        for number in range(30):
            appended = await log.appender.append(topic, "s", NOON, numbered(number * 3, 3))
            assert appended == Appended(number * 3, 3)
        batch = log.reader.read(topic, 0)
        assert [event.seq for event in batch.events()] == list(range(90))
        assert batch.next_cursor == log.reader.end(topic) == 90


async def test_a_read_stops_at_whole_frames_within_its_bounds(log: Sides) -> None:
    for number in range(5):
        await log.appender.append(Topic.EVENTS, "s", NOON, numbered(number * 10, 10))
    assert log.reader.read(Topic.EVENTS, 0, records_max=25).next_cursor == 20
    assert log.reader.read(Topic.EVENTS, 20, records_max=1).next_cursor == 30
    assert log.reader.read(Topic.EVENTS, 20, bytes_max=1).next_cursor == 30
    assert log.reader.read(Topic.EVENTS, 0, records_max=50).next_cursor == 50


async def test_only_the_first_frame_is_cut_where_the_cursor_points_into_it(log: Sides) -> None:
    await log.appender.append(Topic.EVENTS, "s", NOON, numbered(0, 10))
    await log.appender.append(Topic.EVENTS, "s", NOON, numbered(10, 10))
    batch = log.reader.read(Topic.EVENTS, 7)
    assert [(frame.first_seq, frame.count) for frame in batch.frames] == [(7, 3), (10, 10)]
    assert ids(log, 7) == [f"id-{number}" for number in range(7, 20)]


async def test_every_cursor_can_be_read_from_in_any_order(log: Sides) -> None:
    for number in range(40):
        await log.appender.append(Topic.EVENTS, "s", NOON, numbered(number * 3, 3))
    for cursor in [100, 3, 50, 119, 0, 51, 17, 118, 1]:
        assert ids(log, cursor, records_max=1)[0] == f"id-{cursor}"


async def test_a_cursor_at_or_behind_the_end_reads_nothing_and_stays(log: Sides) -> None:
    await log.appender.append(Topic.EVENTS, "s", NOON, numbered(0, 3))
    for cursor in (3, 99):
        batch = log.reader.read(Topic.EVENTS, cursor)
        assert (batch.cursor, batch.next_cursor, batch.count) == (cursor, cursor, 0)


async def test_an_id_is_stored_once_for_each_source(log: Sides) -> None:
    await log.appender.append(Topic.EVENTS, "one", NOON, numbered(0, 3))
    assert await log.appender.append(Topic.EVENTS, "one", NOON, numbered(1, 4)) == Appended(3, 2, (0, 1))
    assert await log.appender.append(Topic.EVENTS, "two", NOON, numbered(0, 2)) == Appended(5, 2)
    assert log.reader.read(Topic.EVENTS, 3).frames[0].duplicates == 2
    assert ids(log) == ["id-0", "id-1", "id-2", "id-3", "id-4", "id-0", "id-1"]


async def test_a_request_of_duplicates_alone_stores_nothing(log: Sides) -> None:
    await log.appender.append(Topic.EVENTS, "s", NOON, numbered(0, 2))
    appended = await log.appender.append(Topic.EVENTS, "s", NOON, numbered(0, 2))
    assert (appended.count, appended.duplicates) == (0, (0, 1))
    assert log.reader.end(Topic.EVENTS) == 2


async def test_an_id_twice_in_one_request_is_stored_once(log: Sides) -> None:
    records = [record("a", n=1), record("b"), record("a", n=2)]
    assert await log.appender.append(Topic.EVENTS, "s", NOON, records) == Appended(0, 2, (2,))
    assert [event.body.get("n") for event in log.reader.read(Topic.EVENTS, 0).events()] == [1, None]


async def test_case_and_unicode_form_tell_ids_apart(log: Sides) -> None:
    records = [record(name) for name in ("é", "e\u0301", "É", "a", "A", "a ")]
    assert (await log.appender.append(Topic.EVENTS, "s", NOON, records)).count == 6


async def test_a_source_and_an_id_that_join_to_the_same_text_are_apart(log: Sides) -> None:
    assert (await log.appender.append(Topic.EVENTS, "ab", NOON, [record("c")])).count == 1
    assert (await log.appender.append(Topic.EVENTS, "a", NOON, [record("bc")])).count == 1


async def test_records_without_an_id_and_other_topics_are_never_duplicates(log: Sides) -> None:
    for topic, message_id in ((Topic.EVENTS, ""), (Topic.INBOX, "same"), (Topic.REJECTED, "same")):
        for _ in range(2):
            assert (await log.appender.append(topic, "s", NOON, [record(message_id)])).count == 1


async def test_racing_requests_store_each_id_once(log: Sides) -> None:
    answers = await asyncio.gather(
        *(log.appender.append(Topic.EVENTS, "s", NOON, numbered(start, 20)) for start in range(0, 40, 2))
    )
    assert sum(answer.count for answer in answers) == 58
    assert sorted(ids(log)) == sorted({f"id-{number}" for number in range(58)})


async def test_an_answer_means_readable(log: Sides) -> None:
    async def resend(number: int) -> None:
        await log.appender.append(Topic.EVENTS, "s", NOON, [record(f"id-{number % 10}")])
        assert f"id-{number % 10}" in ids(log)

    await asyncio.gather(*(resend(number) for number in range(100)))
    assert len(ids(log)) == 10


async def test_waiting_ends_with_the_first_record_behind_the_cursor(log: Sides) -> None:
    await log.appender.append(Topic.EVENTS, "s", NOON, numbered(0, 1))
    assert await log.reader.wait(Topic.EVENTS, 0, timeout_s=30)
    waiting = [asyncio.create_task(log.reader.wait(Topic.EVENTS, 1, timeout_s=30)) for _ in range(3)]
    other = asyncio.create_task(log.reader.wait(Topic.INBOX, 0, timeout_s=0.2))
    await asyncio.sleep(0)
    await log.appender.append(Topic.EVENTS, "s", NOON, numbered(1, 1))
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await other is False


async def test_waiting_for_nothing_ends_at_its_time(log: Sides) -> None:
    assert await log.reader.wait(Topic.EVENTS, 0, timeout_s=0) is False
    assert await log.reader.wait(Topic.EVENTS, 0, timeout_s=0.01) is False


async def test_a_line_with_a_newline_is_refused_and_its_id_stays_free(log: Sides) -> None:
    with pytest.raises(ValueError, match="newline"):
        await log.appender.append(Topic.EVENTS, "s", NOON, [Record("a", b'{"messageId":\n"a"}')])
    assert (await log.appender.append(Topic.EVENTS, "s", NOON, [record("a")])).count == 1


async def test_a_cancelled_request_harms_no_other(log: Sides) -> None:
    tasks = [asyncio.create_task(log.appender.append(Topic.EVENTS, "s", NOON, numbered(n, 1))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await log.appender.append(Topic.EVENTS, "s", NOON, numbered(1, 1))).count == 0
    assert sorted(ids(log)) == ["id-0", "id-1", "id-2"]
