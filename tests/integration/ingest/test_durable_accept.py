"""The door on the real log: what was answered 200 is there after a restart, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from door import KEY, SECRET, Directory, nothing_here, track

from headwater.clock import now
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.collector import Collector
from headwater.ingest.rejections import Rejections
from headwater.ingest.server import serve


async def accept(directory: Path, first: int, count: int) -> list[int]:
    """Run the door on a log, post events and a webhook, stop it, and return the answers' statuses."""
    log = SegmentLog.open(directory, disk_free_bytes_min=0, disk_reserved_bytes=0)
    rejections = Rejections(log, clock=now, interval_s=0.01)
    collector = Collector(log, Directory, rejections, clock=now, fallback=nothing_here)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    writing = asyncio.create_task(rejections.run())
    serving = asyncio.create_task(serve(collector, on_ready=lambda _host, port: ready.set_result(port), stop=stop))
    url = f"http://127.0.0.1:{await ready}"
    statuses = []
    async with aiohttp.ClientSession() as session:
        items = [track(messageId=f"m-{number}") for number in range(first, first + count)]
        for path, body in (
            ("/v1/batch", {"batch": [*items, 5], "writeKey": KEY}),
            ("/v1/track", {**items[0], "writeKey": KEY}),
            (f"/webhooks/activecampaign/{SECRET}", {"type": "open"}),
        ):
            async with session.post(url + path, json=body) as answer:
                statuses.append(answer.status)
    stop.set()
    await serving
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await log.close()
    return statuses


async def test_what_was_answered_200_is_there_after_a_restart_once(tmp_path: Path) -> None:
    assert await accept(tmp_path, 0, 100) == [200] * 3
    assert await accept(tmp_path, 50, 100) == [200] * 3
    log = SegmentLog.open(tmp_path, disk_free_bytes_min=0, disk_reserved_bytes=0)
    events = [event.message_id for event in log.read(Topic.EVENTS, 0).events()]
    assert events == [f"m-{number}" for number in range(150)]
    assert log.read(Topic.INBOX, 0).count == 2
    assert [event.body["code"] for event in log.read(Topic.REJECTED, 0).events()] == ["item_not_object"] * 2
    await log.close()
