"""Many dead letters: found by every member, retried, discarded and expired in pieces, and counted at any time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from headwater.delivery import dead_letters
from headwater.delivery.dead_letters import DeadLetterFilter
from receiver import append, body, conserved, settled, webhook

COUNT = 25


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Let a window be small, so that a few dead letters are many."""
    monkeypatch.setattr(dead_letters, "WINDOW", 4)


@pytest.fixture
async def dead(log, receiver, delivering):
    """Return an engine whose destination has refused COUNT events for good."""
    receiver.answering(*[422] * COUNT)
    await append(log, *(body(f"m{n}", userId=f"u{n}", event="A" if n % 5 else "B") for n in range(COUNT)))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, dead=COUNT, behind=0)
        yield delivery


async def test_pages_join_to_all_newest_first(dead):
    found, before = [], None
    while page := await dead.dead_letters(before=before, count=7):
        found += page
        before = page[-1].id
    assert [letter.id for letter in found] == sorted((letter.id for letter in found), reverse=True)
    assert sorted(letter.message_id for letter in found) == sorted(f"m{n}" for n in range(COUNT))


async def test_a_rare_one_is_found_behind_many_others(dead):
    (oldest,) = [letter for letter in await dead.dead_letters(count=COUNT) if letter.id == 1]
    assert await dead.dead_letters(DeadLetterFilter(message_id=oldest.message_id), count=1) == [oldest]


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({}, COUNT),
        ({"destination_id": "d1"}, COUNT),
        ({"destination_id": "d2"}, 0),
        ({"destination_ids": ("d0", "d1")}, COUNT),
        ({"destination_ids": ()}, 0),
        ({"source_id": "s2"}, 0),
        ({"event": "B"}, 5),
        ({"event": "B", "type": "identify"}, 0),
        ({"reason": "HTTP 422"}, COUNT),
        ({"message_id": "m7"}, 1),
        ({"since": 0.0, "until": 1.0}, 0),
        ({"since": 1.0}, COUNT),
    ],
)
async def test_each_member_chooses_and_counting_changes_nothing(dead, chosen, count):
    assert await dead.count_dead_letters(DeadLetterFilter(**chosen)) == count
    await settled(dead, dead=COUNT)


async def test_all_that_match_are_tried_again_and_the_rest_stays(dead, receiver):
    assert await dead.retry_dead_letters(DeadLetterFilter(event="A")) == 20
    await settled(dead, dead=5, delivered_on_retry=20, retrying=0)
    assert {item["event"] for item in receiver.bodies[COUNT:]} == {"A"}


async def test_those_that_die_again_meanwhile_are_not_tried_without_end(dead, receiver):
    receiver.answering(*[422] * 1_000)
    assert await dead.retry_dead_letters(DeadLetterFilter()) == COUNT
    await settled(dead, dead=COUNT, retrying=0)
    assert len(receiver.bodies) == 2 * COUNT


async def test_numbers_that_are_none_or_twice_are_no_matter(dead):
    assert await dead.count_dead_letters([1, 1, 2, 999]) == 2
    assert await dead.discard_dead_letters([1, 1, 2, 999]) == 2
    assert await dead.discard_dead_letters([1, 2]) == 0
    await settled(dead, dead=COUNT - 2, dropped=2)


async def test_what_is_older_than_the_retention_expires_and_stays_counted(dead):
    assert await dead.expire_dead_letters(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await dead.expire_dead_letters(datetime.now(UTC) + timedelta(hours=1)) == COUNT
    await settled(dead, dead=0, expired=COUNT, unaccounted=0)


async def test_deliveries_are_settled_between_the_pieces(dead, log):
    discarding = asyncio.create_task(dead.discard_dead_letters(DeadLetterFilter()))
    await append(log, body("new"))
    await settled(dead, delivered_first_try=1)
    assert await discarding == COUNT
    (status,) = await dead.status()
    conserved(status)
    assert (status.dropped, status.unaccounted) == (COUNT, 0)


async def test_what_was_given_up_is_among_the_concerns_and_in_the_figures(dead):
    (status,) = await dead.status()
    await dead.discard_dead_letters([1])
    found = await dead.metrics("d1", granularity="minute")
    assert [concern.code for concern in status.warnings] == ["dead_letters"]
    assert (found.totals.received, found.totals.failed, found.totals.discarded) == (COUNT, COUNT, 1)
