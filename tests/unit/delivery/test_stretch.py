"""Reading the log for one connection: nothing is skipped, nothing read twice, and what is gone is counted."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from headwater.delivery.selection import Selection, cursor_at
from headwater.delivery.settlement import Lane
from headwater.delivery.stretch import Stretch
from headwater.delivery.tail import Tail
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Batch, Event, Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def filled(*sources: str, size: int = 1, gap: timedelta = timedelta(seconds=1)) -> MemoryLog:
    log = MemoryLog()
    for number, source in enumerate(sources):
        at = NOON + number * gap
        records = [
            Record(
                f"{number}.{place}", json.dumps({"type": "track", "n": number, "receivedAt": at.isoformat()}).encode()
            )
            for place in range(size)
        ]
        await log.append(Topic.EVENTS, source, at, records)
    return log


def lane(cursor: int = 0, until: int | None = None) -> Lane:
    return Lane(1, "d1", "a", cursor, cursor, until)


def wanted(event: Event) -> Event:
    return event


def test_an_empty_log_gives_nothing():
    assert Stretch(Tail(MemoryLog()), lane()).take(10, wanted) is None


async def test_pieces_follow_each_other_without_gap_or_overlap():
    log = await filled(*"aababbba", size=3)
    stretch, cursor, seen = Stretch(Tail(log), lane()), 0, []
    while (piece := stretch.take(2, wanted)) is not None:
        assert piece.move.cursor == cursor
        assert piece.move.read == len(piece.wanted)
        cursor = piece.move.next_cursor
        seen += [item.event.seq for item in piece.wanted]
    assert seen == [0, 1, 2, 3, 4, 5, 9, 10, 11, 21, 22, 23]
    assert (cursor, stretch.cursor) == (24, 24)


async def test_filtered_events_do_not_fill_a_piece():
    log = await filled(*"aaaaaa")
    piece = Stretch(Tail(log), lane()).take(1, lambda event: event if event.seq == 4 else "WHY")
    assert [item.event.seq for item in piece.wanted] == [4]
    assert ([item.event.seq for item, _ in piece.filtered], piece.move.next_cursor) == ([0, 1, 2, 3], 5)


async def test_other_sources_cost_no_commit():
    log = await filled(*"bbbb")
    stretch = Stretch(Tail(log), lane())
    assert (stretch.take(10, wanted), stretch.cursor) == (None, 4)


async def test_a_replay_ends_before_its_end():
    log = await filled(*"aabba")
    stretch = Stretch(Tail(log), lane(1, 3))
    piece = stretch.take(10, wanted)
    assert ([item.event.seq for item in piece.wanted], piece.move.next_cursor >= 3) == ([1], True)
    assert (stretch.is_finished, stretch.take(10, wanted)) == (True, None)


async def test_what_was_damaged_or_expired_before_it_was_read_is_counted():
    log = await filled(*"aaaaa")

    class Holed(MemoryLog):
        def read(self, topic, cursor, **bounds):
            whole = log.read(topic, max(cursor, 2), **bounds)
            return Batch(cursor, whole.next_cursor, tuple(frame for frame in whole.frames if frame.first_seq != 3))

    piece = Stretch(Tail(Holed()), lane()).take(10, wanted)
    assert (piece.move.read, piece.move.missed, piece.move.next_cursor) == (2, 3, 5)


@pytest.mark.parametrize("seconds", [-5, 0, 3, 3.5, 9, 50])
async def test_a_time_is_found_by_bisection(seconds):
    log = await filled(*"ababababab", size=2)
    instant = NOON + timedelta(seconds=seconds)
    expected = sum(2 for number in range(10) if NOON + timedelta(seconds=number) < instant)
    assert cursor_at(log, instant) == expected


async def test_a_selection_survives_the_ledger_and_bounds_what_is_read():
    log = await filled(*"a" * 200, gap=timedelta(seconds=10))
    chosen = Selection(NOON + timedelta(seconds=500), NOON + timedelta(seconds=600), "A", "u1")
    assert Selection.from_json(chosen.to_json()) == chosen
    assert chosen.bounds(log) == (50, 200)  # up to the end: what was mapped late lies there
    assert Selection().bounds(log) == (0, 200)


def test_a_selection_looks_at_time_event_and_user():
    body = {"type": "track", "event": "A", "userId": "u1", "receivedAt": "2026-05-04T12:00:00.000Z"}
    one = Event(0, "a", b"", body)
    assert Selection(NOON, NOON + timedelta(seconds=1), "A", "u1").has(one)
    for other in (
        Selection(until=NOON),
        Selection(NOON + timedelta(seconds=1)),
        Selection(event="B"),
        Selection(user_id="u"),
    ):
        assert not other.has(one)
