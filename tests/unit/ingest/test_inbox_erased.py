"""Webhooks that were taken out of the inbox: never mapped, never listed as stuck, counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headwater.errors import NotFoundError
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.sources.contract import Mapped, Webhook
from headwater.spec.event import Record

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)


def echo(webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:  # noqa: ARG001 - the contract names it
    """Map each body to an event of this id, but no body that begins with a question."""
    text = webhook.body.decode()
    if text.startswith("?"):
        return Mapped(quarantined="a question")
    return Mapped(events=({"messageId": text, "type": "track"},))


async def arrive(log: MemoryLog, *bodies: str) -> None:
    for body in bodies:
        line = {"receivedAt": NOON, "contentType": "text/plain", "body": body}
        await log.append(Topic.INBOX, "s", NOON, [Record("", msgspec.json.encode(line))])


@asynccontextmanager
async def mapping(log: MemoryLog, directory: Path) -> AsyncIterator[InboxMapper]:
    cursors = Cursors(directory / "cursors.sqlite")
    mapper = InboxMapper(log, log, cursors, lambda _: (echo, {}), pause_s=0.001)
    running = asyncio.create_task(mapper.run())
    await mapper.drain(log.end(Topic.INBOX))
    try:
        yield mapper
    finally:
        await mapper.stop()
        await running
        cursors.close()


async def test_an_erased_webhook_is_passed_over_and_counted(tmp_path: Path) -> None:
    log = MemoryLog()
    await arrive(log, "a", "b", "c", "?d")
    await log.erase(Topic.INBOX, [1, 3])
    async with mapping(log, tmp_path) as mapper:
        assert [event.message_id for event in log.read(Topic.EVENTS, 0).events()] == ["a", "c"]
        counts = mapper.counts
        assert (counts.mapped, counts.erased, counts.quarantined) == (2, 2, {})
        assert await mapper.quarantined() == []


async def test_one_that_waits_to_be_mapped_and_is_erased_waits_no_longer(tmp_path: Path) -> None:
    log = MemoryLog()
    await arrive(log, "?a", "?b")
    async with mapping(log, tmp_path) as mapper:
        assert {each.inbox_seq for each in await mapper.quarantined()} == {0, 1}
        await log.erase(Topic.INBOX, [0])
        with pytest.raises(NotFoundError):
            await mapper.quarantined_at(0)
        assert await mapper.retry_quarantined() == {"mapped": 0, "stillQuarantined": 1}
        assert [each.inbox_seq for each in await mapper.quarantined()] == [1]
