"""Figures over time: nothing is counted twice or forgotten, at whatever granularity one looks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.delivery import dead_letters
from headwater.delivery.connection import Rules
from headwater.delivery.fate import Dead, Done, Filtered, Item, Waiting
from headwater.delivery.latency import bucket_of, percentile
from headwater.delivery.ledger import Ledger
from headwater.delivery.series import DAY, HOUR, KEPT_S, MINUTE, OTHER_REASONS, POINTS_MAX, REASONS_MAX
from headwater.delivery.settlement import Move, Settlement
from headwater.errors import InvalidRequestError
from headwater.spec.event import Event

NOON = 1_780_000_000 // DAY * DAY + DAY / 2
FATES = {
    "first": Done(first_try=True, latency_s=0.02),
    "retried": Done(first_try=False, latency_s=4.0),
    "replayed": Done(first_try=True, latency_s=None),
    "kept out": Filtered("WHY"),
    "passed over": Filtered("NOT_SELECTED"),
    "again": Waiting(0.0, 1, 0.0, "HTTP 500", 500),
    "held": Waiting(0.0, 0, None, "held"),
    "dead": Dead(1, 0.0, "HTTP 400", 400, "no", "POST"),
}


@pytest.fixture
def ledger(tmp_path):
    one = Ledger(tmp_path)
    yield one
    one.close()


def settle(ledger, names, now, cursor=0, fates=FATES):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    body = {"type": "track", "event": "A", "messageId": "m"}
    pairs = [(Item(lane, Event(cursor + place, "s1", b"{}", body)), fates[name]) for place, name in enumerate(names)]
    ledger.settle(Settlement("d1", pairs, Move(lane, cursor, cursor + len(names), len(names))), now)
    return cursor + len(names)


def counts(point):
    return {
        "received": point.received,
        "filtered": dict(point.filtered),
        "delivered": (point.delivered_first_try, point.delivered_on_retry),
        "retried": point.retried,
        "failed": point.failed,
        "discarded": point.discarded,
    }


def test_each_kind_of_end_is_counted_as_what_it_is(ledger):
    settle(ledger, FATES, NOON)
    dead_letters.discard(ledger, [1], NOON + 1)
    found = ledger.metrics("d1", NOON, NOON + HOUR, "hour", NOON)
    (point,) = found.points
    assert counts(point) == {
        "received": 7,
        "filtered": {"WHY": 1},
        "delivered": (2, 1),
        "retried": 1,
        "failed": 1,
        "discarded": 1,
    }
    assert (point.at, point.p50_s, point.p99_s) == (NOON, pytest.approx(0.02, rel=0.26), pytest.approx(4.0, rel=0.26))


@given(rounds=st.lists(st.tuples(st.integers(0, 3 * HOUR), st.lists(st.sampled_from(sorted(FATES)), max_size=6))))
@settings(max_examples=30, deadline=None)
def test_every_granularity_comes_to_the_same(tmp_path_factory, rounds):
    ledger, cursor = Ledger(tmp_path_factory.mktemp("series")), 0
    for after_s, names in rounds:
        cursor = settle(ledger, names, NOON + after_s, cursor)
    end = NOON + 4 * HOUR
    found = {name: ledger.metrics("d1", NOON, end, name, end) for name in ("minute", "hour", "day")}
    assert {name: len(each.points) for name, each in found.items()} == {"minute": 240, "hour": 4, "day": 1}
    assert counts(found["minute"].totals) == counts(found["hour"].totals) == counts(found["day"].totals)
    for each in found.values():
        assert sum(point.received for point in each.points) == each.totals.received
        assert each.totals.p99_s == found["day"].points[0].p99_s
    ledger.close()


def test_where_nothing_happened_stands_a_zero(ledger):
    settle(ledger, ["first"], NOON)
    settle(ledger, ["first"], NOON + 3 * MINUTE, 1)
    points = ledger.metrics("d1", NOON, NOON + 4 * MINUTE, "minute", NOON).points
    assert [(point.at - NOON, point.received) for point in points] == [(0, 1), (60, 0), (120, 0), (180, 1)]


def test_the_present_span_is_shown_unless_another_end_is_asked_for(ledger):
    settle(ledger, ["first"], NOON + 61)
    found = ledger.metrics("d1", None, None, "minute", NOON + 61)
    assert (len(found.points), found.points[-1].at, found.points[-1].received) == (60, NOON + 60, 1)


def test_rows_are_bounded_in_time_and_number(ledger):
    settle(ledger, ["first"], NOON)
    many = {str(number): Filtered(f"reason {number}") for number in range(3 * REASONS_MAX)}
    settle(ledger, many, NOON, 1, many)
    reasons = ledger.metrics("d1", NOON, NOON + HOUR, "hour", NOON).totals.filtered
    assert (len(reasons), reasons[OTHER_REASONS]) == (REASONS_MAX + 1, 2 * REASONS_MAX)
    later = NOON + 35 * DAY
    settle(ledger, ["first"], later, 1 + len(many))
    spans = ledger.rows("select span, count(*) from series where at < ? group by span", (later - DAY,))
    assert dict(spans).keys() == {DAY}
    settle(ledger, ["first"], NOON + KEPT_S[DAY] + 2 * DAY, 2 + len(many))
    assert ledger.rows("select min(at) from series")[0][0] > NOON + DAY


def test_a_crash_before_the_commit_counts_nothing(ledger):
    with pytest.raises(AssertionError):
        settle(ledger, ["first"], NOON, cursor=5)  # another reader has moved on
    assert ledger.metrics("d1", NOON, NOON + HOUR, "hour", NOON).totals.received == 0


@pytest.mark.parametrize(
    ("since", "until", "granularity", "field"),
    [
        (NOON, NOON, "hour", "since"),
        (NOON, NOON - HOUR, "minute", "since"),
        (0, NOON, "week", "granularity"),
        (NOON - (POINTS_MAX + 1) * MINUTE, NOON, "minute", "granularity"),
    ],
)
def test_what_cannot_be_shown_is_refused(ledger, since, until, granularity, field):
    with pytest.raises(InvalidRequestError) as refused:
        ledger.metrics("d1", since, until, granularity, NOON)
    assert refused.value.field == field


@given(st.floats(0.0, 40 * DAY))
def test_a_percentile_is_at_most_a_quarter_above_the_latency(seconds):
    shown = percentile({bucket_of(seconds): 3}, 0.99)
    assert seconds <= shown * (1 + 1e-9)
    assert shown <= max(0.001, seconds * 1.2500001)


def test_no_time_is_longer_than_the_retry_time_that_buckets_tell_apart():
    assert bucket_of(Rules().retry_for_s) < bucket_of(10 * Rules().retry_for_s)
