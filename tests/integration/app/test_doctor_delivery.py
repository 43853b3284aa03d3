"""`headwater doctor` holds what was delivered against the log, also while nothing runs."""

import asyncio

import pytest

from headwater.app import doctor
from headwater.config import Settings
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.delivery.ledger import Ledger
from headwater.eventlog.segments import SegmentLog
from receiver import LOOPBACK, QUICK, append, body, receiving, settled, webhook
from rooms import outside


@pytest.fixture
async def installation(tmp_path):
    """Return the settings of a data directory where nine of ten events were delivered, and one is of nobody."""
    settings = Settings(data_dir=tmp_path)
    log, http = SegmentLog.open(settings.log_dir, disk_free_bytes_min=0), GuardedHttp(LOOPBACK)
    settings.state_dir.mkdir(parents=True)
    async with receiving() as receiver:
        delivery = Delivery(log, settings.state_dir, outside(http, tmp_path), rules=QUICK)
        delivery.apply([webhook(receiver, first_seq=0)])
        task = asyncio.create_task(delivery.run())
        await append(log, body("other"), source_id="s2")
        await append(log, *(body(f"m{n}") for n in range(9)))
        await settled(delivery, delivered_first_try=9)
        await delivery.stop()
        await task
    await http.close()
    await log.close()
    return settings


def found(settings):
    return [(each.name, each.found, each.is_well) for each in doctor._conservation(settings)]


async def test_what_was_read_is_what_the_log_has(installation):
    assert found(installation) == [("conservation d1", "9 events read, 9 in the log up to there", True)]


async def test_an_event_that_was_passed_over_is_found(installation):
    ledger = Ledger(installation.state_dir)
    ledger.db.execute("update lane set read = 8")
    ledger.close()
    assert found(installation) == [("conservation d1", "8 events read, 9 in the log up to there", False)]


async def test_before_anything_was_delivered_there_is_nothing_to_compare(tmp_path):
    assert found(Settings(data_dir=tmp_path)) == [("conservation", "nothing was delivered yet", True)]


async def test_a_ledger_that_is_none_is_told_with_the_next_step(installation):
    (installation.state_dir / "delivery.sqlite").write_bytes(b"this is no database" * 100)
    ((name, _, is_well),) = found(installation)
    assert (name, is_well) == ("conservation", False)


@pytest.mark.parametrize(
    ("warnings", "advice"),
    [
        ([], ""),
        ([{"code": "backlog", "message": "B"}], ""),
        ([{"code": "backlog", "message": "B"}, {"code": "paused", "message": "P"}], "P"),
    ],
)
def test_only_what_somebody_must_see_to_is_advice(warnings, advice):
    status = {"destinationId": "d1", "state": "active", "warnings": warnings, "backlog": 3, "read": 2, "pending": 3}
    status |= {"deliveredFirstTry": 1, "deliveredOnRetry": 0, "filtered": {"X": 1}}
    assert doctor._connection(status, {}).advice == advice
