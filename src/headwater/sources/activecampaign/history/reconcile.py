"""Reconciliation: compare the account's counters with what is known, read what differs, and say why it still does.

The first look at an account only remembers its counters: what happened before is history, which a back-fill brings.
From then on a report is read where more is counted than known. A difference gets a short grace first, because the
webhooks of what is just happening are under way; it is judged by the ledger after the grace against the counters from
before it. Reading too early would only cost calls: the ledger tells what comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.history.backfill import listed
from headwater.sources.activecampaign.history.carrying import Known, carry, note_of, settled, total
from headwater.sources.activecampaign.history.difference import (
    Counts,
    Figure,
    after_reading,
    at_rest,
    comparison,
    due,
    figures,
    promised,
    recipients_wait,
)
from headwater.sources.activecampaign.history.marks import Look, Mark, Marks
from headwater.sources.activecampaign.history.reading import Desk, read_leavers
from headwater.sources.activecampaign.history.run import Part, Reading, Run, RunState
from headwater.sources.activecampaign.records import Report

_MARGIN: Final = timedelta(minutes=15)
"""Ours: an account is looked at for the first time a little after it was connected."""

_LEAVERS_OVERLAP: Final = timedelta(hours=1)  # ours: the account's clock and ours may differ, and rows appear late


@dataclass(frozen=True, slots=True)
class _View:
    """One look at an account.

    Attributes:
        look: since when it is compared, and when it was looked at.
        marks: of what was compared before.
        is_named: whether somebody asked for these campaigns by id: then everything of them is wanted.
    """

    desk: Desk
    look: Look
    campaigns: Sequence[Campaign]
    marks: Mapping[tuple[str, Report], Mark]
    is_named: bool

    @property
    def since(self) -> str:
        return "" if self.is_named else self.look.since

    def figures(self, campaign: Campaign, counts: Mapping[str, Counts]) -> dict[Report, Figure]:
        return figures(campaign, counts.get(campaign.id, {}), self.desk.settings)

    def recipients_wait(self, campaign: Campaign) -> str:
        mark = self.marks.get((campaign.id, Report.RECIPIENTS))
        read_at = mark.read_at if mark else None
        return recipients_wait(campaign, self.desk.settings, self.since, self.look.looked_at, read_at)

    def comparison(self, campaign: Campaign, counts: Mapping[str, Counts]) -> dict[str, Any]:
        both = self.figures(campaign, counts)
        return comparison(campaign, both, self.marks, self.recipients_wait(campaign), self.look)

    def due(self, campaign: Campaign, counts: Mapping[str, Counts]) -> tuple[Report, ...]:
        # somebody who names a campaign wants what a mark would take for settled, too
        marks = {} if self.is_named else self.marks
        may_read_recipients = not self.recipients_wait(campaign)
        return due(campaign, self.figures(campaign, counts), marks, may_read_recipients=may_read_recipients)


@dataclass(frozen=True, slots=True)
class _After:
    """What a run leads to: what was read to its end, what is known then, and the campaigns with later counters."""

    read: Mapping[tuple[str, Report], Reading]
    counts: Mapping[str, Counts]
    campaigns: Mapping[str, Campaign]


async def reconcile(desk: Desk, known: Known, marks: Marks) -> None:
    """Carry a reconciliation to its end, from wherever it stands.

    Raises:
        RetryableError, UnauthorizedError, DeliveryError: as the account's API; a later call goes on.
    """
    looked_at, campaigns = desk.clock(), await listed(desk)
    named = frozenset(desk.run.campaigns)
    look = await asyncio.to_thread(marks.look)
    if look is None:
        look = await _first_look(desk, known, marks, campaigns, looked_at)
        if not named:
            await _end(desk, 0, "The account's counters were remembered; from now on they are compared.")
            return
    wanted = [each for each in campaigns if not named or each.id in named]
    view = _View(desk, Look(look.since, looked_at), wanted, await asyncio.to_thread(marks.all), bool(named))
    if not desk.run.planned:
        await _plan(view, known)
    since = datetime.fromisoformat(view.since) if view.since else None
    await carry(replace(desk, since=since))
    if not named:
        leavers_since = look.looked_at - _LEAVERS_OVERLAP
        await read_leavers(replace(desk, since=leavers_since), {campaign.id for campaign in campaigns})
    await _conclude(view, known, marks, looked_at=look.looked_at if named else looked_at)


async def _first_look(
    desk: Desk, known: Known, marks: Marks, campaigns: Sequence[Campaign], looked_at: datetime
) -> Look:
    """Remember how everything stands: what is counted and not known lies before the account was connected.

    Of a campaign that began with the connection everything is wanted: it gets no mark.
    """
    await asyncio.sleep(desk.pace.grace_s)  # what is known must not be older than the counters
    counts = await asyncio.to_thread(known.counts, desk.run.source_id)
    since = desk.run.created_at - _MARGIN
    view = _View(desk, Look(since.isoformat(), looked_at), campaigns, {}, is_named=False)
    later = await listed(desk) if _is_behind(view, counts) else campaigns
    await asyncio.to_thread(_remember, view, marks, since, counts, _by_id(later))
    return view.look


def _is_behind(view: _View, counts: Mapping[str, Counts]) -> bool:
    """Say whether more is known than was counted: a campaign goes out, and the counters are those of a moment ago.

    They are read again then, for people, and lest a gap seems to have shrunk; what was read is marked by the first.
    """
    return any(
        figure.known > figure.counted or ((mark := view.marks.get((campaign.id, report))) and figure.missing < mark.gap)
        for campaign in view.campaigns
        for report, figure in view.figures(campaign, counts).items()
    )


def _by_id(campaigns: Sequence[Campaign]) -> Mapping[str, Campaign]:
    return {campaign.id: campaign for campaign in campaigns}


def _remember(
    view: _View, marks: Marks, since: datetime, counts: Mapping[str, Counts], later: Mapping[str, Campaign]
) -> None:
    new = {
        (campaign.id, report): Mark(figure.counter, figure.missing)
        for campaign in view.campaigns
        if campaign.sent_at is None or campaign.sent_at < since
        for report, figure in view.figures(campaign, counts).items()
        if report is not Report.RECIPIENTS or not _hold_lasts(view, campaign)
    }
    after = replace(view, marks=new)
    marks.looked(view.look, new, [after.comparison(later.get(each.id, each), counts) for each in view.campaigns])


def _hold_lasts(view: _View, campaign: Campaign) -> bool:
    """Whether its recipients are due later, after a back-fill, although no counter will move any more."""
    return bool(recipients_wait(campaign, view.desk.settings, "", view.look.looked_at, None))


async def _plan(view: _View, known: Known) -> Run:
    """Settle which reports are read: those that still differ once what is under way has arrived."""
    source_id = view.desk.run.source_id
    counts = await asyncio.to_thread(known.counts, source_id)
    differ = [campaign for campaign in view.campaigns if view.due(campaign, counts)]
    if differ and not view.is_named:
        await asyncio.sleep(view.desk.pace.grace_s)
        counts = await asyncio.to_thread(known.counts, source_id)
    parts = [
        Part(note_of(campaign), tuple(_reading(campaign, report, view.figures(campaign, counts)) for report in reports))
        for campaign in differ
        if (reports := view.due(campaign, counts))
    ]
    return await asyncio.to_thread(view.desk.runs.plan, view.desk.run.id, parts, known_before=total(counts))


def _reading(campaign: Campaign, report: Report, both: Mapping[Report, Figure]) -> Reading:
    return Reading(report, promised(campaign, report), both[report].counter, known=both[report].known)


async def _conclude(view: _View, known: Known, marks: Marks, *, looked_at: datetime) -> None:
    """Compare once more, now that the mapper has the rows, and keep marks and the report for people."""
    runs, run = view.desk.runs, await asyncio.to_thread(view.desk.runs.run, view.desk.run.id)
    found = await asyncio.to_thread(runs.readings, run.id)
    read = {(campaign_id, reading.report): reading for campaign_id, reading in found if reading.is_complete}
    counts, later = await asyncio.to_thread(known.counts, run.source_id), view.campaigns
    if read:
        counts = await settled(known, run.source_id, view.desk.pace)
    if read or _is_behind(view, counts):
        later = await listed(view.desk)
    after = _After(read, counts, _by_id(later))
    await asyncio.to_thread(_compare, view, marks, Look(view.look.since, looked_at), after)
    filled = max(total(counts) - run.known_before, 0) if read else 0
    number = len({campaign_id for campaign_id, _ in read})
    told = f"{number} campaigns were read, {filled} occurrences came in since." if read else "Nothing was missing."
    await _end(view.desk, filled, " ".join((told, *run.notes)))


def _compare(view: _View, marks: Marks, kept: Look, end: _After) -> None:
    new, counts = dict[tuple[str, Report], Mark](), end.counts
    for campaign in view.campaigns:
        later = view.figures(end.campaigns.get(campaign.id, campaign), counts)
        for report, figure in view.figures(campaign, counts).items():
            key = (campaign.id, report)
            if reading := end.read.get(key):
                new[key] = after_reading(reading, figure, later[report], view.desk.clock())
            elif mark := view.marks.get(key):
                new[key] = at_rest(mark, later[report])
    after = replace(view, marks={**view.marks, **new})
    changed = {key: mark for key, mark in new.items() if mark != view.marks.get(key)}
    shown = [after.comparison(end.campaigns.get(campaign.id, campaign), counts) for campaign in view.campaigns]
    marks.looked(kept, changed, shown)


async def _end(desk: Desk, filled: int, message: str) -> None:
    await asyncio.to_thread(
        desk.runs.change, desk.run.id, state=RunState.DONE, ended_at=desk.clock(), filled=filled, message=message
    )
