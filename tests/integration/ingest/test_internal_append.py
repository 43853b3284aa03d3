"""The log's write side over HTTP: the same promises, told apart by the same errors."""

from __future__ import annotations

import aiohttp
import pytest
from door import TOKEN, Door

from headwater.clock import now
from headwater.errors import ConfigError, LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Topic
from headwater.eventlog.remote import RemoteAppender
from headwater.spec.event import Record


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


async def test_a_body_that_is_no_append_is_a_bad_request(door: Door) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{door.url}/internal/append", data=b"rubbish") as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_append")
