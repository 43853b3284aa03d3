"""The log's write side over HTTP: the same promises, told apart by the same errors."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from door import TOKEN, Door, open_door

from headwater.clock import now
from headwater.errors import ConfigError, LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Erased, Topic
from headwater.eventlog.remote import RemoteAppender, RemoteEraser
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record
from headwater.spec.tombstone import is_tombstone


async def test_records_are_stored_and_duplicates_named(door: Door) -> None:
    appender = RemoteAppender(door.url, TOKEN)
    records = [Record("a", b'{"messageId":"a"}'), Record("a", b'{"messageId":"a"}'), Record("", b"{}")]
    received_at = now()
    assert await appender.append(Topic.EVENTS, "s", received_at, records) == Appended(0, 2, (1,))
    assert await appender.append(Topic.EVENTS, "s", received_at, records[:1], reserved=True) == Appended(2, 0, (0,))
    await appender.close()
    (frame,) = door.log.read(Topic.EVENTS, 0).frames
    assert (frame.source_id, frame.received_at, frame.lines) == ("s", received_at, b'{"messageId":"a"}\n{}\n')


async def test_the_logs_errors_come_through(door: Door) -> None:
    appender = RemoteAppender(door.url, TOKEN)
    for error in (LogUnavailableError("full"), LogOverloadedError("queue")):
        door.log.error = error
        with pytest.raises(type(error)):
            await appender.append(Topic.EVENTS, "s", now(), [Record("a", b"{}")])
    await appender.close()


async def test_a_door_that_is_not_there_is_unavailable() -> None:
    appender = RemoteAppender("http://127.0.0.1:1", TOKEN)
    with pytest.raises(LogUnavailableError):
        await appender.append(Topic.EVENTS, "s", now(), [Record("a", b"{}")])
    await appender.close()


async def test_without_the_token_the_address_is_not_there(door: Door) -> None:
    appender = RemoteAppender(door.url, "wrong")
    with pytest.raises(ConfigError):
        await appender.append(Topic.EVENTS, "s", now(), [Record("a", b"{}")])
    await appender.close()
    async with aiohttp.ClientSession() as session:
        for method, headers in (("POST", {}), ("GET", {"Authorization": f"Bearer {TOKEN}"})):
            async with session.request(method, f"{door.url}/internal/append", headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    assert door.events() == []


@pytest.mark.parametrize("path", ["append", "erase"])
async def test_a_body_that_is_none_of_ours_is_a_bad_request(door: Door, path: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{door.url}/internal/{path}", data=b"rubbish") as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_request")


async def test_records_are_erased_from_another_process(door: Door) -> None:
    await door.log.append(Topic.EVENTS, "s", now(), [Record(str(n), b'{"messageId":"%d"}' % n) for n in range(9)])
    eraser = RemoteEraser(door.url, TOKEN)
    assert await eraser.erase(Topic.EVENTS, [1, range(4, 6), 100]) == Erased(records=3, missing=1)
    assert await eraser.erase(Topic.EVENTS, [1]) == Erased(already=1)
    assert await eraser.erase(Topic.EVENTS, []) == Erased()
    await eraser.close()
    (frame,) = door.log.read(Topic.EVENTS, 0).frames
    assert [seq for seq, line in enumerate(frame.lines.splitlines()) if is_tombstone(line)] == [1, 4, 5]


async def test_an_erasure_over_many_segments_goes_on_until_nothing_is_left(tmp_path: Path) -> None:
    log = SegmentLog.open(tmp_path, segment_bytes=300, disk_free_bytes_min=0, disk_reserved_bytes=0)
    for _ in range(40):
        await log.append(Topic.INBOX, "s", now(), [Record("", b'{"body":"%s"}' % (b"x" * 100))])
    with open_door(log=log) as door:
        eraser = RemoteEraser(door.url, TOKEN)
        done = await eraser.erase(Topic.INBOX, [*range(39), 70])
        await eraser.close()
    assert (done.records, done.missing, done.rest) == (39, 1, None)
    assert done.segments > 8
    await log.close()


async def test_what_stands_in_the_way_of_an_erasure_is_said(tmp_path: Path) -> None:
    log = SegmentLog.open(tmp_path, disk_free_bytes_min=0, disk_reserved_bytes=2**60)
    await log.append(Topic.INBOX, "s", now(), [Record("", b"{}")], reserved=True)
    with open_door(log=log) as door:
        for url, token, wanted in (
            (door.url, TOKEN, pytest.raises(LogUnavailableError, match="too little space")),
            (door.url, "wrong", pytest.raises(ConfigError)),
            ("http://127.0.0.1:1", TOKEN, pytest.raises(LogUnavailableError, match="did not answer")),
        ):
            eraser = RemoteEraser(url, token)
            with wanted:
                await eraser.erase(Topic.INBOX, [0])
            await eraser.close()
    await log.close()
