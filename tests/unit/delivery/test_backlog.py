"""What was jumped over: every event is in one lane, counters add up, and nothing is left behind by an outage."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from headwater.delivery import backlog
from headwater.delivery.fate import Dead, Done, Filtered, Item, Waiting
from headwater.delivery.ledger import FILE, Ledger
from headwater.delivery.settlement import Lane, Move, Settlement
from headwater.delivery.stretch import Stretch
from headwater.delivery.tail import Tail
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Event, Record

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    one = Ledger(tmp_path)
    yield one
    one.close()


def item(lane: int, seq: int) -> Item:
    return Item(lane, Event(seq, "s1", b"{}", {"messageId": f"m{seq}", "type": "track", "userId": f"u{seq % 2}"}))


def settle(ledger: Ledger, lane: Lane, fates: list) -> None:
    cursor = ledger.lane(lane.id).cursor
    items = [(item(lane.id, cursor + place), fate) for place, fate in enumerate(fates)]
    ledger.settle(Settlement("d1", items, Move(lane.id, cursor, cursor + len(fates), len(fates))), 1.0)


DONE, WAITS, DIES = Done(first_try=True, latency_s=0.1), Waiting(5.0, 1, 0.0, "x"), Dead(1, 0.0, "no", 400, "", "")


def test_a_split_lets_new_events_go_on_and_keeps_what_lies_between(ledger):
    live = ledger.live_lane("d1", "s1", 5, 0.0)
    again = backlog.split(ledger, live.id, 5, 90, 1.0)
    (behind,) = ledger.backlogs("d1")
    assert (again.id, again.cursor, behind.cursor, behind.until, behind.source) == (live.id, 90, 5, 90, "s1")
    assert backlog.left(ledger, "d1") == 85
    assert ledger.replays("d1") == []


def test_a_split_from_another_place_than_the_stored_one_changes_nothing(ledger):
    live = ledger.live_lane("d1", "s1", 5, 0.0)
    with pytest.raises(AssertionError):
        backlog.split(ledger, live.id, 4, 90, 1.0)
    assert (ledger.backlogs("d1"), ledger.lane(live.id).cursor) == ([], 5)


def test_the_number_of_outages_that_are_caught_up_is_bounded(ledger):
    live = ledger.live_lane("d1", "s1", 0, 0.0)
    for number in range(backlog.BACKLOGS_MAX):
        assert backlog.split(ledger, live.id, number, number + 1, 1.0) is not None
    assert backlog.split(ledger, live.id, backlog.BACKLOGS_MAX, 99, 1.0) is None
    assert [lane.first for lane in ledger.backlogs("d1")] == list(range(backlog.BACKLOGS_MAX))


def test_a_finished_backlog_is_added_to_the_live_lane_with_everything_it_stands_for(ledger):
    live = ledger.live_lane("d1", "s1", 0, 0.0)
    live = backlog.split(ledger, live.id, 0, 5, 1.0)
    (behind,) = ledger.backlogs("d1")
    settle(ledger, live, [DONE, WAITS, Filtered("A")])
    settle(ledger, behind, [DONE, WAITS, DIES, Filtered("A"), Filtered("B")])
    before = backlog.balance(ledger, "d1")
    backlog.fold(ledger, "d1")
    assert len(ledger.backlogs("d1")) == 1  # it is not finished
    ledger.finish(behind.id, 2.0)
    backlog.fold(ledger, "d1")
    after = ledger.balance(live.id)
    assert (before, before.holds) == (after, True)
    assert (after.read, after.filtered, after.waiting, after.dead) == (8, {"A": 2, "B": 1}, 2, 1)
    assert ledger.rows("select count(*) from lane") == [(1,)]
    assert backlog.balance(ledger, "d1") == after


def test_in_an_older_copy_of_the_log_what_it_still_has_is_caught_up(ledger):
    live = ledger.live_lane("d1", "s1", 0, 0.0)
    live = backlog.split(ledger, live.id, 0, 10, 1.0)
    live = backlog.split(ledger, live.id, 10, 100, 1.0)
    settle(ledger, ledger.backlogs("d1")[0], [WAITS] * 4)
    again = backlog.begin_again(ledger, live, 50, 2.0)
    assert [(lane.cursor, lane.until) for lane in ledger.backlogs("d1")] == [(4, 10), (10, 50)]
    assert (again.cursor, again.id != live.id) == (50, True)
    assert all(ledger.balance(lane).holds for (lane,) in ledger.rows("select id from lane"))


async def log_of(count: int, age: timedelta, others: int = 0) -> MemoryLog:
    log = MemoryLog()
    at = NOW - age
    for number in range(count):
        line = b'{"type":"track","receivedAt":"%s"}' % at.isoformat().encode()
        await log.append(Topic.EVENTS, "s1", at, [Record(f"m{number}", line)])
        for other in range(others):
            await log.append(Topic.EVENTS, "s2", at, [Record(f"o{number}.{other}", line)])
    return log


@pytest.mark.parametrize(
    ("count", "age_s", "others", "is_backlog"),
    [
        (400, 60, 0, True), (400, 5, 0, False), (100, 60, 0, False), (100, 3600, 5, False), (2_000, 60, 2, True),
        (0, 0, 0, False),
    ],
)  # fmt: skip
async def test_a_backlog_is_old_and_large_and_the_sources_own(count, age_s, others, is_backlog):
    log = await log_of(count, timedelta(seconds=age_s), others)
    stretch = Stretch(Tail(log), Lane(1, "d1", "s1", 0, 0))
    end = stretch.end_of_backlog((NOW - timedelta(seconds=20)).timestamp(), 300)
    assert end == (log.end(Topic.EVENTS) if is_backlog else None)
    piece = stretch.take(10, lambda event: event)  # asking takes nothing away
    assert piece is None or piece.wanted[0].event.seq == 0


def test_a_file_of_an_earlier_version_is_brought_to_the_present_one(tmp_path):
    with sqlite3.connect(tmp_path / FILE) as old:
        old.executescript("""
            create table connection (id text primary key, paused_reason text, paused_at real, paused_revision text,
              last_error text, last_error_at real, last_delivered_at real) without rowid;
            create table lane (id integer primary key, connection text not null, source text not null,
              kind text not null check (kind in ('live', 'replay')), first integer not null, cursor integer not null,
              until integer, selection text, started_at real not null, finished_at real,
              read integer not null default 0, delivered_first integer not null default 0,
              delivered_retry integer not null default 0,
              dropped integer not null default 0, missed integer not null default 0);
            create unique index lane_live on lane (connection) where kind = 'live';
            create table waiting (id integer primary key, connection text not null,
              lane integer not null references lane (id), seq integer not null, source text not null,
              line blob not null, attempts integer not null, first_at real, due_at real not null,
              reason text not null, status integer,
              unique (lane, seq));
            insert into connection (id) values ('d1');
            insert into lane (connection, source, kind, first, cursor, started_at, read, delivered_first)
              values ('d1', 's1', 'live', 3, 9, 1.0, 2, 1);
            insert into waiting (connection, lane, seq, source, line, attempts, first_at, due_at, reason)
              values ('d1', 1, 4, 's1', x'7b7d', 1, 1.0, 2.0, 'x');
        """)
    for _ in range(2):
        ledger = Ledger(tmp_path)
        (live,) = ledger.live_lanes("d1")
        assert (live.cursor, ledger.balance(live.id).holds, len(ledger.due("d1", 9.0, 9))) == (9, True, 1)
        assert ledger.rows("pragma foreign_key_check") == []
        ledger.close()
    ledger = Ledger(tmp_path)
    assert backlog.split(ledger, live.id, 9, 20, 1.0).cursor == 20
    assert ledger.overtaken("d1") == 0
    ledger.close()
