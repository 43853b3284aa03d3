"""When it happened: offsets, US Central, the hours of the clock change, rubbish."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.sources.activecampaign import times
from headwater.sources.activecampaign.times import Moment, moment
from headwater.spec.times import format_time

ARRIVAL = datetime(2025, 7, 1, 12, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "flag"),
    [
        ("2025-03-09T03:00:05-05:00", utc(2025, 3, 9, 8, 0, 5), ""),
        ("2025-01-09T03:00:05-06:00", utc(2025, 1, 9, 9, 0, 5), ""),
        ("2025-03-09T03:00:05-0500", utc(2025, 3, 9, 8, 0, 5), ""),
        ("2025-03-09T03:00:05+02", utc(2025, 3, 9, 1, 0, 5), ""),
        ("2025-03-09T03:00:05Z", utc(2025, 3, 9, 3, 0, 5), ""),
        ("2025-03-09 03:00:05.25Z", utc(2025, 3, 9, 3, 0, 5, 250_000), ""),
        ("2025-03-09T03:00:05 05:30", utc(2025, 3, 8, 21, 30, 5), ""),
        ("2025-06-30 07:00:00", utc(2025, 6, 30, 12), "assumed_zone"),
        ("2025-01-30 07:00", utc(2025, 1, 30, 13), "assumed_zone"),
        ("2025-03-09 02:30:00", utc(2025, 3, 9, 8, 30), "assumed_zone"),
    ],
)
def test_a_time_is_read_in_every_notation(text: str, at: datetime, flag: str) -> None:
    assert moment(text, ARRIVAL) == Moment(at, int(at.timestamp()), flag)


@pytest.mark.parametrize(
    ("text", "epoch_s", "flag"),
    [
        ("", None, "missing"),
        ("yesterday", None, "unreadable"),
        ("2025-02-30T00:00:00Z", None, "unreadable"),
        ("2025-07-01T25:00:00Z", None, "unreadable"),
        ("0001-01-01T00:00:00+14:00", None, "unreadable"),
        ("9999-12-31 23:59:59", None, "unreadable"),
        ("20250701", None, "unreadable"),
        ("٢٠٢٥-07-01T00:00:00Z", None, "unreadable"),
        ("1969-12-31T23:59:59Z", -1, "implausible"),
        ("2025-07-02T12:00:01Z", int(ARRIVAL.timestamp()) + 86_401, "future"),
    ],
)
def test_a_time_that_cannot_be_is_the_arrival_and_flagged(text: str, epoch_s: int | None, flag: str) -> None:
    assert moment(text, ARRIVAL) == Moment(ARRIVAL, epoch_s, flag)


def test_a_day_ahead_is_still_believed() -> None:
    assert moment("2025-07-02T12:00:00Z", ARRIVAL).at == ARRIVAL + timedelta(days=1)


@pytest.mark.parametrize(
    ("arrival", "at"),
    [(utc(2025, 11, 2, 6, 31), utc(2025, 11, 2, 6, 30)), (utc(2025, 11, 2, 7, 31), utc(2025, 11, 2, 7, 30))],
)
def test_in_the_hour_that_autumn_has_twice_the_arrival_decides_but_not_for_the_id(
    arrival: datetime, at: datetime
) -> None:
    first = int(utc(2025, 11, 2, 6, 30).timestamp())
    assert moment("2025-11-02 01:30:00", arrival) == Moment(at, first, "ambiguous_hour")


def test_the_zone_of_a_naive_time_is_a_setting_and_a_wrong_one_is_us_central() -> None:
    assert moment("2025-06-30 07:00:00", ARRIVAL, "Europe/Berlin").at == utc(2025, 6, 30, 5)
    for zone in ("Nowhere/Land", "../etc/passwd", "", "a\x00b"):
        assert moment("2025-06-30 07:00:00", ARRIVAL, zone).at == utc(2025, 6, 30, 12)


@given(st.datetimes(datetime(2004, 1, 1), datetime(2025, 6, 30)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001 - naive on purpose
def test_the_notation_of_the_offset_does_not_matter(local: datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    text = f"{local:%Y-%m-%dT%H:%M:%S}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    instant = local.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=minutes)
    same = moment(text, ARRIVAL)
    assert (same.at.replace(microsecond=0), same.flag) == (instant, "")
    assert moment(format_time(instant), ARRIVAL) == same


@given(st.text())
def test_no_text_is_ever_an_error(text: str) -> None:
    assert moment(text, ARRIVAL).at.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "at", "flag", "slack_s"),
    [
        ("2025-03-09 03:00:05", datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC), "assumed_zone", 0),
        ("2025-03-09T03:00:05-05:00", datetime(2025, 3, 9, 8, 0, 5, tzinfo=UTC), "", 0),
        ("2025-03-09", datetime(2025, 3, 9, 17, tzinfo=UTC), "date_only", 36 * 3_600),
        ("2025-12-31", datetime(2025, 4, 1, tzinfo=UTC), "future", 0),
        ("1969-07-20", datetime(2025, 4, 1, tzinfo=UTC), "implausible", 0),
        ("2025-02-30", datetime(2025, 4, 1, tzinfo=UTC), "unreadable", 0),
        ("0000-00-00", datetime(2025, 4, 1, tzinfo=UTC), "missing", 0),
        (" ", datetime(2025, 4, 1, tzinfo=UTC), "missing", 0),
    ],
)
def test_a_reports_time_may_be_a_date_alone(text: str, at: datetime, flag: str, slack_s: int) -> None:
    found = times.report_moment(text, datetime(2025, 4, 1, tzinfo=UTC))
    assert (found.at, found.flag, found.slack_s) == (at, flag, slack_s)
