"""What ActiveCampaign counts against what is known here: which reports must be read, and why the two differ. Pure.

Counters and ledger are compared report by report. A report is read where the account counts more than is known, apart
from what is known not to come (`Mark.gap`), and where its counter moved since it was read last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.history.marks import Look, Mark
from headwater.sources.activecampaign.history.run import Reading
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import Report
from headwater.sources.activecampaign.settings import Settings
from headwater.spec.times import format_time

SENDING_ON: Final = timedelta(days=7)
"""Ours: a campaign that still sends so long after its first email is an automation's, and never rests."""

ORDER: Final = (Report.BOUNCES, Report.OPENS, Report.CLICKS, Report.UNSUBSCRIBES, Report.RECIPIENTS)
"""In which they are read: what bounced is known before it is said to be delivered."""

KINDS: Final = {
    Report.BOUNCES: Kind.BOUNCE,
    Report.OPENS: Kind.OPEN,
    Report.CLICKS: Kind.CLICK,
    Report.UNSUBSCRIBES: Kind.UNSUBSCRIBE,
    Report.RECIPIENTS: Kind.DELIVERED,
}


class Count(Protocol):
    """How much of one kind the ledger knows of one campaign: see `ledger.Count`."""

    @property
    def persons(self) -> int:
        """Return how many different contacts."""
        ...

    @property
    def links(self) -> int:
        """Return how many different pairs of contact and link."""
        ...

    @property
    def total(self) -> int:
        """Return how many occurrences."""
        ...


Counts = Mapping[Kind, Count]


@dataclass(frozen=True, slots=True)
class Figure:
    """One report's two sides.

    Attributes:
        counted, known: how many different contacts (clicks: contacts and links) ActiveCampaign counts, Headwater has.
        times_counted, times_known: repeats included; 0 where there is no such counter.
        repeats: whether repeats are wanted, too.
    """

    counted: int
    known: int
    times_counted: int = 0
    times_known: int = 0
    repeats: bool = False

    @property
    def missing(self) -> int:
        """How many the account counts beyond what is known."""
        repeats = max(self.times_counted - self.times_known, 0) if self.repeats else 0
        return max(self.counted - self.known, 0) + repeats

    @property
    def counter(self) -> int:
        """A number that moves when the account's counters do."""
        return self.counted + (self.times_counted if self.repeats else 0)


def figures(campaign: Campaign, known: Counts, settings: Settings) -> dict[Report, Figure]:
    """Return both sides of each report of a campaign, in reading order."""
    bounces = campaign.hard_bounces + campaign.soft_bounces
    repeats = settings.backfill_repeats
    opens, clicks = known.get(Kind.OPEN), known.get(Kind.CLICK)
    return {
        Report.BOUNCES: Figure(bounces, _persons(known, Kind.BOUNCE)),
        Report.OPENS: Figure(
            campaign.unique_opens, opens.persons if opens else 0, campaign.opens, opens.total if opens else 0, repeats
        ),
        Report.CLICKS: Figure(
            campaign.unique_clicks,
            clicks.links if clicks else 0,
            campaign.clicks,
            clicks.total if clicks else 0,
            repeats,
        ),
        Report.UNSUBSCRIBES: Figure(campaign.unsubscribes, _persons(known, Kind.UNSUBSCRIBE)),
        Report.RECIPIENTS: Figure(max(campaign.recipients - bounces, 0), _persons(known, Kind.DELIVERED)),
    }


def _persons(known: Counts, kind: Kind) -> int:
    count = known.get(kind)
    return count.persons if count else 0


def due(
    campaign: Campaign,
    both: Mapping[Report, Figure],
    marks: Mapping[tuple[str, Report], Mark],
    *,
    may_read_recipients: bool,
) -> tuple[Report, ...]:
    """Return the reports of a campaign that must be read, in reading order."""
    found = []
    for report, figure in both.items():
        mark = marks.get((campaign.id, report))
        has_moved = mark is None or figure.counter != mark.counter
        allowed = mark.gap if mark else 0
        if has_moved and figure.missing > allowed and (may_read_recipients or report is not Report.RECIPIENTS):
            found.append(report)
    return tuple(found)


def recipients_wait(  # noqa: PLR0911 - one reason each
    campaign: Campaign, settings: Settings, since: str, now: datetime, read_at: datetime | None
) -> str:
    """Return why the list of recipients is not read now, "" when it is.

    Its rows tell no time. It is read once the hold after the last email is over; that of an automation, which never
    rests, once a week. A campaign that began before `since` is left out: who got it before cannot be told apart.

    Args:
        campaign: whose.
        settings: of the source.
        since: ISO 8601 with zone, "" for everything.
        now: the present.
        read_at: when the list was read last, None when it was not.
    """
    if settings.delivered not in {"both", "report"}:
        return "The setting derives Email Delivered from opens and clicks only, or not at all."
    if since and (campaign.sent_at is None or campaign.sent_at < datetime.fromisoformat(since)):
        return "Who got it before the account was connected cannot be told apart; a back-fill brings them all."
    last = campaign.last_sent_at or campaign.sent_at
    if last is None:
        return "It was not sent yet."
    if now >= last + timedelta(hours=settings.delivered_hold_h):
        return ""
    if campaign.sent_at is None or now - campaign.sent_at <= SENDING_ON:
        return f"Deliveries are derived {settings.delivered_hold_h} h after the last email, so that bounces come first."
    if read_at is None or now - read_at > SENDING_ON:
        return ""
    return "It is still being sent: the list of its recipients is read once a week."


def promised(campaign: Campaign, report: Report) -> int:
    """Return how many rows the counters promise of a report."""
    bounces = campaign.hard_bounces + campaign.soft_bounces
    rows = {
        Report.BOUNCES: bounces,
        Report.OPENS: campaign.unique_opens,
        Report.CLICKS: campaign.unique_clicks,
        Report.UNSUBSCRIBES: campaign.unsubscribes,
        # of those who did not open: who bounced may be among them or not
        Report.RECIPIENTS: max(campaign.recipients - campaign.unique_opens - bounces, 0),
    }
    return rows[report]


def after_reading(read: Reading, figure: Figure, later: Figure, now: datetime) -> Mark:
    """Return the mark of a report that was read to its end.

    Args:
        read: as it ended.
        figure: both sides: what was counted before it was read, what is known once the rows were mapped.
        later: the same with what was counted after that, so that nothing is known that is not counted yet.
        now: the present.
    """
    missing_rows = max(read.expected - read.rows, 0)
    gap = min(missing_rows + read.old_rows, later.missing)  # old rows may be known: they must hide no later loss
    if read.report is Report.RECIPIENTS or figure.repeats:
        # what its rows lead to depends on other reports, or on how often; what is missing now stays missing
        gap = max(gap, figure.missing)
    return Mark(read.counter, gap, now, missing_rows, read.old_rows, max(figure.known - read.known, 0))


def after_backfill(read: Reading, later: Figure, now: datetime) -> Mark:
    """Return the mark of a report that a back-fill read to its end.

    A report that leaves out what is counted, such as deleted contacts, is not read again while its counter rests.
    """
    missing_rows = max(read.expected - read.rows, 0)
    return Mark(read.counter, min(missing_rows + read.old_rows, later.missing), now, missing_rows, read.old_rows)


def at_rest(mark: Mark, figure: Figure) -> Mark:
    """Return a mark after a look at which its report was not read.

    Where something came that was said not to come, the gap is no longer known: what is missing now may be as many
    losses. So the report is read again once its counter has moved.
    """
    if figure.missing >= mark.gap:
        return mark
    return msgspec.structs.replace(mark, gap=0)


def why(report: Report, campaign: Campaign, figure: Figure, mark: Mark | None, recipients: str) -> str:
    """Return why the two sides of a report differ, "" where they do not: only what can be known.

    Args:
        report: which.
        campaign: with its counters.
        figure: both sides.
        mark: of the last reading, or of the first look.
        recipients: what `recipients_wait` said.
    """
    if untracked := _untracked(report, campaign):
        return untracked
    if figure.counted < figure.known:
        return _more_known(report, figure.known - figure.counted)
    if figure.counted > figure.known:
        waits = recipients if report is Report.RECIPIENTS else ""
        return waits or _fewer_known(figure.counted - figure.known, mark)
    return _repeats(figure) if figure.times_counted > figure.times_known else ""


def _untracked(report: Report, campaign: Campaign) -> str:
    if report is Report.OPENS and not campaign.tracks_opens:
        return "Open tracking is off in this campaign, so nobody is seen to open it."
    if report is Report.CLICKS and not campaign.tracks_links:
        return "Link tracking is off in this campaign, so no click is seen."
    return ""


def _more_known(report: Report, count: int) -> str:
    if report is Report.RECIPIENTS:
        return f"{count} were taken for delivered before they bounced; their bounces say so."
    return (
        f"Webhooks told of {count} more than the counter held when it was looked at: it follows late,"
        " or ActiveCampaign took them out, such as machine opens and deleted contacts."
    )


def _fewer_known(count: int, mark: Mark | None) -> str:
    if mark is None:
        return f"{count} are missing; the next reconciliation reads the report."
    if mark.read_at is None and count <= mark.gap:
        return f"{count} happened before the account was connected; a back-fill brings them."
    if count > mark.gap:
        return (
            f"{count - mark.gap} are missing or on their way; the next reconciliation reads the report if they stay so."
        )
    reasons = []
    if mark.missing_rows:
        reasons.append(f"{mark.missing_rows} are not in ActiveCampaign's report, which leaves out deleted contacts")
    if mark.old_rows:
        reasons.append(f"{mark.old_rows} happened before the account was connected; a back-fill brings them")
    return "; ".join(reasons) + "." if reasons else f"{count} are not in ActiveCampaign's reports."


def _repeats(figure: Figure) -> str:
    count = figure.times_counted - figure.times_known
    if figure.repeats:
        return f"{count} repeats are counted that no report lists."
    return (
        f"{count} repeats are only counted: reports give the first time and how often."
        " The setting backfill_repeats tells them, with approximate times."
    )


def comparison(
    campaign: Campaign,
    both: Mapping[Report, Figure],
    marks: Mapping[tuple[str, Report], Mark],
    recipients: str,
    look: Look,
) -> dict[str, Any]:
    """Return the report of one campaign for API, shell and page.

    Returns: {"id", "name", "sentAt", "checkedAt", "readAt", "equal": bool, "counts": {report: {"activeCampaign",
        "headwater", "filled", "why"}}, "why": [sentences]}; `filled` came in by the last reading.
    """
    counts, read_at = dict[str, dict[str, Any]](), list[datetime]()
    for report, figure in both.items():
        mark = marks.get((campaign.id, report))
        if mark and mark.read_at:
            read_at.append(mark.read_at)
        counts["delivered" if report is Report.RECIPIENTS else report.value] = {
            "activeCampaign": figure.counted,
            "headwater": figure.known,
            "filled": mark.filled if mark else 0,
            "why": why(report, campaign, figure, mark, recipients),
        }
    return {
        "id": campaign.id,
        "name": campaign.name,
        "sentAt": format_time(campaign.sent_at) if campaign.sent_at else None,
        "checkedAt": format_time(look.looked_at),
        "readAt": format_time(max(read_at)) if read_at else None,
        "equal": all(figure.counted == figure.known for figure in both.values()),
        "counts": counts,
        "why": reasons(
            {name: each["why"] for name, each in counts.items() if each["activeCampaign"] != each["headwater"]}
        ),
    }


def reasons(by_report: Mapping[str, str]) -> list[str]:
    """Return the reasons as sentences to read: what is true of several reports is said once, with all counts."""
    alike = defaultdict[str, list[str]](list)
    found = dict[str, None]()
    for name, sentence in by_report.items():
        count, _, rest = sentence.partition(" ")
        if count.isdecimal() and rest.startswith("happened before"):
            alike[rest].append(f"{int(count):,} {name.removesuffix('s') if count == '1' else name}")
            found[rest] = None
        elif sentence:
            found[f"{name.capitalize()}: {sentence}"] = None
    return [f"{', '.join(alike[each])} {each}" if each in alike else each for each in found]
