"""Twenty destinations on one source, five of them bad in their own way: the good ones miss nothing."""

import asyncio
import contextlib
import dataclasses

from aiohttp import web

from headwater.delivery.engine import build
from headwater.destinations.contract import Delivered, Retry
from receiver import QUICK, append, body, conserved, receiving, settled, until, webhook

GOOD = 15
EVENTS = 60


class Raising:
    """A destination whose own code is wrong."""

    batch_max = 1

    async def check(self) -> None: ...

    async def send(self, _):
        raise KeyError("a@example.com")


class Poisoned:
    """A destination that one event makes fail for ever."""

    batch_max = 1

    def __init__(self):
        self.taken = []

    async def check(self) -> None: ...

    async def send(self, events):
        if events[0].message_id == "m7":
            return [Retry("HTTP 500", 500)]
        self.taken.append(events[0].message_id)
        return [Delivered()]


async def test_five_bad_destinations_of_twenty_cost_the_others_nothing(log, delivering):
    poisoned = Poisoned()

    def builder(kind, settings, room):
        card, destination = build("webhook", settings, room)
        return card, {"raising": Raising(), "poisoned": poisoned}.get(kind, destination)

    async with contextlib.AsyncExitStack() as stack:
        good = [await stack.enter_async_context(receiving()) for _ in range(GOOD)]
        hanging, failing, busy = [await stack.enter_async_context(receiving()) for _ in range(3)]

        async def hang(_):
            await asyncio.sleep(30)
            return web.Response()

        hanging.answer = hang
        failing.answering(*[500] * 100_000)
        busy.answering(*[429] * 100_000, headers={"retry-after": "30"})
        connections = [webhook(one, f"good{n}") for n, one in enumerate(good)]
        connections += [webhook(hanging, "hanging"), webhook(failing, "failing"), webhook(busy, "busy")]
        connections += [webhook(failing, kind, type=kind) for kind in ("raising", "poisoned")]
        rules = dataclasses.replace(QUICK, drain_s=0.1, retry_for_s=60.0)
        async with delivering(*connections, rules=rules, builder=builder) as delivery:
            for first in range(0, EVENTS, 10):
                await append(log, *(body(f"m{n}", userId=f"u{n % 9}") for n in range(first, first + 10)))
                await until(lambda least=first + 10: _all_have(good, least))
            await settled(delivery, delivered_first_try=EVENTS, behind=0)
            await until(lambda: _all_have_taken(poisoned, EVENTS - 1))
            by_id = {status.destination_id: status for status in await delivery.status()}
    for status in by_id.values():
        conserved(status)
        assert status.state == "active"
    for receiver in good:
        assert sorted(receiver.ids()) == sorted(f"m{n}" for n in range(EVENTS))
    assert [by_id[f"good{n}"].delivered_first_try for n in range(GOOD)] == [EVENTS] * GOOD
    assert (by_id["poisoned"].delivered_first_try, by_id["poisoned"].retrying) == (EVENTS - 1, 1)
    assert [by_id[bad].delivered_first_try for bad in ("hanging", "failing", "busy", "raising")] == [0] * 4
    assert len(hanging.bodies) <= rules.in_flight


async def _all_have(receivers, least) -> bool:
    return all(len(one.bodies) >= least for one in receivers)


async def _all_have_taken(destination, least) -> bool:
    return len(destination.taken) >= least
