"""What the pipeline role answers the web role: never that something is loaded which is not."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from headwater.app.desk import Desk
from headwater.delivery.address import Policy
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.errors import DeliveryError, NotFoundError
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.loading.engine import Loading, Target
from headwater.sources.contract import Mapped
from headwater.spec.event import Record
from rooms import outside

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"


def as_track(webhook, _settings):
    return Mapped(events=({"type": "track", "event": "E", "messageId": webhook.body.decode(), "receivedAt": AT},))


@pytest.fixture
async def pipeline(tmp_path):
    log, http = MemoryLog(), GuardedHttp(Policy())
    mapper = InboxMapper(log, log, Cursors(tmp_path / "cursors.db"), lambda _: (as_track, {}))
    delivery, loading = Delivery(log, tmp_path, outside(http, tmp_path)), Loading(log, tmp_path, clock=lambda: NOW)
    mapping = asyncio.create_task(mapper.run())
    yield log, loading, Desk(log, mapper, delivery, loading)
    await asyncio.gather(mapper.stop(), delivery.stop(), loading.stop())
    await mapping
    await http.close()


async def arrive(log, body):
    line = {"receivedAt": NOW, "contentType": "", "body": body}
    await log.append(Topic.INBOX, "s1", NOW, [Record("", msgspec.json.encode(line))])


async def test_a_sync_that_waits_loads_webhooks_that_were_not_mapped_when_it_was_asked(pipeline, tmp_path):
    log, loading, desk = pipeline
    loading.apply([Target("w1", "embedded", {"directory": str(tmp_path / "w1")}, {"s1": "site"})])
    for number in range(3):
        await arrive(log, f"m{number}")
    answer = await desk.sync(wait=True)
    assert sum(run["events"] for run in answer["syncs"]) == 3


async def test_a_sync_that_waits_fails_when_a_warehouse_does(pipeline, tmp_path):
    log, loading, desk = pipeline
    (tmp_path / "file").write_text("in the way")
    loading.apply([Target("bad", "embedded", {"directory": str(tmp_path / "file" / "x")}, {"s1": "site"})])
    await arrive(log, "m1")
    with pytest.raises(DeliveryError, match="Warehouse bad was not loaded"):
        await desk.sync(wait=True)


@pytest.mark.parametrize("wait", [False, True])
async def test_a_sync_of_a_disabled_warehouse_is_refused(pipeline, tmp_path, wait):
    _, loading, desk = pipeline
    loading.apply([Target("off", "embedded", {"directory": str(tmp_path / "off")}, {"s1": "site"}, enabled=False)])
    with pytest.raises(NotFoundError):
        await desk.sync("off", wait=wait)
