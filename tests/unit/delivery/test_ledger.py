"""The ledger: whatever happens in whatever order, every event that was read is in exactly one place."""

import json
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.delivery import backlog, dead_letters
from headwater.delivery.dead_letters import DeadLetterFilter
from headwater.delivery.fate import Dead, Done, Filtered, Item, Waiting
from headwater.delivery.ledger import Ledger
from headwater.delivery.settlement import Move, Settlement
from headwater.spec.event import Event

FATES = {
    "done": Done(first_try=True, latency_s=0.01),
    "later": Done(first_try=False, latency_s=None),
    "filtered": Filtered("WHY"),
    "waiting": Waiting(0.0, 1, 0.0, "HTTP 500", 500),
    "dead": Dead(1, 0.0, "HTTP 400", 400, "no", "POST"),
}


def item(lane: int, seq: int, row: int | None = None) -> Item:
    body = {"type": "track", "event": "A", "messageId": f"m{seq}"}
    return Item(lane, Event(seq, "s1", json.dumps(body).encode(), body), row)


def settle(ledger: Ledger, lane: int, cursor: int, names: list[str]) -> int:
    fates = [(item(lane, cursor + place), FATES[name]) for place, name in enumerate(names)]
    ledger.settle(Settlement("d1", fates, Move(lane, cursor, cursor + len(names), len(names))), 10.0)
    return cursor + len(names)


def letters(ledger: Ledger, **chosen) -> list[int]:
    return dead_letters.matching(ledger, DeadLetterFilter(**chosen), 1_000_000).numbers


@pytest.fixture
def ledger(tmp_path):
    one = Ledger(tmp_path)
    yield one
    one.close()


@given(
    steps=st.lists(
        st.one_of(
            st.lists(st.sampled_from(sorted(FATES)), max_size=8),
            st.tuples(st.just("retry"), st.sampled_from(["done", "later", "waiting", "dead"])),
            st.just("dead again"),
            st.just("dropped"),
            st.just("expired"),
            st.just("reopened"),
        ),
        max_size=12,
    )
)
@settings(max_examples=40, deadline=None)
def test_the_counters_conserve_whatever_happens(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(directory)
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    cursor = 0
    for step in steps:
        match step:
            case list():
                cursor = settle(ledger, lane, cursor, step)
            case ("retry", name):
                ledger.settle(Settlement("d1", [(one, FATES[name]) for one in ledger.due("d1", 10.0, 3)]), 11.0)
            case "dead again":
                dead_letters.retry(ledger, letters(ledger, event="A"), 5.0)
            case "dropped":
                dead_letters.discard(ledger, letters(ledger)[:2], 5.0)
            case "expired":
                dead_letters.expire(ledger, letters(ledger)[-1:])
            case _:
                ledger.close()
                ledger = Ledger(directory)
        balance = ledger.balance(lane)
        assert balance.holds
        assert (balance.read, ledger.lane(lane).cursor) == (cursor, cursor)
    ledger.close()


def test_a_settlement_that_fails_leaves_nothing_behind(ledger):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    twice = [(item(lane, 0), FATES["waiting"]), (item(lane, 0), FATES["waiting"])]
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.settle(Settlement("d1", [(item(lane, 1), FATES["dead"]), *twice], Move(lane, 0, 3, 3)), 1.0)
    assert (ledger.lane(lane).cursor, ledger.balance(lane).read, ledger.balance(lane).dead) == (0, 0, 0)


def test_two_readers_cannot_move_one_cursor(ledger):
    lane = ledger.live_lane("d1", "s1", 5, 0.0).id
    settle(ledger, lane, 5, ["done"])
    with pytest.raises(AssertionError):
        settle(ledger, lane, 5, ["done"])


def test_a_finished_event_leaves_no_row(ledger, tmp_path):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    settle(ledger, lane, 0, ["done", "filtered"] * 50)
    with sqlite3.connect(f"file:{tmp_path}/delivery.sqlite?mode=ro", uri=True) as beside:
        rows = [beside.execute(f"select count(*) from {table}").fetchone()[0] for table in ("waiting", "dead")]
    assert rows == [0, 0]


def test_the_longest_due_event_comes_first_and_none_before_its_time(ledger):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    due = [30.0, 10.0, 20.0, 40.0]
    fates = [(item(lane, seq), Waiting(at, 1, 0.0, "x")) for seq, at in enumerate(due)]
    ledger.settle(Settlement("d1", fates, Move(lane, 0, 4, 4)), 1.0)
    assert [one.event.seq for one in ledger.due("d1", 30.0, 10)] == [1, 2, 0]
    assert ledger.next_due_at("d1") == 10.0
    assert ledger.due("d2", 99.0, 10) == []


def test_resuming_gives_what_waits_a_whole_retry_time(ledger):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    fates = [(item(lane, 0), Waiting(900.0, 3, 100.0, "HTTP 401", 401))]
    ledger.settle(Settlement("d1", fates, Move(lane, 0, 1, 1), "HTTP 401", "r1"), 100.0)
    assert (ledger.pause("d1").reason, ledger.pause("d1").revision) == ("HTTP 401", "r1")
    ledger.resume("d1", 5000.0)
    (waiting,) = ledger.due("d1", 5000.0, 9)
    assert (ledger.pause("d1"), waiting.attempts, waiting.first_at) == (None, 3, 5000.0)


def test_another_process_may_read_beside_the_writer(ledger, tmp_path):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    settle(ledger, lane, 0, ["dead"])
    beside = Ledger(tmp_path, read_only=True)
    assert beside.balance(lane).dead == 1
    assert dead_letters.one(beside, 1).body["messageId"] == "m0"
    beside.close()


def test_what_a_clock_that_ran_ahead_put_years_off_is_due_now(ledger):
    lane = ledger.live_lane("d1", "s1", 0, 0.0).id
    far = Waiting(10.0 + 14 * 365 * 86_400, 1, 10.0, "HTTP 500", 500)
    soon = Waiting(10.0 + 3_600, 1, 10.0, "HTTP 500", 500)
    ledger.settle(Settlement("d1", [(item(lane, 0), far), (item(lane, 1), soon)], Move(lane, 0, 2, 2)), 10.0)
    assert [each.event.seq for each in ledger.due("d1", 10.0, 10)] == [0]


def test_sequences_that_are_used_twice_after_an_older_copy_keep_their_events_apart(ledger):
    lane = ledger.live_lane("d1", "s1", 0, 0.0)
    settle(ledger, lane.id, 0, ["waiting", "dead", "done"])
    again = backlog.begin_again(ledger, ledger.lane(lane.id), 1, 20.0)
    settle(ledger, again.id, 1, ["waiting", "waiting"])
    assert (again.cursor, again.id != lane.id, ledger.live_lanes("d1")[0].cursor) == (1, True, 3)
    assert sorted((each.lane, each.event.seq) for each in ledger.due("d1", 30.0, 10)) == [
        (lane.id, 0),
        (again.id, 1),
        (again.id, 2),
    ]
    assert ledger.balance(lane.id).holds
    assert ledger.balance(again.id).holds
    assert ledger.connections() == {"d1"}
