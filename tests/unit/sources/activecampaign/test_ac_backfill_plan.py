"""What a back-fill reads, and what it would take."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headwater.errors import InvalidRequestError
from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.history.backfill import chosen, estimate, readings, since_of
from headwater.sources.activecampaign.records import Report
from headwater.sources.activecampaign.settings import Settings

NOW = datetime(2025, 7, 1, 12, tzinfo=UTC)
CAMPAIGN = Campaign("8", "Spring", "single", recipients=500, unique_opens=100, opens=140, hard_bounces=10)


def sent(days: float, **given: object) -> Campaign:
    at = NOW - timedelta(days=days)
    return replace(CAMPAIGN, id=str(days), sent_at=at, last_sent_at=at, **given)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (None, ""),
        (" ", ""),
        ("2025-01-31", "2025-01-31T00:00:00+00:00"),
        ("2025-01-31T12:00:00Z", "2025-01-31T12:00:00+00:00"),
        ("2025-01-31T12:00:00+02:00", "2025-01-31T10:00:00+00:00"),
    ],
)
def test_since_is_an_instant_in_utc(text: str | None, instant: str) -> None:
    assert since_of(text) == instant


@pytest.mark.parametrize("text", ["yesterday", "31.01.2025", "2025-02-30", "2025-01-31T25:00"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        since_of(text)
    assert refused.value.field == "since"


def test_campaigns_that_ended_long_before_are_left_out_unless_they_never_rest() -> None:
    campaigns = [sent(400), sent(401, type="automation"), sent(85), sent(1), replace(CAMPAIGN, id="undated")]
    since = (NOW - timedelta(days=2)).isoformat()
    assert [each.id for each in chosen(campaigns, since, ())] == ["1", "85", "401", "undated"]
    assert [each.id for each in chosen(campaigns, "", ())] == ["1", "85", "400", "401", "undated"]
    assert [each.id for each in chosen(campaigns, since, ("400",))] == ["400"]


def test_a_campaign_of_which_nothing_is_counted_is_left_out() -> None:
    assert chosen([Campaign("1", "draft")], "", ("1",)) == []


def test_only_reports_with_something_in_them_are_read_bounces_first() -> None:
    found = readings(sent(3), Settings(), "", NOW)
    assert [(each.report, each.expected) for each in found] == [
        (Report.BOUNCES, 10),
        (Report.OPENS, 100),
        (Report.RECIPIENTS, 390),
    ]


@pytest.mark.parametrize(
    ("campaign", "settings", "since"),
    [
        (sent(0.5), Settings(), ""),  # the hold is not over
        (sent(3), Settings(delivered="engagement"), ""),
        (sent(3), Settings(delivered="off"), ""),
        (sent(3), Settings(), (NOW - timedelta(days=1)).isoformat()),
    ],
)
def test_recipients_are_left_out_where_they_cannot_be_told(campaign: Campaign, settings: Settings, since: str) -> None:
    assert Report.RECIPIENTS not in {each.report for each in readings(campaign, settings, since, NOW)}


def test_an_estimate_counts_every_kind_of_call() -> None:
    found = estimate([sent(3), sent(4)], Settings(), since="", asked=(), now=NOW)
    pages = 2 * (1 + 5 + 20)
    assert (found.campaigns, found.rows, found.calls) == (2, 1000, 1 + 2 * 2 + pages + 5)
    assert found.seconds == -(-found.calls // 5)
