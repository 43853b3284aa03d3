"""Counters against the ledger: what must be read, and why the two sides differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.history.difference import (
    Figure,
    after_reading,
    at_rest,
    comparison,
    due,
    figures,
    promised,
    reasons,
    recipients_wait,
    why,
)
from headwater.sources.activecampaign.history.marks import Look, Mark
from headwater.sources.activecampaign.history.run import Reading
from headwater.sources.activecampaign.memory.ledger import Count
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import Report
from headwater.sources.activecampaign.settings import Settings
from headwater.spec.times import format_time

NOW = datetime(2025, 7, 1, 12, tzinfo=UTC)
SENT = NOW - timedelta(days=3)
CAMPAIGN = Campaign(
    "8",
    "Spring",
    "single",
    "5",
    SENT,
    SENT,
    recipients=100,
    opens=60,
    unique_opens=40,
    clicks=9,
    unique_clicks=7,
    clickers=5,
    hard_bounces=2,
    soft_bounces=1,
    unsubscribes=4,
)
ALL = {
    Kind.BOUNCE: Count(3, 3, 3),
    Kind.OPEN: Count(40, 40, 40),
    Kind.CLICK: Count(5, 7, 7),
    Kind.UNSUBSCRIBE: Count(4, 4, 4),
    Kind.DELIVERED: Count(97, 97, 97),
}
DEFAULT = Settings()


def read(known: dict[Kind, Count], marks: dict[Report, Mark] | None = None, **settings: object) -> tuple[Report, ...]:
    """Return what is read of the campaign."""
    both = figures(CAMPAIGN, known, Settings(**settings))
    named = {("8", report): mark for report, mark in (marks or {}).items()}
    return due(CAMPAIGN, both, named, may_read_recipients=True)


def test_nothing_is_read_where_both_sides_agree() -> None:
    assert read(ALL) == ()


@pytest.mark.parametrize(
    ("kind", "count", "report"),
    [
        (Kind.BOUNCE, Count(2, 2, 2), Report.BOUNCES),
        (Kind.OPEN, Count(39, 39, 60), Report.OPENS),
        (Kind.CLICK, Count(5, 6, 9), Report.CLICKS),
        (Kind.UNSUBSCRIBE, Count(3, 3, 3), Report.UNSUBSCRIBES),
        (Kind.DELIVERED, Count(96, 96, 96), Report.RECIPIENTS),
    ],
)
def test_only_the_report_that_differs_is_read(kind: Kind, count: Count, report: Report) -> None:
    assert read({**ALL, kind: count}) == (report,)


def test_bounces_are_read_before_and_recipients_after_everything_else() -> None:
    assert read({}) == (Report.BOUNCES, Report.OPENS, Report.CLICKS, Report.UNSUBSCRIBES, Report.RECIPIENTS)


def test_clicks_are_compared_by_contact_and_link_not_by_contact() -> None:
    assert read({**ALL, Kind.CLICK: Count(7, 5, 9)}) == (Report.CLICKS,)


def test_a_report_is_not_read_again_while_its_counter_rests() -> None:
    known = {**ALL, Kind.OPEN: Count(38, 38, 38)}
    assert read(known, {Report.OPENS: Mark(counter=40, gap=0, read_at=NOW)}) == ()
    assert read(known, {Report.OPENS: Mark(counter=39, gap=0, read_at=NOW)}) == (Report.OPENS,)
    assert read(known, {Report.OPENS: Mark(counter=39, gap=2, read_at=NOW)}) == ()
    assert read(known, {Report.OPENS: Mark(counter=39, gap=1, read_at=NOW)}) == (Report.OPENS,)


def test_repeats_are_read_only_where_they_are_wanted() -> None:
    assert read(ALL) == ()
    assert read(ALL, backfill_repeats=True) == (Report.OPENS, Report.CLICKS)


counts = st.integers(0, 50)


@given(before=counts, gap_known=counts, came_late=counts, lost=st.integers(1, 50), in_time=counts)
def test_pitfall_38_no_gap_of_before_hides_a_later_loss(
    before: int, gap_known: int, came_late: int, lost: int, in_time: int
) -> None:
    """A gap is noted, part of it is filled (a back-fill), a look passes, then something is lost: it is due."""
    gap = min(gap_known, before)
    known = before - gap
    mark = Mark(counter=before, gap=gap)
    known += min(came_late, gap)
    mark = at_rest(mark, Figure(before, known))
    after = Figure(before + in_time + lost, known + in_time)
    campaign = replace(CAMPAIGN, unique_opens=after.counted)
    assert due(campaign, {Report.OPENS: after}, {("8", Report.OPENS): mark}, may_read_recipients=True)


@given(expected=counts, rows=counts, old=counts, lost=st.integers(1, 20), mapper_is_behind=st.booleans())
def test_a_gap_is_taken_from_the_rows_so_that_a_slow_mapper_makes_it_no_larger(
    expected: int, rows: int, old: int, lost: int, *, mapper_is_behind: bool
) -> None:
    rows, old = min(rows, expected), min(old, rows, expected)
    reading = Reading(Report.OPENS, expected=expected, counter=expected, rows=rows, old_rows=old)
    known = 0 if mapper_is_behind else rows - old
    figure = Figure(expected, known)
    mark = after_reading(reading, figure, figure, NOW)
    later = Figure(expected + lost, rows - old)  # the mapper has come up; what happened since was lost
    assert due(CAMPAIGN, {Report.OPENS: later}, {("8", Report.OPENS): mark}, may_read_recipients=True)
    rested = Figure(expected, rows - old)
    assert not due(CAMPAIGN, {Report.OPENS: rested}, {("8", Report.OPENS): mark}, may_read_recipients=True)


@given(rows=counts, old=counts, old_known=counts, lost=st.integers(1, 20))
def test_old_rows_that_are_known_make_no_gap(rows: int, old: int, old_known: int, lost: int) -> None:
    old = min(old, rows)
    known = rows - old + min(old, old_known)
    reading = Reading(Report.OPENS, expected=rows, counter=rows, rows=rows, old_rows=old)
    mark = after_reading(reading, Figure(rows, known), Figure(rows, known), NOW)
    assert due(
        CAMPAIGN, {Report.OPENS: Figure(rows + lost, known)}, {("8", Report.OPENS): mark}, may_read_recipients=True
    )


@pytest.mark.parametrize(
    ("sent_before", "last_before", "read_before", "waits"),
    [
        (timedelta(days=3), timedelta(hours=25), None, False),
        (timedelta(hours=23), timedelta(hours=23), None, True),
        (timedelta(days=300), timedelta(hours=1), None, False),
        (timedelta(days=300), timedelta(hours=1), timedelta(days=6), True),
        (timedelta(days=300), timedelta(hours=1), timedelta(days=8), False),
    ],
)
def test_recipients_wait_for_the_hold_and_those_of_an_automation_for_a_week(
    sent_before: timedelta, last_before: timedelta, read_before: timedelta | None, *, waits: bool
) -> None:
    campaign = replace(CAMPAIGN, sent_at=NOW - sent_before, last_sent_at=NOW - last_before)
    read_at = NOW - read_before if read_before else None
    assert bool(recipients_wait(campaign, DEFAULT, "", NOW, read_at)) is waits


def test_recipients_are_left_alone_where_the_setting_or_the_start_says_so() -> None:
    assert "setting" in recipients_wait(CAMPAIGN, Settings(delivered="engagement"), "", NOW, None)
    assert "back-fill" in recipients_wait(CAMPAIGN, DEFAULT, (SENT + timedelta(days=1)).isoformat(), NOW, None)
    assert recipients_wait(CAMPAIGN, DEFAULT, (SENT - timedelta(days=1)).isoformat(), NOW, None) == ""


def test_pitfall_37_reports_promise_rows_by_contacts_never_by_repeats() -> None:
    assert [promised(CAMPAIGN, report) for report in (Report.OPENS, Report.CLICKS, Report.BOUNCES)] == [40, 7, 3]
    assert promised(CAMPAIGN, Report.RECIPIENTS) == 100 - 40 - 3


@pytest.mark.parametrize(
    ("figure", "mark", "told"),
    [
        (Figure(5, 5), None, ""),
        (Figure(5, 3), Mark(5, 2), "2 happened before the account was connected; a back-fill brings them."),
        (Figure(5, 3), Mark(5, 2, NOW, missing_rows=2), "2 are not in ActiveCampaign's report"),
        (Figure(5, 3), Mark(5, 2, NOW, old_rows=2), "2 happened before"),
        (Figure(5, 3), None, "2 are missing; the next reconciliation reads the report."),
        (Figure(5, 3), Mark(4, 1, NOW, missing_rows=1), "1 are missing or on their way"),
        (Figure(3, 5), None, "Webhooks told of 2 more than the counter held"),
        (Figure(5, 5, 9, 5), None, "4 repeats are only counted"),
    ],
)
def test_the_reason_is_what_can_be_known(figure: Figure, mark: Mark | None, told: str) -> None:
    found = why(Report.OPENS, CAMPAIGN, figure, mark, "")
    assert found.startswith(told) if told else found == ""


def test_a_campaign_that_is_not_tracked_says_so() -> None:
    campaign = replace(CAMPAIGN, tracks_opens=False, tracks_links=False)
    assert "Open tracking is off" in why(Report.OPENS, campaign, Figure(0, 0), None, "")
    assert "Link tracking is off" in why(Report.CLICKS, campaign, Figure(0, 0), None, "")


def test_the_comparison_shows_both_sides_and_the_reasons() -> None:
    both = figures(CAMPAIGN, {**ALL, Kind.OPEN: Count(38, 38, 38)}, DEFAULT)
    marks = {("8", Report.OPENS): Mark(40, 2, NOW, missing_rows=2, filled=5)}
    shown = comparison(CAMPAIGN, both, marks, "", Look("", NOW))
    assert shown["counts"]["opens"]["activeCampaign"] == 40
    assert shown["counts"]["opens"]["headwater"] == 38
    assert shown["counts"]["opens"]["filled"] == 5
    assert [*shown["counts"]] == ["bounces", "opens", "clicks", "unsubscribes", "delivered"]
    assert shown["why"] == ["Opens: 2 are not in ActiveCampaign's report, which leaves out deleted contacts."]
    assert (shown["equal"], shown["readAt"]) == (False, format_time(NOW))


def test_what_is_true_of_several_reports_is_said_once_with_all_counts() -> None:
    before = "happened before the account was connected; a back-fill brings them."
    told = {"opens": f"1339 {before}", "bounces": "2 are missing.", "clicks": f"1 {before}", "delivered": ""}
    assert reasons(told) == [f"1,339 opens, 1 click {before}", "Bounces: 2 are missing."]
