"""Buckets: nobody asks faster than they fill, and nobody waits longer than they say."""

from hypothesis import given
from hypothesis import strategies as st

from headwater.control.api.rates import PLACES_MAX, Rates

STEPS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 10)), min_size=1, max_size=60)


class Clock:
    """Stands still unless told otherwise."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@given(STEPS, st.floats(0.5, 50), st.floats(10, 100))
def test_never_more_passes_than_came_in(steps, per_s, most):
    clock = Clock()
    rates, begun, passed = Rates(per_s, most, clock), clock.now, 0
    for pause, cost in steps:
        clock.now += pause
        pace = rates.spend("a", cost)
        passed += 0 if pace.wait_s else cost
        assert passed <= most + per_s * (clock.now - begun) + 1e-6
        assert 0 <= pace.remaining <= pace.limit


@given(STEPS, st.floats(0.5, 50), st.floats(10, 100))
def test_who_waits_as_long_as_told_passes(steps, per_s, most):
    clock = Clock()
    rates = Rates(per_s, most, clock)
    for pause, cost in steps:
        clock.now += pause
        pace = rates.spend("a", cost)
        if pace.wait_s:
            clock.now += pace.wait_s + 1e-6
            assert rates.spend("a", cost).wait_s == 0


def test_what_costs_more_than_a_bucket_holds_needs_a_full_one():
    clock = Clock()
    rates = Rates(1, 5, clock)
    assert rates.spend("a", 10).wait_s == 0
    assert rates.spend("a", 10).wait_s == 5
    assert rates.spend("b", 10).wait_s == 0


def test_buckets_are_bounded_in_number():
    clock = Clock()
    rates = Rates(1, 5, clock)
    for number in range(PLACES_MAX + 10):
        rates.spend(str(number))
    assert len(rates._levels) == PLACES_MAX
