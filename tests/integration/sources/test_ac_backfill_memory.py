"""Back-fill and reconciliation together with the mapper and its memory: each occurrence becomes one event."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from history_account import PRESENT, Bench, Key, MadeUpAccount, MadeUpCampaign, bench, sent

from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.sources.activecampaign.memory.ledger import Count, Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.people.identities import Identities
from headwater.sources.activecampaign.people.notes import CampaignNotes
from headwater.spec.event import Record

NAMES = {
    "opens": "Email Opened",
    "clicks": "Email Link Clicked",
    "bounces": "Email Bounced",
    "unsubscribes": "Email Unsubscribed",
}
TYPES = {"opens": "open", "clicks": "click", "bounces": "bounce", "unsubscribes": "unsubscribe"}
Told = tuple[str, str, str, str]
"""Event, campaign, contact, link."""


class Program:
    """Log, mapper and memory, as the pipeline role has them; in place of the books of a bench."""

    def __init__(self, home: Path) -> None:
        self.log = MemoryLog()
        self.ledger = Ledger(home / "ledger.sqlite")
        self.identities = Identities(home / "identities.sqlite")
        self.memory = OccurrenceMemory(self.ledger, self.identities, CampaignNotes(home / "notes.sqlite"))
        self.mapper = InboxMapper(self.log, self.log, Cursors(home / "cursors.db"), lambda _: (self.memory, {}))

    async def deposit(self, source_id: str, bodies: Sequence[bytes]) -> None:
        await self.mapper.deposit(source_id, bodies)

    def counts(self, source_id: str) -> dict[str, dict[Kind, Count]]:
        return self.ledger.counts(source_id)

    async def webhooks(self, account: MadeUpAccount, keys: Sequence[Key]) -> None:
        for key in keys:
            body = urlencode(form(account.campaigns[key[1]], key))
            line = {"receivedAt": PRESENT, "contentType": "application/x-www-form-urlencoded", "body": body}
            await self.log.append(Topic.INBOX, "src", PRESENT, [Record("", msgspec.json.encode(line))])

    def events(self) -> Counter[Told]:
        found: Counter[Told] = Counter()
        for event in self.log.read(Topic.EVENTS, 0, records_max=1_000_000, bytes_max=1 << 30).events():
            own = event.body["properties"]
            name = event.body["event"]
            if name in NAMES.values():
                found[name, own.get("campaign_id", ""), own["contact_id"], own.get("link_url", "")] += 1
        return found

    def deliveries(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for event in self.log.read(Topic.EVENTS, 0, records_max=1_000_000, bytes_max=1 << 30).events():
            own = event.body["properties"]
            if event.body["event"] == "Email Delivered":
                found[own["campaign_id"], own["contact_id"]] += 1
        return found


def form(campaign: MadeUpCampaign, key: Key) -> dict[str, str]:
    """Return the webhook of an occurrence."""
    report, _, who, link = key
    at: datetime
    if report == "opens":
        at = campaign.opens[who][0]
    elif report == "clicks":
        at = campaign.clicks[who, link]
    else:
        at = {"bounces": campaign.bounces, "unsubscribes": campaign.unsubscribes}[report][who]
    told = {
        "type": TYPES[report],
        "date_time": at.isoformat(),
        "contact[id]": who,
        "contact[email]": f"c{who}@example.org",
        "campaign[id]": campaign.id,
        "campaign[message][id]": f"7{campaign.id}",
    }
    if report == "clicks":
        number = sorted({url for _, url in campaign.clicks}).index(link) + 1
        told |= {"link[id]": str(number), "link[url]": link}
    if report == "bounces":
        told |= {"bounce[type]": "hard", "bounce[code]": "5.1.1"}
    if report == "unsubscribes":
        told |= {"unsubscribe[reason]": "too many"}
    return told


def happened(account: MadeUpAccount) -> set[Told]:
    return {(NAMES[key[0]], *key[1:]) for key in account.truth() if key[0] in NAMES}


def delivered(account: MadeUpAccount) -> set[tuple[str, str]]:
    return {(each.id, who) for each in account.campaigns.values() for who in each.recipients if who not in each.bounces}


@asynccontextmanager
async def program(account: MadeUpAccount, home: Path) -> AsyncIterator[tuple[Bench, Program]]:
    running = Program(home)
    task = asyncio.create_task(running.mapper.run())
    async with bench(account, home, books=running, people=running.identities) as laid:
        running.identities.use({"src": laid.connected()})
        try:
            yield laid, running
        finally:
            await laid.stop()
            laid.history = None
            await running.identities.stop()
            await running.mapper.stop()
            await task
            running.ledger.close()


async def drained(running: Program) -> None:
    await running.mapper.drain(running.log.end(Topic.INBOX))


def accounts() -> MadeUpAccount:
    campaigns = [sent("1", 40, 260), sent("2", 20, 180, first=60)]
    return MadeUpAccount({each.id: each for each in campaigns})


async def test_a_backfill_twice_beside_webhooks_gives_each_occurrence_once(tmp_path: Path) -> None:
    account = accounts()
    keys = sorted(key for key in account.truth() if key[0] in NAMES)
    async with program(account, tmp_path) as (laid, running):
        await running.webhooks(account, keys[::3])
        history = await laid.start()
        await laid.ended((await history.backfill("conn"))["id"])
        await running.webhooks(account, keys[::2])  # late, and some for the second time
        await laid.ended((await history.backfill("conn"))["id"])
        await drained(running)
        assert running.events() == Counter(happened(account))
        assert running.deliveries() == Counter(delivered(account))


async def test_reconciliation_brings_what_webhooks_lost_and_counts_agree(tmp_path: Path) -> None:
    account = MadeUpAccount({})
    async with program(account, tmp_path) as (laid, running):
        await laid.start()
        await laid.looked()
        account.campaigns["3"] = sent("3", 0, 300)
        keys = sorted(key for key in account.truth() if key[0] in NAMES)
        await running.webhooks(account, [key for number, key in enumerate(keys) if number % 7])
        await drained(running)
        run = await laid.reconciled()
        await drained(running)
        assert run["state"] == "done"
        assert running.events() == Counter(happened(account))
        counts: dict[str, Any] = (await laid.compared())["3"]["counts"]
        for name in ("opens", "clicks", "bounces", "unsubscribes"):
            assert counts[name]["activeCampaign"] == counts[name]["headwater"], name
        laid.account.calls.clear()
        await laid.reconciled()
        assert not [name for name in laid.account.calls if name.endswith("_list")]
