"""One destination that hangs, fails or is poisoned changes nothing for another."""

import asyncio
import dataclasses
import time

from aiohttp import web

from headwater.delivery.engine import build
from receiver import QUICK, append, body, conserved, receiving, settled, until, webhook


async def test_a_hanging_destination_delays_no_other(log, receiver, other_receiver, delivering):
    async def hang(_):
        await asyncio.sleep(60)
        return web.Response()

    other_receiver.answer = hang
    rules = dataclasses.replace(QUICK, drain_s=0.1)
    async with delivering(webhook(receiver), webhook(other_receiver, "d2"), rules=rules) as delivery:
        for n in range(20):
            await append(log, *(body(f"m{n}.{place}", userId=f"u{place}") for place in range(10)))
            await until(lambda count=(n + 1) * 10: _reached(receiver, count))
        await settled(delivery, delivered_first_try=200)
        hanging = (await delivery.status())[1]
    assert len(other_receiver.bodies) <= rules.in_flight
    assert (hanging.delivered_first_try, hanging.state, hanging.behind) == (0, "active", 200)


async def test_a_refusing_destination_costs_a_standing_cursor_and_few_calls(log, receiver, other_receiver, delivering):
    other_receiver.answering(*[500] * 100_000)
    rules = dataclasses.replace(QUICK, chunk_max=16, retry_first_s=1.0, retry_max_s=60.0, hold_max_s=60.0)
    async with delivering(webhook(receiver), webhook(other_receiver, "d2"), rules=rules) as delivery:
        for n in range(20):
            await append(log, *(body(f"m{n}.{place}") for place in range(100)))
        await settled(delivery, delivered_first_try=2000, behind=0)
        refusing = (await delivery.status())[1]
        conserved(refusing)
    assert refusing.retrying == refusing.read < 100
    assert refusing.behind > 1900
    assert len(other_receiver.bodies) < 100


async def test_an_instant_refusal_is_no_hot_loop(log, receiver, delivering):
    receiver.answering(*[503] * 100_000)
    rules = dataclasses.replace(QUICK, retry_first_s=0.2, retry_max_s=30.0, hold_max_s=30.0, chance=lambda: 0.5)
    await append(log, *(body(f"m{n}") for n in range(300)))
    async with delivering(webhook(receiver), rules=rules) as delivery:
        await settled(delivery, state="active", delivered_first_try=0)
        await until(lambda: _reached(receiver, rules.in_flight))
        await asyncio.sleep(1.0)  # what does not happen has no event to wait for
    assert len(receiver.bodies) < 60


async def test_recovery_delivers_everything_that_waited(log, receiver, delivering):
    receiver.answering(*[503] * 60)
    await append(log, *(body(f"m{n}", userId=f"u{n % 7}") for n in range(500)))
    rules = dataclasses.replace(QUICK, chunk_max=32)
    async with delivering(webhook(receiver), rules=rules) as delivery:
        await settled(delivery, read=500, behind=0, retrying=0, dead=0)
    assert set(receiver.ids()) == {f"m{n}" for n in range(500)}


async def test_a_rate_limit_is_waited_for_by_the_whole_connection(log, receiver, delivering):
    receiver.answering(429, headers={"retry-after": "1"})
    rules = dataclasses.replace(QUICK, in_flight=1, chunk_max=1)
    await append(log, *(body(f"m{n}") for n in range(5)))
    async with delivering(webhook(receiver), rules=rules) as delivery:
        await until(lambda: _reached(receiver, 1))
        limited_at = time.monotonic()
        await until(lambda: _reached(receiver, 2))
        assert time.monotonic() - limited_at > 0.8
        await settled(delivery, read=5, retrying=0, delivered_on_retry=1)


async def test_many_destinations_share_one_log(log, delivering):
    async with asyncio.timeout(60):
        async with receiving() as one:
            connections = [webhook(one, f"d{n}") for n in range(20)]
            async with delivering(*connections) as delivery:
                await append(log, *(body(f"m{n}") for n in range(20)))
                await until(lambda: _reached(one, 400))
                for status in await delivery.status():
                    conserved(status)
            assert {ids: one.ids().count(ids) for ids in one.ids()} == {f"m{n}": 20 for n in range(20)}


async def test_a_broken_destination_does_not_stop_the_engine(log, receiver, delivering):
    class Broken:
        batch_max = 1

        async def check(self): ...

        async def send(self, _):
            raise ZeroDivisionError("a@example.com")

    def builder(kind, settings, room):
        card, destination = build("webhook", settings, room)
        return card, Broken() if kind == "broken" else destination

    broken = webhook(receiver, "d2", type="broken")
    async with delivering(webhook(receiver), broken, builder=builder) as delivery:
        await append(log, *(body(f"m{n}") for n in range(10)))
        await settled(delivery, delivered_first_try=10)
        status = (await delivery.status())[1]
    assert (status.state, status.retrying > 0) == ("active", True)
    assert status.last_error == "The destination's own code failed (ZeroDivisionError)."


async def _reached(receiver, count) -> bool:
    return len(receiver.bodies) >= count
