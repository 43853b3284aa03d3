"""Rounds that wait for the disk at the same time share a commit, and not each other's mistakes."""

import asyncio

import pytest

from headwater.delivery.fate import Done, Item
from headwater.delivery.ledger import Ledger
from headwater.delivery.settlement import Move, Settlement
from headwater.delivery.settling import Settling
from headwater.delivery.thread import OwnThread
from headwater.spec.event import Event


class Counting(Ledger):
    commits = 0

    def settle_all(self, rounds):
        self.commits += 1
        return super().settle_all(rounds)


@pytest.fixture
def ledger(tmp_path):
    one = Counting(tmp_path)
    yield one
    one.close()


@pytest.fixture
def in_ledger():
    thread = OwnThread("ledger")
    yield thread
    thread.close()


def round_of(ledger: Ledger, number: int, *, cursor: int = 0) -> Settlement:
    lane = ledger.live_lane(f"d{number}", "s1", 0, 0.0).id
    one = Item(lane, Event(0, "s1", b"{}", {"messageId": "m0", "type": "track"}))
    return Settlement(f"d{number}", [(one, Done(first_try=True, latency_s=None))], Move(lane, cursor, cursor + 1, 1))


async def test_rounds_that_wait_together_are_one_commit(ledger, in_ledger):
    settling = Settling(ledger, in_ledger)
    rounds = [round_of(ledger, number) for number in range(20)]
    assert await asyncio.gather(*(settling(one, 1.0) for one in rounds)) == [{}] * 20
    assert ledger.commits <= 2
    assert all(ledger.balance(one.move.lane).delivered_first == 1 for one in rounds)


async def test_a_round_that_cannot_be_settled_fails_alone(ledger, in_ledger):
    settling = Settling(ledger, in_ledger)
    rounds = [round_of(ledger, number, cursor=7 if number == 3 else 0) for number in range(6)]
    ends = await asyncio.gather(*(settling(one, 1.0) for one in rounds), return_exceptions=True)
    assert [type(end) for end in ends] == [dict, dict, dict, AssertionError, dict, dict]
    assert [ledger.balance(one.move.lane).read for one in rounds] == [1, 1, 1, 0, 1, 1]
    assert await settling(round_of(ledger, 9), 1.0) == {}
