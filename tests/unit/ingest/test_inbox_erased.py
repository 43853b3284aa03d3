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
from headwater.privacy.subjects import Hasher, Kind, subject
from headwater.privacy.suppression import Suppressed, Suppressions, nobody
from headwater.sources.contract import Mapped, Webhook
from headwater.spec.event import Record

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)


def echo(webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:  # noqa: ARG001 - the contract names it
    """Map each body to an event of this id, but no body that begins with a question."""
    text = webhook.body.decode()
    if text.startswith("?"):
        return Mapped(quarantined="a question")
    if text.startswith("later"):
        return Mapped()
    return Mapped(events=({"messageId": text, "type": "track", "userId": text},))


async def arrive(log: MemoryLog, *bodies: str) -> None:
    for body in bodies:
        line = {"receivedAt": NOON, "contentType": "text/plain", "body": body}
        await log.append(Topic.INBOX, "s", NOON, [Record("", msgspec.json.encode(line))])


@asynccontextmanager
async def mapping(log: MemoryLog, directory: Path, suppressed: Suppressed = nobody) -> AsyncIterator[InboxMapper]:
    cursors = Cursors(directory / "cursors.sqlite")
    mapper = InboxMapper(log, log, cursors, lambda _: (echo, {}), pause_s=0.001, suppressed=suppressed)
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


def suppressing(*people: str) -> Suppressions:
    hasher = Hasher(b"key")
    list_ = Suppressions(hasher)
    list_.place({"s": "w"})
    list_.replace(("w", hasher.digest(subject(Kind.EMAIL if "@" in each else Kind.USER, each))) for each in people)
    return list_


async def test_webhooks_of_people_who_are_suppressed_are_swept_out_once_they_are_mapped(tmp_path: Path) -> None:
    log = MemoryLog()
    await arrive(log, "ann", "bob", "?contact%5Bemail%5D=Ann%40x.org", "?bob@x.org", "later ann@x.org", "later bob")
    async with mapping(log, tmp_path, suppressing("ann", "ann@x.org")) as mapper:
        assert [event.message_id for event in log.read(Topic.EVENTS, 0).events()] == ["bob"]
        assert mapper.counts.suppressed == 1
        assert await mapper.sweep(log) == 3
        left = b"".join(frame.lines for frame in log.read(Topic.INBOX, 0).frames)
        assert b"nn" not in left.replace(b"contentType", b"")
        assert left.count(b"bob") == 3
        assert await mapper.sweep(log) == 0


async def test_what_is_to_be_swept_is_known_after_a_crash(tmp_path: Path) -> None:
    log = MemoryLog()
    await arrive(log, "ann", "bob")
    async with mapping(log, tmp_path, suppressing("ann")):
        pass
    async with mapping(log, tmp_path, suppressing()) as mapper:
        assert await mapper.sweep(log) == 1
