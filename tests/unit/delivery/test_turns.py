"""Whose call is next: never more at a time than allowed, never faster than the rate, nobody starves."""

import asyncio
import dataclasses
from collections import Counter

import pytest

from headwater.delivery.connection import Rules, Tuning
from headwater.delivery.turns import Rank, Turns
from headwater.destinations.contract import Card


class Calls:
    """Makes calls that end when they are told to, and keeps in which order they began."""

    def __init__(self, turns: Turns):
        self.turns, self.began, self.tasks, self.ends = turns, [], [], []
        self.now = Counter()
        self.most = Counter()

    def ask(self, rank: Rank, events: int = 1) -> asyncio.Task:
        end = asyncio.Event()

        async def call() -> None:
            async with self.turns.turn(rank, events):
                self.began.append(rank)
                self.now[rank] += 1
                self.most[rank] = max(self.most[rank], self.now[rank])
                self.ends.append(end)
                await end.wait()
                self.now[rank] -= 1

        self.tasks.append(asyncio.create_task(call()))
        return self.tasks[-1]

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        while not all(task.done() for task in self.tasks):
            for end in self.ends:
                end.set()
            await self.settle()


async def test_no_more_calls_than_allowed_run_and_one_is_kept_for_new_events():
    calls = Calls(Turns(3))
    for _ in range(5):
        calls.ask(Rank.RETRY)
    await calls.settle()
    assert calls.began == [Rank.RETRY] * 2
    calls.ask(Rank.LIVE)
    calls.ask(Rank.LIVE)
    await calls.settle()
    assert calls.began == [Rank.RETRY, Rank.RETRY, Rank.LIVE]
    await calls.finish()
    assert len(calls.began) == 7
    assert calls.most[Rank.RETRY] <= 2


async def test_new_events_take_two_of_three_turns_and_the_others_share_the_rest():
    calls = Calls(Turns(1))
    for _ in range(4):
        for rank in Rank:
            calls.ask(rank)
    await calls.finish()
    assert (
        calls.began[:8] == [Rank.LIVE] + [Rank.LIVE, Rank.RETRY] + [Rank.LIVE] * 2 + [Rank.BACKLOG] + calls.began[6:8]
    )
    assert calls.began[6:8] == [Rank.REPLAY, Rank.RETRY]  # no new events wait any more
    assert Counter(calls.began) == dict.fromkeys(Rank, 4)


async def test_a_caller_that_gives_up_takes_no_turn():
    calls = Calls(Turns(1))
    calls.ask(Rank.LIVE)
    waiting = calls.ask(Rank.LIVE)
    await calls.settle()
    waiting.cancel()
    calls.ask(Rank.RETRY)
    await calls.finish()
    assert calls.began == [Rank.LIVE, Rank.RETRY]


async def test_a_turn_that_was_given_to_a_caller_which_is_cancelled_goes_to_the_next():
    turns = Turns(1)
    calls = Calls(turns)
    calls.ask(Rank.LIVE)
    await calls.settle()
    second = calls.ask(Rank.LIVE)
    await calls.settle()
    calls.ends[0].set()
    await asyncio.sleep(0)  # the first call ends and hands its turn on
    second.cancel()
    calls.ask(Rank.LIVE)
    await calls.finish()
    assert calls.began.count(Rank.LIVE) >= 2
    async with asyncio.timeout(1), turns.turn(Rank.LIVE, 1):
        pass


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("rate", "batch"), [(10.0, 1), (100.0, 1), (50.0, 100), (0.5, 1)])
async def test_a_rate_is_kept_on_average_after_a_short_burst(rate, batch, monkeypatch):
    clock = Clock()
    turns = Turns(4, rate, seconds=clock)
    loop = asyncio.get_running_loop()

    def later(delay, callback, *args):
        clock.seconds += delay
        return loop.call_soon(callback, *args)

    monkeypatch.setattr(loop, "call_later", later)
    for _ in range(20):
        async with turns.turn(Rank.LIVE, batch):
            pass
    passed_s = clock.seconds - 100.0
    events = 20 * batch
    assert (events - batch - max(1.0, rate / 10) - 1) / rate <= passed_s <= events / rate


def test_what_the_user_set_goes_before_the_type_and_the_type_before_the_engine():
    card = Card("X", "", concurrency=2, rate_per_s=7.0)
    rules = Rules(in_flight=8, retry_for_s=100.0)
    assert rules.tuned(Tuning(), Card("X", "")) == rules
    assert rules.tuned(Tuning(), card) == dataclasses.replace(rules, in_flight=2, rate_per_s=7.0)
    mine = Tuning(concurrency=1, rate_per_s=3.0, retry_for_s=9.0)
    assert rules.tuned(mine, card) == dataclasses.replace(rules, in_flight=1, rate_per_s=3.0, retry_for_s=9.0)
