"""What connections read of the log is read and decoded once, and never outlives the log that it came from."""

import json
from datetime import UTC, datetime

from headwater.delivery import tail as tails
from headwater.delivery.settlement import Lane
from headwater.delivery.stretch import Stretch
from headwater.delivery.tail import Tail
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Event, Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Counting(MemoryLog):
    """A log that counts how often it is read."""

    reads = 0

    def read(self, *arguments, **named):
        self.reads += 1
        return super().read(*arguments, **named)


async def grown(log: MemoryLog, *names: str, source: str = "a", padding: int = 0) -> None:
    for name in names:
        line = json.dumps({"type": "track", "event": name, "padding": "x" * padding}).encode()
        await log.append(Topic.EVENTS, source, NOON, [Record("", line)])


def wanted(event: Event) -> Event:
    return event


def taken(stretch: Stretch, count: int = 10) -> list[Event]:
    piece = stretch.take(count, wanted)
    return [item.event for item in piece.wanted] if piece else []


async def test_connections_that_follow_the_log_share_its_events():
    log = Counting()
    tail, follow = Tail(log), [Lane(1, "d1", "a", 0, 0), Lane(2, "d2", "a", 0, 0)]
    first, second = (Stretch(tail, lane) for lane in follow)
    for name in ("one", "two"):
        await grown(log, name)
        ours = taken(first)
        reads = log.reads
        assert second.is_at_hand
        theirs = taken(second)
        assert [event.body["event"] for event in theirs] == [name]
        assert ours[0].body is theirs[0].body
        assert log.reads == reads


async def test_who_comes_later_gets_the_whole_log_all_the_same():
    log = MemoryLog()
    tail = Tail(log)
    early, late = (Stretch(tail, Lane(number, "d", "a", 0, 0)) for number in (1, 2))
    await grown(log, "one")
    assert [event.seq for event in taken(early)] == [0]
    await grown(log, "two", "three")
    assert [event.seq for event in taken(late)] == [0, 1, 2]


async def test_nothing_is_at_hand_that_was_not_read_or_is_of_another_source():
    log = MemoryLog()
    tail = Tail(log)
    stretch = Stretch(tail, Lane(1, "d1", "a", 0, 0))
    await grown(log, "theirs", source="b")
    assert not stretch.is_at_hand
    tail.read(0)
    assert not stretch.is_at_hand


async def test_an_older_copy_of_the_log_is_read_anew():
    log = MemoryLog()
    await grown(log, "kept", "lost")
    tail = Tail(log)
    assert [event.body["event"] for event in tail.read(1).frames[0].events] == ["lost"]
    copy = MemoryLog()
    await grown(copy, "kept")
    tail._reader = copy
    assert tail.at_hand(1) is None
    await grown(copy, "other")
    assert [event.body["event"] for event in tail.read(1).frames[0].events] == ["other"]


async def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(tails, "_KEPT_BYTES", 2_000)
    log = MemoryLog()
    tail = Tail(log)
    for number in range(6):
        await grown(log, f"e{number}", padding=600)
        tail.read(number)
    assert [number for number in range(6) if tail.at_hand(number)] == [3, 4, 5]
