"""Whatever a destination does, each event ends as one outcome; the calls of one user never overtake each other."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery.attempt import Sender, by_user
from headwater.delivery.fate import Held, Item
from headwater.delivery.turns import Turns
from headwater.destinations.contract import Delivered, Discarded, Retry, Unauthorized
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event


def items(*users: str) -> list[Item]:
    return [Item(1, Event(seq, "s1", b"{}", {"userId": user})) for seq, user in enumerate(users)]


class Odd:
    """A destination that does what it is told."""

    batch_max = 1

    def __init__(self, does, batch_max=1):
        self.does, self.sent, self.batch_max = does, [], batch_max
        self.now = self.most = 0

    async def check(self) -> None: ...

    async def send(self, events):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            self.sent.append([event.seq for event in events])
            return await self.does(events)
        finally:
            self.now -= 1


async def outcomes(does, count=2, **named):
    failures = []
    sender = Sender(Odd(does, **named), Turns(4), failures.append, deadline_s=0.1)
    attempts = await sender.attempt(items(*map(str, range(count))))
    return [attempt.outcome for attempt in attempts], failures


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RetryableError("down", after_s=3), Retry("down", after_s=3)),
        (UnauthorizedError("no"), Unauthorized("no")),
        (DeliveryError("forbidden"), Discarded("forbidden")),
        (KeyError("secret"), Retry("The destination's own code failed (KeyError).")),
    ],
)
async def test_an_error_of_a_batch_is_an_outcome_of_each_event(error, outcome):
    async def fails(_):
        raise error

    found, failures = await outcomes(fails, batch_max=2)
    assert found == [outcome, outcome]
    assert len(failures) == isinstance(error, KeyError)


async def test_a_wrong_number_of_outcomes_is_tried_again():
    async def forgets(_):
        return [Delivered()]

    found, failures = await outcomes(forgets, batch_max=2)
    assert all(isinstance(outcome, Retry) for outcome in found)
    assert len(failures) == 1


async def test_a_destination_that_hangs_is_given_up_in_time():
    async def hangs(_):
        await asyncio.sleep(60)

    found, _ = await outcomes(hangs)
    assert found == [Retry("No outcome within 0.1 s.")] * 2


async def test_refused_credentials_stop_the_round():
    async def refuses(_):
        return [Unauthorized("no")]

    destination = Odd(refuses)
    sender = Sender(destination, Turns(1), print)
    found = [attempt.outcome for attempt in await sender.attempt(items("a", "b", "c"))]
    assert found == [Unauthorized("no"), Held(), Held()]
    assert destination.sent == [[0]]


async def test_a_destination_that_fails_every_call_is_left_alone_for_the_rest_of_the_round():
    async def refuses(_):
        return [Retry("HTTP 503", 503)]

    destination = Odd(refuses)
    attempts = await Sender(destination, Turns(4), print).attempt(items(*map(str, range(100))))
    assert len(destination.sent) < 8
    assert sum(attempt.outcome == Held() for attempt in attempts) == 100 - len(destination.sent)


async def test_failures_between_successes_do_not_end_a_round():
    async def alternates(events):
        return [Retry("HTTP 503", 503) if events[0].seq % 4 else Delivered()]

    attempts = await Sender(Odd(alternates), Turns(4), print).attempt(items(*map(str, range(100))))
    assert Held() not in [attempt.outcome for attempt in attempts]


async def test_a_cut_ends_a_round_and_its_events_are_tried_again():
    async def hangs(_):
        await asyncio.sleep(60)

    sender = Sender(Odd(hangs), Turns(1), print)
    running = asyncio.create_task(sender.attempt(items("a", "b")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sender.cut()
    first, second = [attempt.outcome for attempt in await running]
    assert (isinstance(first, Retry), second) == (True, Held())


async def test_calls_run_beside_each_other_up_to_the_bound():
    async def slow(events):
        await asyncio.sleep(0.01)
        return [Delivered()] * len(events)

    destination = Odd(slow)
    await Sender(destination, Turns(4), print).attempt(items(*map(str, range(16))))
    assert destination.most == 4


@given(
    users=st.lists(st.sampled_from("abcdefgh"), max_size=60),
    chains_max=st.integers(1, 8),
    batch_max=st.sampled_from([1, 3, 100]),
)
def test_chains_hold_every_event_once_and_each_user_in_order(users, chains_max, batch_max):
    events = [item.event for item in items(*users)]
    chains = by_user(events, chains_max, batch_max)
    assert sorted(place for chain in chains for place in chain) == list(range(len(users)))
    assert all(chain == sorted(chain) for chain in chains)
    assert len(chains) <= chains_max
    homes = [{users[place] for place in chain} for chain in chains]
    assert sum(map(len, homes)) == len(set(users))
