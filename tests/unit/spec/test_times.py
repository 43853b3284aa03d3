from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.spec.times import DeviceClock, corrected_timestamp, format_time, parse_time


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


RECEIVED = at("2026-11-23T19:11:01.266Z")


def test_the_documented_example_is_corrected_as_documented() -> None:
    corrected = corrected_timestamp(at("2026-11-23T19:11:01.152Z"), at("2026-11-23T19:11:01.169Z"), RECEIVED)
    assert corrected == at("2026-11-23T19:11:01.249Z")


def test_a_wrong_device_clock_cancels_out() -> None:
    day = timedelta(days=1)
    true = RECEIVED - timedelta(minutes=5)
    assert corrected_timestamp(true + day, RECEIVED + day, RECEIVED) == true


def test_an_event_after_its_own_sending_is_put_at_its_arrival() -> None:
    assert corrected_timestamp(RECEIVED, RECEIVED - timedelta(hours=1), RECEIVED) == RECEIVED


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("2026-01-31T09:05:07.120Z", "2026-01-31T09:05:07.120Z"),
        ("2026-01-31T09:05:07Z", "2026-01-31T09:05:07.000Z"),
        ("2026-01-31T09:05:07.12Z", "2026-01-31T09:05:07.120Z"),
        ("2026-01-31T09:05:07.123456789Z", "2026-01-31T09:05:07.123Z"),
        ("2026-01-31T09:05:07.120+07:00", "2026-01-31T02:05:07.120Z"),
        ("2026-01-31T09:05:07.120-0530", "2026-01-31T14:35:07.120Z"),
        ("2026-01-31 09:05:07", "2026-01-31T09:05:07.000Z"),
        ("  2026-01-31T09:05:07Z\n", "2026-01-31T09:05:07.000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("20260131T090507Z", "2026-01-31T09:05:07.000Z"),
        ("2026-01-31T24:00:00Z", "2026-02-01T00:00:00.000Z"),
        ("2026-01-31T24:00", "2026-02-01T00:00:00.000Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        (1769850307, "2026-01-31T09:05:07.000Z"),
        (1769850307.12, "2026-01-31T09:05:07.120Z"),
        (1769850307120, "2026-01-31T09:05:07.120Z"),
        ("1769850307", "2026-01-31T09:05:07.000Z"),
        ("1712011112345", "2024-04-01T22:38:32.345Z"),
    ],
)
def test_a_time_is_read_in_any_usual_spelling(value: object, stored: str) -> None:
    instant = parse_time(value)
    assert instant is not None
    assert format_time(instant) == stored


@pytest.mark.parametrize(
    "value",
    [
        None, "", "now", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-31T25:00:00Z", "24:00", 0, 5, -1,
        1e300, float("nan"), float("inf"), 10**40, True, [], {}, "0001-01-01T00:00:00+14:00", "9999-12-31T24:00:00Z",
        "10000-01-01T00:00:00Z", "١٢٣٤٥٦٧٨٩٠", "99999999",
    ],
)  # fmt: skip
def test_what_names_no_time_or_more_than_one_is_none(value: object) -> None:
    assert parse_time(value) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.datetimes().map(str)))
def test_reading_a_time_never_fails(value: object) -> None:
    instant = parse_time(value)
    assert instant is None or (instant.tzinfo is UTC and parse_time(format_time(instant)) is not None)


INSTANTS = st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zone beside


@given(original=INSTANTS, sent=st.none() | INSTANTS, received=INSTANTS)
def test_the_quick_way_says_what_the_long_way_says(
    original: datetime, sent: datetime | None, received: datetime
) -> None:
    clock = DeviceClock(None if sent is None else format_time(sent), received)
    text = format_time(original)
    quick = clock.quick(text)
    if quick is not None:
        whole = parse_time(text)
        assert whole is not None
        moved = clock.corrected(whole)
        # the server's clock has microseconds, which either way may cut in another place
        assert abs(at(quick) - moved) < timedelta(milliseconds=1)


@given(st.text(max_size=30))
def test_the_quick_way_leaves_other_spellings_alone(text: str) -> None:
    quick = DeviceClock(None, RECEIVED).quick(text)
    assert quick is None or quick == text


def test_a_time_with_any_zone_is_stored_in_utc() -> None:
    zone = timezone(timedelta(hours=7))
    assert format_time(datetime(2026, 1, 31, 9, 5, 7, tzinfo=zone)) == "2026-01-31T02:05:07.000Z"
