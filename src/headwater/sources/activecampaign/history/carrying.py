"""Carry out what a run has planned: campaign after campaign, report after report, some at a time.

A campaign that is gone or that the account refuses to show costs itself only. Everything else that goes wrong ends
the carrying and is raised; the next one goes on at the last marks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol

from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.history.difference import Counts
from headwater.sources.activecampaign.history.pace import Pace
from headwater.sources.activecampaign.history.reading import CAMPAIGN_CALLS, Desk, read
from headwater.sources.activecampaign.history.run import Open, Spent
from headwater.sources.activecampaign.records import CampaignNote

CAMPAIGNS_AT_ONCE: Final = 3
"""Ours: small reports are one call each; several campaigns at a time keep the budget busy while answers are awaited."""

_NOTES_MAX: Final = 20  # ours: more campaigns that could not be read are counted by the calls only
_POLL_S: Final = 0.5


class Known(Protocol):
    """What is known of each campaign: see `ledger.Ledger`."""

    def counts(self, source_id: str) -> Mapping[str, Counts]:
        """Return what is known by campaign id and kind; blocks for a query."""
        ...


def note_of(campaign: Campaign) -> CampaignNote:
    """Return a campaign as records hold it; of a split test it cannot be told which email a row is of."""
    is_single = len(campaign.message_ids) == 1
    return CampaignNote(
        id=campaign.id,
        name=campaign.name,
        type=campaign.type,
        status=campaign.status,
        message_id=campaign.message_ids[0] if is_single else "",
        subject=campaign.subject if is_single else "",
        sent_at=campaign.sent_at.isoformat() if campaign.sent_at else "",
    )


async def carry(desk: Desk) -> None:
    """Read everything that is left of a planned run.

    Raises:
        RetryableError, UnauthorizedError: as the account's API.
    """
    left = await asyncio.to_thread(desk.runs.open_campaigns, desk.run.id)
    await at_once(CAMPAIGNS_AT_ONCE, [partial(_carry_campaign, desk, each) for each in left])


async def _carry_campaign(desk: Desk, left: Open) -> None:
    try:
        note = await _complete(desk, left.note) if left.left else left.note
        if note is None:
            await _finish(desk, left, f"Campaign {left.note.id} does not exist any more.")
            return
        for step, reading in left.left:
            await read(desk, note, (left.position, step), reading)
        await _finish(desk, left)
    except (RetryableError, UnauthorizedError):
        raise
    except DeliveryError as error:
        await _finish(desk, left, f"Campaign {left.note.id} could not be read: {error}")


async def _complete(desk: Desk, note: CampaignNote) -> CampaignNote | None:
    """Return the campaign with its email and subject, which lists leave out; None when it is gone."""
    campaign = await desk.connected.api.campaign(note.id, priority=desk.priority)
    await asyncio.to_thread(desk.runs.spend, desk.run.id, Spent(0, desk.meter.take(), CAMPAIGN_CALLS))
    return note_of(campaign) if campaign else None


async def _finish(desk: Desk, left: Open, note: str = "") -> None:
    notes = (await asyncio.to_thread(desk.runs.run, desk.run.id)).notes
    if note and len(notes) < _NOTES_MAX:
        notes = (*notes, note)
    await asyncio.to_thread(desk.runs.finish_campaign, desk.run.id, left.position, notes=notes)


async def at_once(count: int, jobs: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do jobs in their order, up to `count` at a time; the first error ends all of them and is raised."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    tasks = [asyncio.create_task(work()) for _ in range(count)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def settled(known: Known, source_id: str, pace: Pace) -> Mapping[str, Counts]:
    """Return what is known once the mapper has taken what was put into the inbox: when nothing changes any more.

    Waits `pace.settle_s` at most.
    """
    counts = await asyncio.to_thread(known.counts, source_id)
    loop = asyncio.get_running_loop()
    end, steady_since, before = loop.time() + pace.settle_s, loop.time(), total(counts)
    while loop.time() < end and loop.time() - steady_since < pace.steady_s:
        await asyncio.sleep(min(_POLL_S, pace.steady_s))
        counts = await asyncio.to_thread(known.counts, source_id)
        if total(counts) != before:
            steady_since, before = loop.time(), total(counts)
    return counts


def total(counts: Mapping[str, Counts]) -> int:
    """Return how many occurrences are known altogether."""
    return sum(count.total for kinds in counts.values() for count in kinds.values())
