"""What was erased before somebody read it: sent nowhere, loaded nowhere, shown nowhere, and counted everywhere."""

import asyncio
from datetime import UTC, datetime

import duckdb
import msgspec
import pytest

from headwater.app import doctor
from headwater.app.identify_feed import IdentifyFeed
from headwater.config import Settings
from headwater.control.live import Live
from headwater.control.volume import Volume
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.delivery.selection import Selection
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.segments import SegmentLog
from headwater.loading.engine import Loading, Target
from headwater.spec.event import Record
from receiver import LOOPBACK, QUICK, conserved, receiving, settled, until, webhook
from rooms import outside

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"
COUNT = 40
GONE = frozenset({0, 5, 6, 7, 22, 39})
KEPT = [f"m{number}" for number in range(COUNT) if number not in GONE]


def record(number):
    call = {"type": "identify", "traits": {"n": number}} if number % 2 else {"type": "track", "event": "Opened"}
    return Record(
        f"m{number}",
        msgspec.json.encode(
            {**call, "messageId": f"m{number}", "userId": f"u{number}", "receivedAt": AT, "timestamp": AT}
        ),
    )


@pytest.fixture
async def erased(tmp_path):
    """Yield settings and a log of 40 events in frames of eight, six of them erased before anybody has read them."""
    settings = Settings(data_dir=tmp_path)
    settings.state_dir.mkdir(parents=True)
    log = SegmentLog.open(settings.log_dir, segment_bytes=3_000, disk_free_bytes_min=0, disk_reserved_bytes=0)
    for first in range(0, COUNT, 8):
        await log.append(Topic.EVENTS, "s1", NOW, [record(number) for number in range(first, first + 8)])
    assert (await log.erase(Topic.EVENTS, GONE)).records == len(GONE)
    yield settings, log
    await log.close()


async def test_no_destination_gets_it_nor_does_a_replay(erased):
    settings, log = erased
    http = GuardedHttp(LOOPBACK)
    async with receiving() as receiver:
        delivery = Delivery(log, settings.state_dir, outside(http, settings.data_dir), rules=QUICK)
        delivery.apply([webhook(receiver, first_seq=0)])
        task = asyncio.create_task(delivery.run())
        await settled(delivery, delivered_first_try=len(KEPT), read=COUNT)
        (status,) = await delivery.status()
        assert status.filtered == {"ERASED": len(GONE)}
        replay = await delivery.replay("d1", Selection())

        async def is_finished():
            return next(each for each in await delivery.replays() if each.id == replay.id).finished_at is not None

        await until(is_finished)
        conserved((await delivery.status())[0])
        await delivery.stop()
        await task
        assert sorted(receiver.ids()) == sorted(2 * KEPT)
    await http.close()
    (finding,) = doctor._conservation(settings)
    assert (finding.found, finding.is_well) == (f"{COUNT} events read, {COUNT} in the log up to there", True)


async def test_no_warehouse_has_it_nor_after_a_reload(erased, tmp_path):
    settings, log = erased
    engine = Loading(log, settings.data_dir, clock=lambda: NOW)
    engine.apply([Target("w1", "embedded", {"directory": str(tmp_path / "w1")}, {"s1": "site"})])
    (run,) = await engine.sync("w1", COUNT)
    assert (run.events, run.suppressed, run.filtered, run.missed) == (len(KEPT), len(GONE), 0, 0)
    await engine.orders.reload("w1")
    task = asyncio.create_task(engine.run())

    async def is_loaded():
        return engine.status()[0].reloads == 0

    await until(is_loaded)
    await engine.stop()
    await task
    with duckdb.connect(str(tmp_path / "w1" / "views.duckdb"), read_only=True) as connection:
        found = connection.execute("select id from site.tracks union all select id from site.identifies").fetchall()
    assert sorted(id_ for (id_,) in found) == sorted(KEPT)
    (finding,) = doctor._loaded(settings)
    told = f"{COUNT} events passed, {COUNT} loaded, filtered, suppressed or missed"
    assert (finding.found, finding.is_well) == (told, True)


async def test_no_page_shows_it(erased, tmp_path):
    _, log = erased
    live = Live(log)
    assert [event.message_id for event in live.recent("s1", COUNT)] == KEPT[::-1]
    stream = live.stream("s1", after_seq=-1)
    shown = await anext(stream)
    assert [event.message_id for event in shown.events] == KEPT
    assert shown.next_seq == COUNT
    volume = Volume(log, tmp_path / "volume.sqlite")
    await asyncio.to_thread(volume.catch_up, COUNT)
    last = await asyncio.to_thread(volume.last_event, "s1")
    volume.close()
    assert last.seq == 38


async def test_nobody_learns_whose_address_it_was(erased, tmp_path):
    _, log = erased
    seen = []
    feed = IdentifyFeed(
        log, Cursors(tmp_path / "cursors"), lambda _: "w", lambda _, lines: seen.extend(lines), lambda: True
    )
    task = asyncio.create_task(feed.run())

    async def is_read():
        return len(seen) >= len([name for name in KEPT if int(name[1:]) % 2])

    await until(is_read)
    await feed.stop()
    await task
    assert [msgspec.json.decode(line)["messageId"] for line in seen] == [name for name in KEPT if int(name[1:]) % 2]
