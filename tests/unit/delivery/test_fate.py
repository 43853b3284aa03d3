"""What becomes of an event: decided from the outcome, the past and the clock alone."""

from datetime import UTC, datetime

import pytest

from headwater.delivery.advice import advice
from headwater.delivery.connection import Rules
from headwater.delivery.fate import (
    HELD_AT,
    Attempt,
    Dead,
    Done,
    Held,
    HeldBack,
    Item,
    Waiting,
    fate_of,
    latency_s,
    wait_s,
)
from headwater.delivery.latency import bucket_of, percentile
from headwater.delivery.pace import Pace
from headwater.destinations.contract import Delivered, Discarded, Retry, Unauthorized
from headwater.spec.event import Event

RULES = Rules(retry_first_s=2.0, retry_max_s=3600.0, retry_for_s=1000.0, chance=lambda: 0.5)
NOW = 1_000_000.0


def event(**body) -> Event:
    return Event(0, "s1", b"{}", {"type": "track", **body})


def attempt(outcome, **past) -> Attempt:
    return Attempt(Item(1, event(), **past), outcome)


def test_a_delivery_counts_as_first_try_only_without_earlier_ones():
    assert fate_of(attempt(Delivered()), RULES, NOW) == Done(first_try=True, latency_s=None)
    assert fate_of(attempt(Delivered(), attempts=1, first_at=NOW - 9), RULES, NOW) == Done(
        first_try=False, latency_s=None
    )


def test_latency_counts_from_the_receipt_and_is_never_negative():
    received = datetime.fromtimestamp(NOW, UTC).isoformat()
    assert latency_s(event(receivedAt=received), NOW + 1.5) == 1.5
    assert latency_s(event(receivedAt=received), NOW - 1.5) == 0.0
    assert latency_s(event(receivedAt="yesterday"), NOW) is None


def test_waits_grow_and_are_random():
    assert [wait_s(tries, None, RULES) for tries in (1, 2, 3, 20, 5000)] == [1.0, 2.0, 4.0, 1800.0, 1800.0]
    assert wait_s(3, None, Rules(chance=lambda: 0.0)) == 0.0


@pytest.mark.parametrize(("asked", "least"), [(30.0, 30.0), (1e9, 3600.0), (None, 0.0), (0.0, 0.0)])
def test_a_wait_that_was_asked_for_is_kept_up_to_an_hour(asked, least):
    assert wait_s(1, asked, Rules(chance=lambda: 0.0)) == least


def test_a_retry_waits_and_remembers_its_first_try():
    assert fate_of(attempt(Retry("HTTP 500", 500)), RULES, NOW) == Waiting(NOW + 1, 1, NOW, "HTTP 500", 500)
    again = attempt(Retry("HTTP 500", 500), attempts=1, first_at=NOW - 10)
    assert fate_of(again, RULES, NOW) == Waiting(NOW + 2, 2, NOW - 10, "HTTP 500", 500)


def test_the_last_try_is_at_the_end_of_the_retry_time_and_then_it_is_dead():
    late = attempt(Retry("HTTP 500", 500), attempts=20, first_at=NOW - 990)
    assert fate_of(late, RULES, NOW) == Waiting(NOW + 10, 21, NOW - 990, "HTTP 500", 500)
    over = attempt(Retry("HTTP 500", 500, answer="oops"), attempts=21, first_at=NOW - 1000)
    assert fate_of(over, RULES, NOW) == Dead(22, NOW - 1000, "HTTP 500", 500, "oops", "")


@pytest.mark.parametrize(("for_s", "is_dead"), [(500.0, True), (None, False), (5000.0, False)])
def test_an_error_may_shorten_the_time_for_retries_and_not_prolong_it(for_s, is_dead):
    fate = fate_of(attempt(Retry("TLS", for_s=for_s), attempts=9, first_at=NOW - 600), RULES, NOW)
    assert isinstance(fate, Dead) is is_dead
    over = fate_of(attempt(Retry("TLS", for_s=for_s), attempts=9, first_at=NOW - 1000), RULES, NOW)
    assert isinstance(over, Dead)


def test_what_is_held_back_burns_no_attempt_and_is_due_only_when_it_is_let_go():
    assert fate_of(attempt(HeldBack()), RULES, NOW) == Waiting(HELD_AT, 0, None, "HELD_BACK")


def test_a_first_try_that_a_wrong_clock_put_into_the_future_does_not_prolong_the_retries():
    waiting = fate_of(attempt(Retry("HTTP 500"), attempts=1, first_at=NOW + 10**8), RULES, NOW)
    assert (waiting.first_at, waiting.due_at <= NOW + RULES.retry_for_s) == (NOW, True)


def test_what_is_refused_for_good_is_dead_at_once():
    fate = fate_of(attempt(Discarded("HTTP 400", 400, "x" * 5000)), RULES, NOW)
    assert fate == Dead(1, NOW, "HTTP 400", 400, "x" * 1000, "")


def test_refused_credentials_and_a_stop_keep_the_event():
    assert fate_of(attempt(Unauthorized("HTTP 401", 401)), RULES, NOW) == Waiting(NOW, 1, NOW, "HTTP 401", 401)
    assert fate_of(attempt(Held()), RULES, NOW) == Waiting(NOW, 0, None, "held")


class Ticking:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_destination_that_refuses_everything_is_tried_ever_more_rarely():
    clock = Ticking()
    pace = Pace(Rules(retry_first_s=1.0, hold_max_s=60.0, chance=lambda: 1.0), clock)
    waits = []
    for _ in range(12):
        pace.note([attempt(Retry("refused"))] * pace.window)
        waits.append(pace.wait_s())
        clock.seconds += waits[-1]
    assert pace.window == 1
    assert waits == [0, 0, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_after_an_outage_rounds_double():
    pace = Pace(Rules(chunk_max=256), Ticking())
    for _ in range(9):
        pace.note([attempt(Retry("refused"))])
    windows = []
    for _ in range(9):
        pace.note([attempt(Delivered())])
        windows.append(pace.window)
    assert (windows, pace.wait_s()) == ([2, 4, 8, 16, 32, 64, 128, 256, 256], 0.0)


def test_one_failure_among_successes_slows_nothing_down():
    pace = Pace(Rules(chunk_max=256), Ticking())
    for _ in range(9):
        assert pace.note([attempt(Retry("refused")), attempt(Delivered())])
    assert (pace.window, pace.wait_s()) == (256, 0.0)


@pytest.mark.parametrize(("asked", "wait"), [(7.0, 7.0), (1e9, 3600.0)])
def test_a_service_that_asks_for_a_pause_gets_it_for_everything(asked, wait):
    pace = Pace(Rules(), Ticking())
    pace.note([attempt(Delivered()), attempt(Retry("HTTP 429", 429, asked))])
    assert pace.wait_s() == wait


def test_percentiles_are_right_within_a_bucket():
    counts: dict[int, int] = {}
    for milliseconds in range(1, 1001):
        bucket = bucket_of(milliseconds / 1000)
        counts[bucket] = counts.get(bucket, 0) + 1
    for share in (0.5, 0.95, 0.99):
        assert share <= percentile(counts, share) <= share * 1.26
    assert percentile({}, 0.5) is None
    assert bucket_of(0.0) == 0


@pytest.mark.parametrize(
    ("reason", "status", "word"),
    [("HTTP 404", 404, "settings"), ("HTTP 302", 302, "redirects"), ("HTTP 503", 503, "up again"),
     ("HTTP 418", 418, "answer"), ("The URL is malformed.", None, "address")],
)  # fmt: skip
def test_a_dead_letter_has_advice_that_fits_its_reason(reason, status, word):
    assert word in advice(reason, status)
