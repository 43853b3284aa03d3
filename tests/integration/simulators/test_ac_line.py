"""The whole way of a webhook: simulated account, HTTP, the door, the log's inbox, the mapper, events.

What the log holds at the end is what the account's ledger says, each once, whatever the account does to its webhooks.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from headwater.clock import now
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.collector import Collector
from headwater.ingest.directory import SourceRef
from headwater.ingest.inbox import InboxMapper
from headwater.ingest.rejections import Rejections
from headwater.ingest.server import serve
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.simulation import Simulation, Targets
from headwater.sources.activecampaign import events
from headwater.spec.event import Body

SECRET, KEY = "s" * 32, "k" * 32
EMAIL = SourceRef("src_email", "activecampaign", enabled=True, webhooks="activecampaign")
SHOP = SourceRef("src_shop", "shop", enabled=True)
SETTINGS = Settings(
    present=datetime(2025, 7, 1, 12, tzinfo=UTC),
    contacts=500,
    history_campaigns=4,
    live_campaigns=0,
    history_per_s=1e6,
)
ORDERLY = Switches()
UNRULY = Switches(duplicates=0.3, delays=0.4, reorders=0.5)
OTHERWISE = Switches(
    repeats="every",
    lists="scalar",
    unsubscribe_lists="indexed",
    unsubscribes="once",
    campaign_block="full",
    field_keys="perstag",
    times="naive",
    losses=0.1,
    duplicates=0.2,
    long_url_chars=50_000,
)


class Doors:
    """The two sources of this test."""

    def by_write_key(self, write_key: str) -> SourceRef | None:
        return SHOP if write_key == KEY else None

    def by_webhook_secret(self, secret: str) -> SourceRef | None:
        return EMAIL if secret == SECRET else None

    def settings_document(self, write_key: str) -> Body | None:
        del write_key
        return None


async def nowhere(scope: Any, *_: Any) -> None:
    raise AssertionError(f"{scope['path']} is no path of the door")


@asynccontextmanager
async def door(log: SegmentLog) -> AsyncIterator[str]:
    """Run the real server with the real collector and give its address."""
    collector = Collector(log, Doors, Rejections(log, clock=now), clock=now, fallback=nowhere)
    address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    running = asyncio.create_task(serve(collector, on_ready=lambda *at: address.set_result(at), stop=stop))
    host, port = await address
    try:
        yield f"http://{host}:{port}"
    finally:
        stop.set()
        await running


async def play(log: SegmentLog, settings: Settings) -> dict[str, Any]:
    """Play the account against the door and return its ledger."""
    async with door(log) as url, aiohttp.ClientSession() as http:
        targets = Targets((f"{url}/webhooks/activecampaign/{SECRET}",), url, KEY)
        simulation = Simulation(settings, targets, http)
        await simulation.run()
        return simulation.ledger()


async def map_inbox(log: SegmentLog, cursors: Cursors) -> InboxMapper:
    mapper = InboxMapper(log, log, cursors, {EMAIL.id: (events, {})}.get)
    running = asyncio.create_task(mapper.run())
    await mapper.drain(log.end(Topic.INBOX))
    await mapper.stop()
    await running
    return mapper


def expected(ledger: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield what must be in the log for each happening that a webhook told of."""
    names = {"open": "Email Opened", "click": "Email Link Clicked", "bounce": "Email Bounced"}
    for entry in ledger["entries"]:
        if entry["webhooks"]:
            name = names.get(entry["kind"], "Email Unsubscribed")
            detail = {
                "open": entry["agent"],
                "click": entry["link_url"],
                "bounce": entry["bounce"][0],
                "unsubscribe": entry["reason"],
            }
            who = str(entry["contact_id"]), entry["email"], str(entry["campaign_id"])
            yield name, *who, entry["at"].replace("Z", ".000Z"), detail[entry["kind"]]
            if entry["kind"] in {"open", "click"}:
                yield "Email Delivered", *who, "", ""


def found(body: Body) -> tuple[Any, ...]:
    """Return the same of an event in the log."""
    properties, name = body["properties"], body["event"]
    derived = name == "Email Delivered"
    assert derived == ("derived" in properties)
    detail = {
        "Email Opened": body["context"].get("userAgent", ""),
        "Email Link Clicked": properties.get("link_url", ""),
        "Email Bounced": properties.get("bounce_type", ""),
        "Email Unsubscribed": properties.get("unsubscribe_reason", ""),
    }
    email = body["context"]["traits"].get("email", "")
    assert body["anonymousId"] == (email or f"activecampaign:{EMAIL.id}:{properties['contact_id']}")
    when = "" if derived else body["timestamp"]
    return name, properties["contact_id"], email, properties["campaign_id"], when, detail.get(name, "")


@pytest.fixture
def cursors(tmp_path: Path) -> Iterator[Cursors]:
    opened = Cursors(tmp_path / "cursors.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("switches", [ORDERLY, UNRULY, OTHERWISE], ids=["orderly", "unruly", "otherwise"])
async def test_the_log_holds_what_the_account_did_each_once(
    tmp_path: Path, cursors: Cursors, switches: Switches
) -> None:
    log = SegmentLog.open(tmp_path / "log", disk_free_bytes_min=1, disk_reserved_bytes=1)
    try:
        ledger = await play(log, replace(SETTINGS, switches=switches))
        mapper = await map_inbox(log, cursors)
        stored = list(log.read(Topic.EVENTS, 0, records_max=10**6, bytes_max=2**40).events())
    finally:
        await log.close()
    webhooks = sum(ledger["counts"]["webhooks"].values())
    assert ledger["answers"] == [{"webhook": 0, "active": True, "200": webhooks}]
    emails = [event.body for event in stored if event.source_id == EMAIL.id]
    assert Counter(found(body) for body in emails) == Counter(set(expected(ledger)))
    assert len({event.message_id for event in stored}) == len(stored)
    counts = mapper.counts
    assert (counts.mapped, counts.events, counts.ignored, counts.quarantined) == (webhooks, len(emails), {}, {})
    calls = Counter(event.body.get("event", event.type) for event in stored if event.source_id == SHOP.id)
    assert calls == ledger["counts"]["calls"]


async def test_mapping_the_whole_inbox_again_adds_nothing(tmp_path: Path, cursors: Cursors) -> None:
    log = SegmentLog.open(tmp_path / "log", disk_free_bytes_min=1, disk_reserved_bytes=1)
    try:
        await play(log, replace(SETTINGS, contacts=200))
        first = await map_inbox(log, cursors)
        end = log.end(Topic.EVENTS)
        cursors.rewind("inbox", 0)
        second = await map_inbox(log, cursors)
        assert log.end(Topic.EVENTS) == end
    finally:
        await log.close()
    assert first.counts.events > 0
    assert (second.counts.events, second.counts.mapped) == (0, first.counts.mapped)
