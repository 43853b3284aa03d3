"""Identify calls are handed on from the log's start, once somebody wants them, and after a crash again."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest_asyncio

from addressbook import START, until
from headwater import sqlite
from headwater.app.identify_feed import NAME, IdentifyFeed
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Record

IDENTIFY = json.dumps({"type": "identify", "userId": "u1", "traits": {"email": "a@b.c"}}).encode()
TRACK = json.dumps({"type": "track", "event": "Opened", "userId": "u1"}).encode()


@dataclass
class Stand:
    """A log, a feed, and what it handed on."""

    log: MemoryLog
    cursors: Cursors
    seen: list[tuple[str, list[bytes]]] = field(default_factory=list)
    is_wanted: bool = True
    failures: int = 0

    def feed(self) -> IdentifyFeed:
        return IdentifyFeed(self.log, self.cursors, {"src": "ws", "other": "ws2"}.get, self.saw, lambda: self.is_wanted)

    def saw(self, workspace_id, lines) -> None:
        if self.failures:
            self.failures -= 1
            raise sqlite.Error("the disk is full")
        self.seen.append((workspace_id, list(lines)))

    async def append(self, source_id: str, *lines: bytes) -> None:
        await self.log.append(Topic.EVENTS, source_id, START, [Record("", line) for line in lines])


@pytest_asyncio.fixture
async def stand(tmp_path):
    cursors = Cursors(tmp_path / "cursors.db")
    yield Stand(MemoryLog(), cursors)
    cursors.close()


async def ended(feed: IdentifyFeed, task) -> None:
    await feed.stop()
    await task


async def test_identify_calls_of_every_source_reach_their_workspace_and_no_other_call_does(stand):
    await stand.append("src", TRACK, IDENTIFY)
    await stand.append("src", TRACK)
    await stand.append("gone", IDENTIFY)
    await stand.append("other", IDENTIFY, TRACK)
    feed = stand.feed()
    task = asyncio.create_task(feed.run())
    await until(lambda: stand.cursors.get(NAME) == 6)
    await stand.append("src", IDENTIFY)
    await until(lambda: stand.cursors.get(NAME) == 7)
    await ended(feed, task)

    assert stand.seen == [("ws", [IDENTIFY]), ("ws2", [IDENTIFY]), ("ws", [IDENTIFY])]


async def test_nothing_is_read_until_somebody_wants_to_know_and_then_everything(stand):
    stand.is_wanted = False
    await stand.append("src", IDENTIFY)
    feed = stand.feed()
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.05)
    before = (stand.cursors.get(NAME), list(stand.seen))
    stand.is_wanted = True
    await until(lambda: stand.cursors.get(NAME) == 1)
    await ended(feed, task)

    assert before == (0, [])
    assert stand.seen == [("ws", [IDENTIFY])]


async def test_what_could_not_be_taken_is_handed_on_again(stand):
    stand.failures = 1
    await stand.append("src", IDENTIFY)
    feed = stand.feed()
    task = asyncio.create_task(feed.run())
    await until(lambda: stand.cursors.get(NAME) == 1)
    await ended(feed, task)

    assert stand.seen == [("ws", [IDENTIFY])]


async def test_an_older_copy_of_the_log_is_read_from_its_start(stand):
    await stand.append("src", IDENTIFY)
    stand.cursors.advance(NAME, 100)
    feed = stand.feed()
    task = asyncio.create_task(feed.run())
    await until(lambda: stand.cursors.get(NAME) == 1)
    await ended(feed, task)

    assert stand.seen == [("ws", [IDENTIFY])]


async def test_stop_ends_a_feed_that_waits(stand):
    feed = stand.feed()
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await ended(feed, task)
