from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from headwater.errors import LogUnavailableError
from headwater.eventlog.contract import Appended, Topic
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.rejections import Rejections
from headwater.spec.event import Record

AT = datetime(2026, 1, 31, 9, 5, 7, 120_000, tzinfo=UTC)


class UncertainLog(MemoryLog):
    """A log that is full while `full` holds."""

    full = False

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        await asyncio.sleep(0)
        if self.full:
            raise LogUnavailableError("full")
        return await super().append(topic, source_id, received_at, records, reserved=reserved)


def lines(log: MemoryLog) -> list[dict[str, Any]]:
    return [event.body for event in log.read(Topic.REJECTED, 0).events()]


@pytest.fixture
def log() -> UncertainLog:
    return UncertainLog()


@pytest.fixture
def rejections(log: UncertainLog) -> Rejections:
    return Rejections(log, clock=lambda: AT, interval_s=0.001)


async def test_the_same_reason_is_one_line_with_the_first_of_them_as_sample(
    log: UncertainLog, rejections: Rejections
) -> None:
    for number in range(3):
        rejections.reject("id_not_string", "s", "why", sample={"n": number, "messageId": f"m-{number}"})
    await rejections.flush()
    assert lines(log) == [
        {
            "code": "id_not_string",
            "message": "why",
            "count": 3,
            "receivedAt": "2026-01-31T09:05:07.120Z",
            "sample": '{"n":0,"messageId":"m-0"}',
            "messageId": "m-0",
        }
    ]
    assert log.read(Topic.REJECTED, 0).frames[0].source_id == "s"


async def test_reasons_and_sources_are_kept_apart(log: UncertainLog, rejections: Rejections) -> None:
    for code, source in (("a", "s"), ("b", "s"), ("a", "t"), ("a", "")):
        rejections.reject(code, source, "why", sample={}, count=2)
    await rejections.flush()
    assert sorted((line["code"], line["count"]) for line in lines(log)) == [("a", 2), ("a", 2), ("a", 2), ("b", 2)]
    assert [("sample" in line) for line in lines(log)].count(False) == 1


@pytest.mark.parametrize(
    "sample",
    [
        {"writeKey": "the-key", "a": 1},
        {"nested": {"writeKey": "the-key"}},
        {"url": "https://x/?k=the-key"},
        b'{"writeKey": "the-key", broken',
        b'{"writeKey":"the-key',
        b"\xffthe-key",
    ],
)
async def test_a_sample_never_holds_the_key(sample: Any, log: UncertainLog, rejections: Rejections) -> None:
    rejections.reject("a", "s", "why", sample=sample, write_key="the-key")
    await rejections.flush()
    assert "the-key" not in json.dumps(lines(log))


@pytest.mark.parametrize("sample", [{"a": "x" * 100_000}, b"x" * 100_000])
async def test_a_sample_is_cut(sample: Any, log: UncertainLog, rejections: Rejections) -> None:
    rejections.reject("a", "s", "why", sample=sample)
    await rejections.flush()
    assert len(lines(log)[0]["sample"]) == 4_096


async def test_a_sample_that_is_too_deep_to_write_is_said_so(log: UncertainLog, rejections: Rejections) -> None:
    tower: list[Any] = []
    for _ in range(5_000):
        tower = [tower]
    rejections.reject("too_deep", "s", "why", sample=tower)
    await rejections.flush()
    assert lines(log)[0]["sample"] == "nested too deep to show"


async def test_a_full_disk_delays_lines_and_loses_no_count(log: UncertainLog, rejections: Rejections) -> None:
    log.full = True
    for _ in range(5):
        rejections.reject("a", "s", "first", count=2)
        await rejections.flush()
    log.full = False
    rejections.reject("a", "s", "later")
    await rejections.flush()
    assert [(line["message"], line["count"]) for line in lines(log)] == [("first", 11)]


async def test_counts_are_conserved_whenever_the_end_comes(log: UncertainLog, rejections: Rejections) -> None:
    for pause in range(20):
        writing = asyncio.create_task(rejections.run())
        for _ in range(pause):
            rejections.reject("a", "s", "why")
            await asyncio.sleep(0.0005)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert sum(line["count"] for line in lines(log)) == rejections.counts["a", "s"]
