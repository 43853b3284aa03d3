"""What a connection says it has read is held against the log: nothing may have been passed over."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery import backlog
from headwater.delivery.conservation import accounts, compare, passed
from headwater.delivery.fate import Done, Item
from headwater.delivery.ledger import Ledger
from headwater.delivery.settlement import Move, Settlement
from headwater.delivery.status import unaccounted
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SPAN = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair)))


@pytest.fixture
def ledger(tmp_path):
    one = Ledger(tmp_path)
    yield one
    one.close()


async def filled(*sources):
    log = MemoryLog()
    for place, source in enumerate(sources):
        line = json.dumps({"type": "track", "messageId": f"m{place}"}).encode()
        await log.append(Topic.EVENTS, source, NOON + timedelta(seconds=place), [Record(f"m{place}", line)])
    return log


def carry(ledger, lane, log, until):
    """Settle what a lane's source has up to a sequence."""
    cursor = ledger.lane(lane).cursor
    events = [
        event for event in log.read(Topic.EVENTS, cursor).events() if event.seq < until and event.source_id == "a"
    ]
    fates = [(Item(lane, event), Done(first_try=True, latency_s=None)) for event in events]
    ledger.settle(Settlement("d1", fates, Move(lane, cursor, until, len(events))), 10.0)


async def test_what_was_passed_is_what_was_read(ledger):
    log = await filled(*"abaabbba")
    lane = ledger.live_lane("d1", "a", 1, 0.0).id
    carry(ledger, lane, log, 7)
    (found,) = compare(log, accounts(ledger))
    assert (found.account.spans, found.account.read, found.logged, found.is_whole, found.is_well) == (
        ((1, 7),),
        2,
        2,
        True,
        True,
    )


@pytest.mark.parametrize("by", [-1, 1])
async def test_an_event_too_few_or_too_many_is_told(ledger, by):
    log = await filled(*"abaabbba")
    carry(ledger, ledger.live_lane("d1", "a", 0, 0.0).id, log, 8)
    ledger.db.execute("update lane set read = read + ?", (by,))
    (found,) = compare(log, accounts(ledger))
    assert (found.is_well, unaccounted(ledger, "d1")) == (False, 1)


async def test_what_is_still_to_be_caught_up_is_not_missed(ledger):
    log = await filled(*"aaaaaaaaaa")
    lane = ledger.live_lane("d1", "a", 0, 0.0).id
    carry(ledger, lane, log, 2)
    backlog.split(ledger, lane, 2, 8, 0.0)
    carry(ledger, lane, log, 10)
    (behind,) = ledger.backlogs("d1")
    carry(ledger, behind.id, log, 5)
    (found,) = compare(log, accounts(ledger))
    assert (found.account.spans, found.account.read, found.is_well) == (((0, 5), (8, 10)), 7, True)
    carry(ledger, behind.id, log, 8)
    ledger.finish(behind.id, 1.0)
    backlog.fold(ledger, "d1")
    (found,) = compare(log, accounts(ledger))
    assert (found.account.spans, found.account.read, found.is_well) == (((0, 10),), 10, True)


async def test_a_log_that_gave_old_events_back_holds_fewer(ledger, monkeypatch):
    log = await filled(*"aaaaaaaaaa")
    carry(ledger, ledger.live_lane("d1", "a", 0, 0.0).id, log, 10)
    (account,) = accounts(ledger)
    monkeypatch.setattr(log, "start", lambda _: 4)
    assert [(each.is_whole, each.is_well) for each in compare(log, [account])] == [(False, True)]
    too_few = dataclasses.replace(account, read=5)
    assert [each.is_well for each in compare(log, [too_few])] == [False]


async def test_nothing_delivered_is_nothing_to_compare(ledger):
    assert compare(await filled("a"), accounts(ledger)) == []


@given(st.lists(SPAN, max_size=5), st.lists(SPAN, max_size=5))
def test_what_was_passed_is_the_union_without_what_is_to_go(spans, to_go):
    covered = {n for first, last in spans for n in range(first, last)}
    covered -= {n for first, last in to_go for n in range(first, last)}
    found = passed(spans, to_go)
    assert [n for first, last in found for n in range(first, last)] == sorted(covered)
