"""Live events and counts, taken from a log."""

import asyncio
import json
import urllib.request
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from headwater.control.live import Live
from headwater.control.volume import OTHER, Volume, masked_address
from headwater.errors import CorruptLogError
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Record

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def log():
    return MemoryLog()


async def append(log, source_id, *events, at=NOW, topic=Topic.EVENTS):
    records = [Record(str(event.get("messageId", "")), msgspec.json.encode(event)) for event in events]
    return await log.append(topic, source_id, at, records)


def track(number, name="Email Opened", **more):
    return {"type": "track", "event": name, "messageId": f"m{number}", "userId": f"u{number}", **more}


def opened(log, tmp_path, clock=lambda: NOW):
    return Volume(log, tmp_path / "volume.db", clock)


async def test_events_are_counted_by_source_name_and_hour(log, tmp_path):
    await append(log, "s1", track(1), track(2), {"type": "identify", "messageId": "i1"}, at=NOW - HOUR)
    await append(log, "s1", track(1), track(3, "Order"), at=NOW)
    await append(log, "s2", track(1), at=NOW)
    await append(log, "s1", {"code": "invalid_event", "message": "m"}, topic=Topic.REJECTED)
    volume = opened(log, tmp_path)
    volume.catch_up(log.end(Topic.EVENTS))
    summary = volume.summary("s1", NOW - 24 * HOUR)
    assert (summary.accepted, summary.duplicates, summary.rejected) == (4, 1, {"invalid_event": 1})
    assert list(summary.events.items()) == [("Email Opened", 2), ("Order", 1), ("identify", 1)]
    assert volume.summary("s1", NOW).accepted == 1
    assert [(each.start.hour, each.accepted, each.rejected) for each in volume.hourly("s1", 3)] == [
        (10, 0, 0),
        (11, 3, 0),
        (12, 1, 1),
    ]
    assert volume.rejections(NOW) == {("s1", "invalid_event"): 1}
    collection = volume.collections("s1")[0]
    assert (collection.name, collection.count, collection.last_seen) == ("Email Opened", 2, NOW - HOUR)
    volume.close()


async def test_refusals_that_share_a_line_are_counted_one_by_one(log, tmp_path):
    await append(log, "s1", {"code": "invalid_event", "message": "m", "count": 12}, topic=Topic.REJECTED)
    volume = opened(log, tmp_path)
    volume._step()
    assert volume.rejections(NOW) == {("s1", "invalid_event"): 12}
    volume.close()


async def test_events_after_the_log_was_restored_from_an_older_copy_are_counted(log, tmp_path):
    for number in range(9):
        await append(log, "s1", track(number))
    volume = opened(log, tmp_path)
    volume.catch_up(9)
    volume.close()
    older = MemoryLog()
    for number in range(3):
        await append(older, "s1", track(number))
    volume = opened(older, tmp_path)
    volume.catch_up(3)
    await append(older, "s1", track(10))
    volume.catch_up(4)
    assert volume.summary("s1", NOW).accepted == 10
    volume.close()


async def test_counting_goes_on_after_the_log_could_not_be_read(log, tmp_path, monkeypatch):
    monkeypatch.setattr("headwater.control.volume._FAILED_S", 0.01)
    await append(log, "s1", track(1))
    refusals = iter([CorruptLogError("the disk failed"), CorruptLogError("the disk failed")])

    class Failing:
        def __getattr__(self, name):
            return getattr(log, name)

        def read(self, *arguments, **named):
            if (error := next(refusals, None)) is not None:
                raise error
            return log.read(*arguments, **named)

    volume = Volume(Failing(), tmp_path / "volume.db", lambda: NOW)
    running = asyncio.create_task(volume.run())
    async with asyncio.timeout(30):
        while not volume.summary("s1", NOW).accepted:  # noqa: ASYNC110 - a condition in a file has no event
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    volume.close()


async def test_a_restart_counts_each_event_once(log, tmp_path):
    for number in range(3):
        await append(log, "s1", track(number))
        volume = opened(log, tmp_path)
        volume.catch_up(log.end(Topic.EVENTS))
        assert volume.summary("s1", NOW).accepted == number + 1
        volume.close()


async def test_two_threads_that_catch_up_at_once_count_each_event_once(log, tmp_path):
    for number in range(200):
        await append(log, "s1", track(number))
    volume = opened(log, tmp_path)
    await asyncio.gather(*(asyncio.to_thread(volume.catch_up, log.end(Topic.EVENTS)) for _ in range(8)))
    assert volume.summary("s1", NOW).accepted == 200
    volume.close()


async def test_what_arrives_while_it_runs_is_counted(log, tmp_path):
    volume = opened(log, tmp_path)
    task = asyncio.create_task(volume.run())
    await append(log, "s1", track(1))
    while volume.summary("s1", NOW).accepted != 1:  # noqa: ASYNC110 - a condition in a file has no event
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    volume.close()


async def test_the_last_event_names_nobody_by_address(log, tmp_path):
    await append(log, "s1", track(1), track(2, "Order", userId=None, anonymousId="jane@example.com"))
    volume = opened(log, tmp_path)
    volume.catch_up(log.end(Topic.EVENTS))
    last = volume.last_event("s1")
    assert (last.seq, last.name, last.who, last.received_at) == (1, "Order", "j…@example.com", NOW)
    assert volume.last_event("s2") is None
    assert b"jane@" not in b"".join(path.read_bytes() for path in tmp_path.glob("volume.db*"))
    volume.close()


@pytest.mark.parametrize(
    ("text", "shown"), [("jane@example.com", "j…@example.com"), ("u1", "u1"), ("@x", "@x"), ("", ""), ("a@b@c", "a…@c")]
)
def test_addresses_are_masked(text, shown):
    assert masked_address(text) == shown


async def test_a_flood_of_names_is_counted_together_and_odd_events_stop_nothing(log, tmp_path):
    await append(log, "s1", *[track(number, f"Name {number}") for number in range(4_100)])
    odd = [{"type": "track", "event": 7}, {"type": None}, {"event": {}}, {"type": "page", "name": "x"}, {}]
    await append(log, "s2", *[{**event, "messageId": str(number)} for number, event in enumerate(odd)])
    volume = opened(log, tmp_path)
    volume.catch_up(log.end(Topic.EVENTS))
    summary = volume.summary("s1", NOW)
    assert (summary.accepted, summary.events[OTHER], len(summary.events)) == (4_100, 100, 4_001)
    assert volume.summary("s2", NOW).events == {"": 3, "page": 1, "track": 1}
    volume.close()


async def test_recent_events_come_newest_first_page_by_page(log):
    for number in range(60):
        await append(log, f"s{number % 2}", track(number, "Even" if number % 4 == 0 else "Odd"))
    live = Live(log)
    page = live.recent("s0", 10)
    assert [each.seq for each in page] == list(range(58, 38, -2))
    assert [each.seq for each in live.recent("s0", 3, before=page[-1].seq)] == [38, 36, 34]
    assert [each.seq for each in live.recent(None, 3, event="Even")] == [56, 52, 48]
    assert live.recent("nobody", 10) == []
    assert len(live.recent(None, 500)) == 60


async def test_a_stream_goes_on_behind_what_was_seen_and_filters(log):
    await append(log, "s1", track(0), track(1, "Order"), track(2))
    stream = Live(log).stream("s1", after_seq=0)
    first = await anext(stream)
    assert ([each.seq for each in first.events], first.next_seq, first.skipped) == ([1, 2], 3, 0)
    await append(log, "s2", track(3))
    await append(log, "s1", track(4))
    assert [each.seq for each in (await anext(stream)).events] == [4]
    orders = Live(log).stream(None, after_seq=-1, event="Order")
    assert [each.seq for each in (await anext(orders)).events] == [1]


async def test_a_stream_that_cannot_keep_up_says_how_many_it_passed_over(log):
    for start in range(0, 30_000, 3_000):
        await append(log, "s1", *[track(number) for number in range(start, start + 3_000)])
    found = await anext(Live(log).stream(None, after_seq=-1))
    assert len(found.events) == 200
    assert found.skipped + len(found.events) == found.next_seq
    assert found.events[-1].seq == found.next_seq - 1


def test_the_api_streams_what_arrives(running):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    asyncio.run(running.append(source.id, track(1), track(2, "Order")))
    path = f"{running.url}/sources/site/events/stream?after=0"
    request = urllib.request.Request(path, headers={"authorization": f"Bearer {running.tokens['read-only']}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [answer.readline() for _ in range(4)]
    assert lines[0] == b": connected\n"
    assert lines[2] == b"id: 1\n"
    shown = json.loads(lines[3].removeprefix(b"data: "))
    assert (shown["seq"], shown["sourceId"], shown["name"], shown["event"]) == (
        1,
        source.id,
        "Order",
        track(2, "Order"),
    )
    assert running.refused("GET", "/sources/site/events/stream?after=x")[0] == 422


def test_the_api_shows_events_volume_and_rejections(running):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    asyncio.run(running.append(source.id, track(1), track(2)))
    refused = {"code": "invalid_event", "message": "type is missing", "receivedAt": "2026-01-01T00:00:00.000Z"}
    asyncio.run(running.append(source.id, refused, topic=Topic.REJECTED))
    asyncio.run(running.append("", {**refused, "code": "unknown_write_key"}, topic=Topic.REJECTED))
    running.volume.catch_up(2)
    events = running.api("GET", "/sources/site/events?count=1")
    assert ([each["seq"] for each in events["events"]], events["next"]) == ([1], 1)
    volume = running.api("GET", "/sources/site/volume?hours=2")
    assert (volume["accepted"], volume["rejected"], volume["lastEvent"]["who"]) == (2, 1, "u2")
    assert [each["accepted"] for each in volume["hourly"]] == [0, 2]
    assert running.api("GET", "/sources/site/collections")["collections"][0]["name"] == "Email Opened"
    found = running.api("GET", "/rejections")
    assert [(each["sourceId"], each["code"]) for each in found["rejections"]] == [
        (None, "unknown_write_key"),
        (source.id, "invalid_event"),
    ]
    assert {each["code"]: each["count"] for each in found["totals"]} == {"invalid_event": 1, "unknown_write_key": 1}
    assert len(running.api("GET", "/rejections?sourceId=site")["rejections"]) == 1
    for wrong in ("count=0", "count=501", "before=-1", "before=x"):
        assert running.refused("GET", f"/sources/site/events?{wrong}")[0] == 422
