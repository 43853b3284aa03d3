"""The bucket that all callers of an account share, by a clock that is moved by waiting."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.budget import Budget, Budgets, Priority

PER_S = 5


class Clock:
    """Time passes only while somebody waits."""

    def __init__(self):
        self.now = 100.0

    def seconds(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        for _ in range(3):  # whoever was served notes the time before it moves on
            await asyncio.sleep(0)
        self.now += seconds


def bucket(clock: Clock) -> Budget:
    return Budget(PER_S, seconds=clock.seconds, sleep=clock.sleep)


async def served(budget: Budget, clock: Clock, times: int, priority: Priority = Priority.NORMAL) -> list[float]:
    at = []
    for _ in range(times):
        await budget.turn(priority)
        at.append(clock.now)
    return at


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 12)), max_size=8))
@settings(deadline=None)
async def test_in_no_second_leave_more_than_the_limit(bursts):
    clock = Clock()
    budget = bucket(clock)
    at = []
    for quiet_s, requests in bursts:
        clock.now += quiet_s
        at += await served(budget, clock, requests)
    assert all(later - earlier >= 1.0 for earlier, later in zip(at, at[PER_S:], strict=False))


async def test_pitfall_30_the_limit_is_the_accounts_whoever_calls():
    clock = Clock()
    budget = bucket(clock)
    everybody = await asyncio.gather(*(served(budget, clock, 5) for _ in range(4)))
    at = sorted(moment for one in everybody for moment in one)
    assert all(later - earlier >= 1.0 for earlier, later in zip(at, at[PER_S:], strict=False))
    budgets = Budgets()
    assert budgets.of("https://acme.api-us1.com", 5) is budgets.of("https://acme.api-us1.com", 5)
    assert budgets.of("https://acme.api-us1.com", 5) is not budgets.of("https://other.api-us1.com", 5)


async def test_a_pause_holds_everybody_back_and_the_longest_one_counts():
    clock = Clock()
    budget = bucket(clock)
    await budget.turn()
    budget.pause(7.0)
    budget.pause(2.0)
    paused_s = budget.use().paused_s
    at = await served(budget, clock, 6)
    assert (paused_s, at) == (7.0, pytest.approx([107.0] * 5 + [108.02]))
    assert budget.use().throttled == 2


async def test_people_go_before_what_can_take_its_time_and_equals_in_the_order_they_came():
    clock = Clock()
    budget = bucket(clock)
    order = []

    async def caller(name: str, priority: Priority) -> None:
        await budget.turn(priority)
        order.append(name)

    budget.pause(1.0)
    waiting = [("b1", Priority.BACKGROUND), ("n1", Priority.NORMAL), ("b2", Priority.BACKGROUND), ("l", Priority.LIVE)]
    await asyncio.gather(*(caller(*one) for one in waiting))
    assert order == ["l", "n1", "b1", "b2"]


async def test_who_gives_up_costs_no_turn_and_leaves_the_queue():
    clock = Clock()
    budget = Budget(PER_S, seconds=clock.seconds)  # a real wait: the pause goes on while callers give up
    budget.pause(3600.0)
    callers = [asyncio.create_task(budget.turn(Priority.LIVE)) for _ in range(50)]
    await asyncio.sleep(0)
    assert budget.use().waiting == 50
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    use = budget.use()
    assert (use.waiting, use.total) == (0, 0)


async def test_what_is_used_is_told():
    clock = Clock()
    budget = bucket(clock)
    await served(budget, clock, 7)
    clock.now += 59.5
    await budget.turn()
    use = budget.use()
    assert (use.per_s, use.last_minute, use.total, use.throttled, use.waiting, use.paused_s) == (5, 3, 8, 0, 0, 0.0)


async def test_background_is_spread_over_the_second_so_that_a_live_call_soon_finds_a_place():
    clock = Clock()
    budget = bucket(clock)
    at = await served(budget, clock, 11, Priority.BACKGROUND)
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps == pytest.approx([1.02 / PER_S] * 10)
    asked_at = clock.now
    (served_at,) = await served(budget, clock, 1, Priority.LIVE)
    assert served_at - asked_at <= 1.02 / PER_S + 1e-6


async def test_every_third_turn_is_for_those_who_wait_behind_live_calls():
    budget, served = Budget(1_000), []

    async def call(priority):
        await budget.turn(priority)
        served.append(priority)

    everybody = [Priority.LIVE] * 6 + [Priority.BACKGROUND] * 2 + [Priority.NORMAL]
    await asyncio.gather(*map(call, everybody))
    live, normal, background = Priority.LIVE, Priority.NORMAL, Priority.BACKGROUND
    assert served == [live, live, normal, live, live, background, live, live, background]
