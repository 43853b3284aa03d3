"""Whatever a destination does or answers: no event is lost or in two places, and delivery goes on once it is well."""

import asyncio
import dataclasses
import ipaddress
import random
from collections import Counter

import pytest
from aiohttp import web

from headwater.delivery import engine
from headwater.delivery.address import Policy
from headwater.delivery.engine import Delivery, build
from headwater.delivery.http import GuardedHttp
from headwater.destinations.contract import Delivered, Discarded, Retry, Unauthorized
from headwater.errors import RetryableError
from receiver import LOOPBACK, QUICK, append, body, settled, until, webhook
from rooms import outside

PATIENT = dataclasses.replace(QUICK, retry_for_s=3600.0)


class Odd:
    """A destination that does something odd until it is mended."""

    batch_max = 3

    def __init__(self, odd):
        self.odd, self.taken, self.calls = odd, [], 0

    async def check(self) -> None:
        await asyncio.sleep(3600)

    async def send(self, events):
        self.calls += 1
        if self.odd is not None:
            return await self.odd(events)
        self.taken += [event.message_id for event in events]
        return [Delivered()] * len(events)

    def built(self, _, settings, room):
        return build("webhook", settings, room)[0], self


def answers(*outcomes):
    async def send(_):
        return list(outcomes)

    return send


def raises(error):
    async def send(_):
        raise error

    return send


@pytest.mark.parametrize(
    "odd",
    [
        answers(None, None, None),
        answers(Delivered(), "yes", Delivered()),
        answers(Delivered(), Delivered(), Retry(None)),
        answers(Delivered(), Delivered(), Discarded("no", "four hundred")),
        answers(Delivered(), Delivered(), Discarded("no", 400, None)),
        answers(Delivered(), Delivered()),
        answers(*[Retry("late", after_s=float("nan"))] * 3),
        answers(*[Retry("late", after_s=-1e9)] * 3),
        raises(asyncio.CancelledError()),
        raises(SystemExit(3)),
        raises(GeneratorExit()),
        raises(MemoryError()),
    ],
)
async def test_what_its_code_does_wrong_costs_a_retry_and_no_event(log, receiver, delivering, odd):
    destination = Odd(odd)
    await append(log, *(body(f"m{n}", userId="u1") for n in range(3)))
    async with delivering(webhook(receiver), rules=PATIENT, builder=destination.built) as delivery:
        await until(lambda: _true(destination.calls > 2))
        destination.odd = None
        await settled(delivery, read=3, delivered_on_retry=3, retrying=0, dead=0)
    assert sorted(destination.taken) == ["m0", "m1", "m2"]


async def test_one_refused_key_in_a_batch_pauses_and_what_was_taken_stays_taken(log, receiver, delivering):
    destination = Odd(answers(Delivered(), Unauthorized("The key was refused."), Discarded("no", 400)))
    await append(log, *(body(f"m{n}", userId="u1") for n in range(3)))
    async with delivering(webhook(receiver), rules=PATIENT, builder=destination.built) as delivery:
        await settled(delivery, state="paused", delivered_first_try=1, retrying=1, dead=1)
        destination.odd = None
        await delivery.resume("d1")
        await settled(delivery, state="active", delivered_on_retry=1, retrying=0, dead=1)
    assert destination.taken == ["m1"]


async def test_a_check_that_hangs_ends_with_a_reason(receiver, delivering, monkeypatch):
    monkeypatch.setattr(engine, "SEND_DEADLINE_S", 0.05)
    async with delivering(builder=Odd(None).built) as delivery:
        with pytest.raises(RetryableError, match="No answer within"):
            await delivery.test("webhook", {"url": receiver.url})


async def test_a_network_that_is_not_allowed_any_more_pauses_and_keeps_every_event(log, receiver, tmp_path):
    elsewhere = GuardedHttp(Policy(networks=(ipaddress.ip_network("10.0.0.0/8"),)))
    await append(log, *(body(f"m{n}") for n in range(20)))
    for http, state in ((elsewhere, "paused"), (GuardedHttp(LOOPBACK), "active")):
        delivery = Delivery(log, tmp_path, outside(http), rules=QUICK)
        delivery.apply([webhook(receiver)])
        running = asyncio.create_task(delivery.run())
        if state == "paused":
            await settled(delivery, state=state, dead=0)
            assert "HEADWATER_ALLOW_NETWORKS" in (await delivery.status())[0].reason
        else:
            await delivery.resume("d1")
            await settled(delivery, read=20, behind=0, retrying=0, dead=0)
        await delivery.stop()
        await running
        await http.close()
    assert sorted(receiver.ids()) == sorted(f"m{n}" for n in range(20))


async def test_every_second_answer_an_error_loses_and_doubles_nothing(log, receiver, delivering):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, held = random.Random(seed), Counter()

    async def answer(_):
        message = receiver.ids()[-1]
        if chance.random() < 0.5:
            retry_after = chance.choice(["0", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", ""])
            return web.Response(status=chance.choice([429, 500, 503]), headers={"retry-after": retry_after})
        held[message] += 1
        return web.Response()

    receiver.answer = answer
    await append(log, *(body(f"m{n}", userId=f"u{n % 7}") for n in range(200)))
    async with delivering(webhook(receiver), rules=PATIENT) as delivery:
        await settled(delivery, read=200, behind=0, retrying=0, dead=0)
    assert held == Counter(f"m{n}" for n in range(200))


async def _true(value: bool) -> bool:  # noqa: FBT001 - for `until`
    return value
