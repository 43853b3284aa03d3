"""Contacts are gathered into few requests; what is urgent goes first, and nobody waits for nothing."""

import asyncio

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from addressbook import until
from headwater.budget import Priority
from headwater.errors import RetryableError
from headwater.sources.activecampaign.people.batching import BATCH_MAX, Batcher
from headwater.sources.activecampaign.people.breaker import Breaker
from headwater.sources.activecampaign.people.recent import Recent


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Service:
    """What was asked, in order; answers wait until it is open."""

    def __init__(self):
        self.calls: list[tuple[list[str], Priority]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def __call__(self, ids, priority) -> None:
        self.calls.append((list(ids), priority))
        await self.open.wait()
        if self.fails:
            raise RetryableError("down")


@pytest.fixture
def service():
    return Service()


@pytest_asyncio.fixture
async def batcher(service):
    found = Batcher(service, Breaker(Seconds(), pause_s=0.1))
    yield found
    await found.stop()


def names(first: int, count: int) -> list[str]:
    return [str(number) for number in range(first, first + count)]


async def test_a_contact_that_is_under_way_or_waits_is_asked_for_once(batcher, service):
    service.open.clear()
    first = batcher.ask(["1"])
    await until(lambda: len(service.calls) == 1)
    second = batcher.ask(["1", "2"])
    third = batcher.ask(["2"])
    service.open.set()
    await asyncio.wait([*first, *second, *third])

    assert first[0] is second[0]
    assert second[1] is third[0]
    assert [ids for ids, _ in service.calls] == [["1"], ["2"]]


async def test_what_is_not_urgent_fills_up_an_urgent_batch_and_waits_behind_everybody_otherwise(batcher, service):
    batcher.refresh(names(1, 150))
    await asyncio.wait(batcher.ask(["200", "5"]))
    await until(lambda: batcher.pending == 0 and len(service.calls) == 2)

    (first, priority), (second, other) = service.calls
    assert (len(first), priority, first[:2]) == (BATCH_MAX, Priority.LIVE, ["200", "5"])
    assert (len(second), other) == (51, Priority.BACKGROUND)
    assert sorted(first + second, key=int) == [*names(1, 150), "200"]


async def test_a_request_that_is_not_urgent_holds_up_no_urgent_one(batcher, service):
    service.open.clear()
    batcher.refresh(["1"])
    await until(lambda: len(service.calls) == 1)
    futures = batcher.ask(["1"])
    await until(lambda: len(service.calls) == 2)
    service.open.set()
    await asyncio.wait(futures)

    assert service.calls == [(["1"], Priority.BACKGROUND), (["1"], Priority.LIVE)]


async def test_what_does_not_fit_is_not_asked_for(batcher, service):
    service.open.clear()
    futures = batcher.ask(names(1, 10_050))

    assert len(futures) == batcher.pending == 10_000


async def test_who_waits_for_a_request_that_fails_is_let_go(batcher, service):
    service.fails = True
    await asyncio.wait(batcher.ask(["1"]))

    assert batcher.breaker.pauses == 1
    assert not batcher.breaker.is_worth_waiting()


async def test_who_waits_at_the_stop_is_let_go(batcher, service):
    service.open.clear()
    futures = batcher.ask(names(1, 150))
    await until(lambda: len(service.calls) == 1)
    await batcher.stop()

    assert all(future.done() for future in futures)
    assert batcher.ask(["1"]) == []


def test_after_a_failure_there_is_a_pause_and_an_answer_ends_it():
    seconds = Seconds()
    breaker = Breaker(seconds, pause_s=30)
    breaker.failed()
    assert (breaker.pause_s(), breaker.is_worth_waiting()) == (30, False)
    seconds.now = 29.9
    assert breaker.pause_s() > 0
    breaker.answered()
    assert (breaker.pause_s(), breaker.is_worth_waiting()) == (0, True)


def test_a_wait_in_vain_spares_the_next_one_but_stops_no_call():
    seconds = Seconds()
    breaker = Breaker(seconds, pause_s=30)
    breaker.waited(breaker.answers)
    assert (breaker.pause_s(), breaker.is_worth_waiting()) == (0, False)
    seconds.now = 30
    assert breaker.is_worth_waiting()


def test_a_wait_that_ran_out_while_answers_came_spares_nothing():
    breaker = Breaker(Seconds(), pause_s=30)
    before = breaker.answers
    breaker.answered()
    breaker.waited(before)
    assert breaker.is_worth_waiting()


@given(st.lists(st.tuples(st.sampled_from(["read", "get"]), st.integers(0, 8)), max_size=40))
def test_the_newest_are_held_and_no_more(steps):
    recent, order = Recent[int, int](3), list[int]()
    for step, key in steps:
        if step == "read":
            recent.read({key: key}, recent.state)
        elif recent.get(key) is None:
            continue
        order = [each for each in order if each != key] + [key]
        order = order[-3:]
    assert [key for key in range(9) if recent.get(key) is not None] == sorted(order)


def test_what_was_read_before_a_change_is_not_held():
    recent = Recent[str, int](3)
    state = recent.state
    recent.drop(["a"])
    recent.read({"a": 1}, state)
    assert recent.get("a") is None
    recent.read({"a": 2}, recent.state)
    recent.renewed({"a": 3, "b": 4})
    assert (recent.get("a"), recent.get("b")) == (3, None)
