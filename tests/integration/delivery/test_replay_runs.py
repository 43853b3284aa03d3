"""Replays: what they choose, how fast they go, what they say of themselves."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from headwater.delivery import replays
from headwater.delivery.connection import Filter
from headwater.delivery.selection import Selection
from headwater.errors import ConflictError, NotFoundError
from receiver import QUICK, append, body, settled, until, webhook

NOW = datetime.now(UTC).replace(microsecond=0)


def at(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def finished(delivery, number):
    async def is_over():
        return next(each for each in await delivery.replays() if each.id == number).finished_at is not None

    await until(is_over)
    return next(each for each in await delivery.replays() if each.id == number)


async def test_a_webhook_that_was_mapped_late_is_part_of_its_time(log, receiver, delivering):
    long_ago, lately = NOW - timedelta(days=9), NOW - timedelta(hours=1)
    for n in range(20):
        await append(log, body(f"new{n}", receivedAt=at(lately)), received_at=lately)
    await append(log, body("late", receivedAt=at(long_ago)), received_at=long_ago)
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=21)
        old = await delivery.replay("d1", Selection(until=long_ago + timedelta(days=1)))
        await finished(delivery, old.id)
        new = await delivery.replay("d1", Selection(since=lately))
        await finished(delivery, new.id)
    assert receiver.ids()[21:] == ["late", *(f"new{n}" for n in range(20))]


async def test_a_person_is_chosen_by_either_id(log, receiver, delivering):
    bodies = [body("m1"), body("m2", userId=None, anonymousId="u1"), body("m3", userId="u2"), body("m4", userId="u11")]
    await append(log, *bodies)
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=4)
        counted = await delivery.replay("d1", Selection(user_id="u1"), dry_run=True)
        run = await finished(delivery, (await delivery.replay("d1", Selection(user_id="u1"))).id)
    assert (counted.state, counted.selected, counted.passed, counted.total) == ("counted", 2, 4, 4)
    assert (run.state, run.delivered, run.filtered) == ("done", 2, {"NOT_SELECTED": 2})
    assert receiver.ids()[4:] == ["m1", "m2"]


async def test_filters_apply_to_a_replay_and_what_nobody_chose_is_in_no_figure(log, receiver, delivering):
    await append(log, *(body(f"m{n}", event="AB"[n % 2]) for n in range(6)))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=6)
        delivery.apply([webhook(receiver, filters=(Filter("f", "No A", "event = 'A'", ({"type": "DROP"},)),))])
        run = await finished(delivery, (await delivery.replay("d1", Selection(event="A"))).id)
        found = await delivery.metrics("d1")
    assert (run.delivered, run.filtered) == (0, {"NOT_SELECTED": 3, "FILTERED_BY_RULES": 3})
    assert (found.totals.received, found.totals.filtered) == (9, {"FILTERED_BY_RULES": 3})


async def test_one_runs_and_the_next_waits_for_its_turn(log, receiver, delivering):
    await append(log, *(body(f"m{n}") for n in range(30)))
    async with delivering(webhook(receiver), rules=dataclasses.replace(QUICK, chunk_max=2)) as delivery:
        await settled(delivery, delivered_first_try=30)
        first = await delivery.replay("d1", rate_per_s=2.0)
        second = await delivery.replay("d1", Selection(event="Email Opened"), rate_per_s=900.0)
        await until(lambda: _passed(delivery, first.id, 2))
        states = {each.id: each.state for each in await delivery.replays("d1")}
        (running,) = [each for each in await delivery.replays() if each.id == first.id]
        assert {each.id for each in await delivery.replays(among=["d2", "d1"])} == {first.id, second.id}
        assert await delivery.replays(among=["d2"]) == []
        await delivery.cancel_replay(first.id)
        cancelled, done = await finished(delivery, first.id), await finished(delivery, second.id)
        await delivery.cancel_replay(second.id)
    assert states == {first.id: "running", second.id: "waiting"}
    assert running.eta_s > 0
    assert (running.rate_per_s, done.rate_per_s, done.selection.event) == (2.0, 900.0, "Email Opened")
    assert (cancelled.state, cancelled.eta_s, done.state, done.delivered) == ("cancelled", None, "done", 30)
    assert 2 <= cancelled.delivered < 30


async def test_a_slow_one_sends_few_at_a_time_and_a_wake_makes_it_no_faster(log, receiver, delivering):
    await append(log, *(body(f"m{n}") for n in range(50)))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=50)
        run = await delivery.replay("d1", rate_per_s=0.01)
        await until(lambda: _passed(delivery, run.id, 1))
        for _ in range(5):
            await delivery.retry_dead_letters([])
            delivery._wake("d1")
            await asyncio.sleep(0.01)
        (shown,) = await delivery.replays("d1")
    assert (shown.delivered, shown.passed) == (1, 1)


async def test_a_connection_that_rests_lets_its_replays_wait(log, receiver, delivering):
    await append(log, *(body(f"m{n}") for n in range(9)))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=9)
        run = await delivery.replay("d1", rate_per_s=1.0)
        await until(lambda: _passed(delivery, run.id, 1))
        delivery.apply([webhook(receiver, enabled=False)])
        (shown,) = await delivery.replays()
    assert (shown.state, shown.finished_at) == ("waiting", None)


async def test_there_is_an_end_to_what_may_wait(log, receiver, delivering, monkeypatch):
    monkeypatch.setattr(replays, "UNFINISHED_MAX", 2)
    await append(log, *(body(f"m{n}") for n in range(9)))
    async with delivering(webhook(receiver)) as delivery:
        for _ in range(2):
            await delivery.replay("d1", rate_per_s=0.1)
        with pytest.raises(ConflictError, match="cancel some"):
            await delivery.replay("d1")


async def test_a_dry_run_ends_in_time_and_tells_how_far_it_came(log, receiver, delivering, monkeypatch):
    monkeypatch.setattr(replays, "COUNT_S", -1.0)
    await append(log, body("m1"))
    async with delivering(webhook(receiver)) as delivery:
        counted = await delivery.replay("d1", dry_run=True)
    assert (counted.total, counted.passed, counted.selected) == (1, 0, 0)


async def test_what_is_no_replay_cannot_be_cancelled(delivering, receiver):
    async with delivering(webhook(receiver)) as delivery:
        with pytest.raises(NotFoundError):
            await delivery.cancel_replay(7)


async def _passed(delivery, number, count):
    return next(each for each in await delivery.replays() if each.id == number).passed >= count
