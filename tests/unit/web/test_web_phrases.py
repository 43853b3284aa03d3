"""Numbers, spans and names as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from headwater.web.phrases import ago, initials, lasting, masked, plural

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (9, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400, "1 day ago"),
        (40 * 86_400, "40 days ago"),
    ],
)
def test_how_long_ago(seconds, text):
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(("span", "text"), [(0.116, "116 ms"), (4.24, "4.2 s"), (185, "3 min 5 s")])
def test_how_long(span, text):
    assert lasting(span) == text


@pytest.mark.parametrize(
    ("name", "letters"),
    [("ActiveCampaign", "AC"), ("HTTP API", "HA"), ("Segment", "Se"), ("order-webhook", "OW"), ("", "?"), ("🐟", "?")],
)
def test_initials_stand_for_a_name(name, letters):
    assert initials(name) == letters


def test_a_mask_does_not_tell_the_length():
    assert masked("a" * 32) == "aaaa••••••••••••••••••aaaa"
    assert masked("short") == "••••••••••••••••••"


def test_counts_agree_with_their_noun():
    assert [plural(number, "event") for number in (0, 1, 2000)] == ["0 events", "1 event", "2,000 events"]
