"""After an outage: new events are not behind it, everything arrives, and what must stay in order does."""

import asyncio
import dataclasses
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from headwater.delivery.connection import Tuning
from headwater.delivery.engine import build
from receiver import QUICK, append, body, settled, until, webhook

SPLITTING = dataclasses.replace(QUICK, split_events=20, chunk_max=8)


def old(count: int, prefix: str = "old", **members) -> list[dict]:
    at = (datetime.now(UTC) - timedelta(hours=6)).isoformat()
    return [body(f"{prefix}{n}", receivedAt=at, **{"userId": f"u{n % 7}", **members}) for n in range(count)]


def ordered(_, settings, room):
    card, destination = build("webhook", settings, room)
    return dataclasses.replace(card, ordered=True), destination


async def test_new_events_go_before_what_an_outage_left(log, receiver, delivering):
    async def slow(_):
        await asyncio.sleep(0.005)
        return web.Response()

    receiver.answer = slow
    await append(log, *old(600))
    async with delivering(webhook(receiver), rules=SPLITTING) as delivery:
        await until(lambda: _true((len(receiver.bodies)) > 20))
        await append(log, *(body(f"new{n}") for n in range(5)))
        await settled(delivery, read=605, delivered_first_try=605, behind=0, backlog=0)
    assert Counter(receiver.ids()) == Counter([*(f"old{n}" for n in range(600)), *(f"new{n}" for n in range(5))])
    assert max(receiver.ids().index(f"new{n}") for n in range(5)) < 300


async def test_while_a_destination_refuses_everything_nothing_is_split(log, receiver, delivering):
    receiver.answering(*[503] * 100_000)
    await append(log, *old(200))
    async with delivering(webhook(receiver), rules=SPLITTING) as delivery:
        await until(lambda: _true(len(receiver.bodies) > 20))
        status = (await delivery.status())[0]
        assert (status.backlog, status.behind > 150) == (0, True)
        receiver.answer = None
        await settled(delivery, read=200, retrying=0, dead=0, behind=0, backlog=0)
    assert set(receiver.ids()) == {f"old{n}" for n in range(200)}


async def test_several_outages_are_caught_up_one_after_the_other_also_over_restarts(log, receiver, delivering):
    for outage in range(3):
        await append(log, *old(100, f"{outage}."))
        async with delivering(webhook(receiver), rules=SPLITTING) as delivery:
            await until(lambda least=outage * 30 + 10: _true(len(receiver.bodies) >= least))
    async with delivering(webhook(receiver), rules=SPLITTING) as delivery:
        await settled(delivery, read=300, retrying=0, behind=0, backlog=0)
    assert set(receiver.ids()) == {f"{outage}.{n}" for outage in range(3) for n in range(100)}
    assert len(receiver.bodies) == 300


async def test_all_lanes_together_keep_the_bound_of_calls(log, receiver, delivering):
    most = Counter()

    async def answer(_):
        most["now"] += 1
        most["most"] = max(most["most"], most["now"])
        await asyncio.sleep(0.01)
        most["now"] -= 1
        return web.Response()

    receiver.answer = answer
    await append(log, *old(100))
    tuned = webhook(receiver, tuning=Tuning(concurrency=3))
    async with delivering(tuned, rules=SPLITTING) as delivery:
        await settled(delivery, read=100, behind=0, backlog=0, delivered_first_try=100)
    assert most["most"] <= 3


async def test_where_order_counts_nothing_is_split_and_each_user_stays_in_order(log, receiver, delivering):
    failed = Counter()

    async def answer(_):
        message = receiver.ids()[-1]
        failed[message] += 1
        return web.Response(status=500 if int(message[3:]) % 5 == 0 and failed[message] < 3 else 200)

    receiver.answer = answer
    await append(log, *old(150))
    async with delivering(webhook(receiver), rules=SPLITTING, builder=ordered) as delivery:
        await settled(delivery, read=150, retrying=0, behind=0, held_back=0, overtaken=0)
    done = {}
    for message in receiver.ids():  # the last time counts: it was delivered then
        done.pop(message, None)
        done[message] = int(message[3:])
    for user in range(7):
        mine = [number for number in done.values() if number % 7 == user]
        assert mine == sorted(mine)
    assert len(done) == 150


async def test_what_waits_behind_an_earlier_event_is_shown_and_survives_a_restart(log, receiver, delivering):
    receiver.answering(*[500] * 1)
    slow = dataclasses.replace(QUICK, retry_first_s=600.0, retry_max_s=600.0, chance=lambda: 1.0)
    await append(log, *(body(f"m{n}") for n in range(4)))
    async with delivering(webhook(receiver), rules=slow, builder=ordered) as delivery:
        await settled(delivery, read=4, retrying=4, held_back=3)
    await append(log, body("m4"))
    later = {"clock": lambda: datetime.now(UTC) + timedelta(hours=1), "builder": ordered}
    async with delivering(webhook(receiver), **later) as delivery:
        await settled(delivery, read=5, retrying=0, held_back=0)
        status = (await delivery.status())[0]
    assert receiver.ids() == ["m0", "m0", "m1", "m2", "m3", "m4"]
    assert status.delivered_on_retry + status.delivered_first_try == 5


async def test_a_break_of_a_users_order_after_a_retry_is_counted(log, receiver, delivering):
    receiver.answering(500)
    await append(log, body("m0"), body("m1"), body("m2", userId="u2"))
    async with delivering(webhook(receiver), rules=dataclasses.replace(QUICK, in_flight=1)) as delivery:
        await settled(delivery, read=3, retrying=0, delivered_on_retry=1, overtaken=1)


async def test_an_address_that_was_given_up_pauses_the_connection_and_keeps_its_events(log, receiver, delivering):
    receiver.answering(*[410] * 50)
    await append(log, *(body(f"m{n}") for n in range(20)))
    async with delivering(webhook(receiver), rules=dataclasses.replace(QUICK, in_flight=1)) as delivery:
        await settled(delivery, state="paused", dead=1)
        assert "410" in (await delivery.status())[0].reason
        receiver.answer = None
        await delivery.resume("d1")
        await settled(delivery, state="active", read=20, dead=1, retrying=0)
    assert receiver.ids().count("m0") == 1


@pytest.mark.parametrize("kind", ["user", "type"])
async def test_a_rate_bounds_everything_that_goes_to_a_destination(log, receiver, delivering, kind):
    def limited(_, settings, room):
        card, destination = build("webhook", settings, room)
        return dataclasses.replace(card, rate_per_s=40.0 if kind == "type" else 1e6), destination

    tuning = Tuning(rate_per_s=40.0) if kind == "user" else Tuning()
    await append(log, *(body(f"m{n}") for n in range(24)))
    began = asyncio.get_running_loop().time()
    async with delivering(webhook(receiver, tuning=tuning), builder=limited) as delivery:
        await settled(delivery, delivered_first_try=24)
    assert asyncio.get_running_loop().time() - began > 0.4  # 24 events at 40 a second; it may take longer, not less


async def test_a_user_may_shorten_the_time_for_retries(log, receiver, delivering):
    receiver.answering(*[500] * 1000)
    await append(log, body("m0"))
    async with delivering(webhook(receiver, tuning=Tuning(retry_for_s=0.2))) as delivery:
        await settled(delivery, dead=1, retrying=0)


async def _true(value) -> bool:
    return bool(value)
