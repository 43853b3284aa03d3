from datetime import UTC, datetime, timedelta

import pytest

from headwater.app import hourly
from headwater.app.retention import expire
from headwater.clock import SteadyClock
from headwater.config import Settings
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "jump", [timedelta(days=1), timedelta(days=-1), timedelta(days=5_000), timedelta(days=-20_000)]
)
def test_nothing_expires_once_the_clock_was_set(jump):
    wall, steady = [START], [0.0]
    clock = SteadyClock(lambda: wall[0], lambda: steady[0])
    wall[0], steady[0] = START + timedelta(hours=30), 30 * 3600.0
    assert clock.moment() == wall[0]
    wall[0] += jump
    assert clock.moment() is None


async def test_old_segments_and_old_ids_expire_and_young_ones_stay(tmp_path):
    moment = [START]
    log = SegmentLog.open(tmp_path, segment_bytes=2_000, disk_free_bytes_min=0, clock=lambda: moment[0])
    for day in range(40):
        moment[0] = START + timedelta(days=day)
        await log.append(Topic.EVENTS, "s", moment[0], [Record(f"m{day}", b'{"x":"%s"}' % (b"y" * 500))])
    expire(log, Settings(retention_days=20, dedupe_days=10), moment[0], 20)
    start = log.start(Topic.EVENTS)
    assert 0 < start <= 20
    young = await log.append(Topic.EVENTS, "s", moment[0], [Record("m38", b"{}")])
    assert young.duplicates == (0,)
    await log.close()


async def test_nothing_goes_in_an_hour_in_which_the_clock_was_set(monkeypatch):
    told = iter([START, None, START + timedelta(hours=2)])
    monkeypatch.setattr(hourly, "EVERY_S", 0.0)
    monkeypatch.setattr(SteadyClock, "moment", lambda _: next(told))
    found = hourly.moments()
    assert [await anext(found), await anext(found)] == [START, START + timedelta(hours=2)]
    await found.aclose()
