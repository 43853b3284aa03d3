"""Back-fill: read the history of an account through its reports, and put it into the inbox.

Calls at least: the pages of the campaigns, one a campaign, the pages of each report that has rows, and the contacts in
hundreds. A report whose counter is 0 is not asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

from headwater.errors import InvalidRequestError
from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.history.carrying import Known, carry, note_of, settled, total
from headwater.sources.activecampaign.history.difference import (
    ORDER,
    Counts,
    after_backfill,
    figures,
    promised,
    recipients_wait,
)
from headwater.sources.activecampaign.history.marks import Marks
from headwater.sources.activecampaign.history.reading import CAMPAIGN_CALLS, Desk, read_leavers
from headwater.sources.activecampaign.history.run import Part, Reading, Run, RunState, Spent
from headwater.sources.activecampaign.records import Report
from headwater.sources.activecampaign.settings import Settings

REACH: Final = timedelta(days=90)
"""Ours: so long after its last email a campaign is still looked at for openings and clicks."""

ONE_TIME: Final = frozenset({"single", "split", "text"})
"""Campaigns that are sent once; others, such as an automation's, go on for ever and are always looked at."""

CALLS_PER_S: Final = 5
"""ActiveCampaign: requests an account may make in a second."""

PAGE_ROWS_ASSUMED: Final = 20
"""Rows of a report's page where nothing was read yet: the least that the service is known to send."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_CONTACTS_A_CALL: Final = 100  # ActiveCampaign API v3: the largest page
CAMPAIGNS_A_CALL: Final = 100
"""ActiveCampaign API v3: the largest page."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a back-fill would take: rows by the counters, calls by the smallest page, whole seconds at the full rate."""

    campaigns: int
    rows: int
    calls: int
    seconds: int


def since_of(text: str | None) -> str:
    """Return a date or time as an instant in UTC (a date alone: its beginning), "" for none.

    Raises:
        InvalidRequestError: it is no date.
    """
    if not text or not text.strip():
        return ""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidRequestError(
            "since must be a date such as 2025-01-31, or a time such as 2025-01-31T12:00:00Z.", field="since"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def chosen(campaigns: Sequence[Campaign], since: str, asked: Collection[str]) -> list[Campaign]:
    """Return the campaigns that may have something since an instant, those that were sent last first.

    Left out are campaigns whose last email was sent more than `REACH` before, unless they never rest, and campaigns of
    which nothing is counted. Those that were asked for by id are always taken.
    """
    after = datetime.fromisoformat(since) - REACH if since else None
    found = [
        campaign
        for campaign in campaigns
        if (campaign.id in asked if asked else _reaches(campaign, after)) and _has_anything(campaign)
    ]
    return sorted(found, key=lambda each: each.sent_at or _NEVER, reverse=True)


def _reaches(campaign: Campaign, after: datetime | None) -> bool:
    sent = [at for at in (campaign.sent_at, campaign.last_sent_at) if at]
    return after is None or campaign.type not in ONE_TIME or not sent or max(sent) >= after


def _has_anything(campaign: Campaign) -> bool:
    return bool(campaign.recipients or any(promised(campaign, report) for report in ORDER))


def readings(campaign: Campaign, settings: Settings, since: str, now: datetime) -> tuple[Reading, ...]:
    """Return the reports that a back-fill reads of a campaign, in order."""
    counters = figures(campaign, {}, settings)
    return tuple(
        Reading(report, promised(campaign, report), counters[report].counter)
        for report in ORDER
        if promised(campaign, report)
        and (report is not Report.RECIPIENTS or not recipients_wait(campaign, settings, since, now, None))
    )


def estimate(
    campaigns: Sequence[Campaign], settings: Settings, *, since: str, asked: Collection[str], now: datetime
) -> Estimate:
    """Return what a back-fill would take.

    Contacts are estimated by the campaign that has most of them: the others went to the same people.
    """
    taken = chosen(campaigns, since, asked)
    rows = [reading.expected for campaign in taken for reading in readings(campaign, settings, since, now)]
    contacts = max((campaign.recipients for campaign in taken), default=0)
    calls = max(ceil(len(campaigns) / CAMPAIGNS_A_CALL), 1) + CAMPAIGN_CALLS * len(taken)
    calls += sum(ceil(count / PAGE_ROWS_ASSUMED) for count in rows) + ceil(contacts / _CONTACTS_A_CALL)
    return Estimate(len(taken), sum(rows), calls, ceil(calls / CALLS_PER_S))


async def backfill(desk: Desk, known: Known, marks: Marks) -> None:
    """Carry a back-fill to its end, from wherever it stands.

    Raises:
        RetryableError, UnauthorizedError, DeliveryError: as the account's API; a later call goes on.
    """
    runs, run = desk.runs, desk.run
    campaigns = await listed(desk)
    if not run.planned:
        before = total(await asyncio.to_thread(known.counts, run.source_id))
        run = await asyncio.to_thread(_plan, desk, campaigns, before)
    await carry(desk)
    if not run.campaigns:
        await read_leavers(desk, {campaign.id for campaign in campaigns})
    counts = await settled(known, run.source_id, desk.pace)
    await asyncio.to_thread(_remember, desk, marks, await listed(desk), counts)
    if not run.campaigns:
        await asyncio.to_thread(marks.reaches_back_to, run.since)
    ended = await asyncio.to_thread(runs.run, run.id)
    await asyncio.to_thread(
        runs.change,
        run.id,
        # a script that names campaigns which are not there is to notice
        state=RunState.FAILED if ended.notes and not ended.total else RunState.DONE,
        ended_at=desk.clock(),
        filled=max(total(counts) - ended.known_before, 0),
        message=" ".join(ended.notes) or "Everything that the account's reports hold was read.",
    )


async def listed(desk: Desk) -> Sequence[Campaign]:
    """Return every campaign with its counters."""
    campaigns = await desk.connected.api.campaigns(priority=desk.priority)
    calls_min = max(ceil(len(campaigns) / CAMPAIGNS_A_CALL), 1)
    await asyncio.to_thread(desk.runs.spend, desk.run.id, Spent(0, desk.meter.take(), calls_min))
    return campaigns


def _remember(desk: Desk, marks: Marks, campaigns: Sequence[Campaign], counts: Mapping[str, Counts]) -> None:
    """Keep what is still missing of the reports that were read: no more of it is said not to come."""
    later = {each.id: figures(each, counts.get(each.id, {}), desk.settings) for each in campaigns}
    marks.backfilled(
        {
            (campaign_id, reading.report): after_backfill(reading, later[campaign_id][reading.report], desk.clock())
            for campaign_id, reading in desk.runs.readings(desk.run.id)
            if reading.is_complete and campaign_id in later
        }
    )


def _plan(desk: Desk, campaigns: Sequence[Campaign], known_before: int) -> Run:
    run = desk.run
    now = desk.clock()
    parts = [
        Part(note_of(campaign), readings(campaign, desk.settings, run.since, now))
        for campaign in chosen(campaigns, run.since, run.campaigns)
    ]
    there = {campaign.id for campaign in campaigns}
    notes = tuple(f"There is no campaign {id_[:40]}." for id_ in run.campaigns if id_ not in there)
    return desk.runs.plan(run.id, parts, known_before=known_before, notes=notes)
