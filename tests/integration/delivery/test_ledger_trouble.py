"""A full disk, a damaged or older ledger, a clock that jumps: nothing is lost, and delivery goes on."""

import contextlib
import dataclasses
import json
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from headwater.delivery import worker
from headwater.delivery.ledger import FILE, Ledger
from headwater.errors import ConfigError
from receiver import QUICK, append, body, settled, until, webhook

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
OLDER = Path(__file__).with_name("ledger_before_lanes.sql")


async def test_while_the_disk_is_full_nothing_is_sent_twice(log, receiver, delivering, monkeypatch):
    monkeypatch.setattr(worker, "_FAILURE_WAIT_S", 0.02)

    async def refuse(_):
        return web.Response(status=400)

    receiver.answer = refuse
    async with delivering(webhook(receiver), rules=QUICK) as delivery:
        ledger = delivery._ledger
        with ledger.transaction():
            (pages,) = ledger.db.execute("pragma page_count").fetchone()
            ledger.db.execute(f"pragma max_page_count = {pages}")
        await append(log, *(body(f"m{n}", properties={"text": "x" * 8_000}) for n in range(8)))
        await until(lambda: _true(len(receiver.bodies) == 8))
        status = (await delivery.status())[0]
        assert (status.read, status.dead) == (0, 0)
        with ledger.transaction():
            ledger.db.execute("pragma max_page_count = 1000000")
        await settled(delivery, read=8, dead=8, behind=0)
    assert Counter(receiver.ids()) == Counter(f"m{n}" for n in range(8))


@pytest.mark.parametrize("damage", [b"not a database at all" * 300, b"SQLite format 3\x00" + b"\xff" * 8_000])
def test_a_damaged_ledger_is_refused_with_the_next_step(tmp_path, damage):
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(ConfigError, match=r"delivery\.sqlite .* put a backup in its place"):
        Ledger(tmp_path)
    assert (tmp_path / FILE).read_bytes() == damage


async def test_an_older_ledger_goes_on_with_what_waits_and_what_died(log, receiver, delivering, tmp_path):
    await append(log, *(body(f"m{n}") for n in range(6)))
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(OLDER.read_text())
        db.execute("insert into connection (id, last_error) values ('d1', 'HTTP 500')")
        db.execute(
            "insert into lane (id, connection, source, kind, first, cursor, started_at, read, delivered_first)"
            " values (1, 'd1', 's1', 'live', 0, 4, 1.0, 4, 2)"
        )
        db.execute(
            "insert into waiting (connection, lane, seq, source, line, attempts, first_at, due_at, reason, status)"
            " values ('d1', 1, 2, 's1', ?, 3, 1.0, 2.0, 'HTTP 500', 500)",
            (json.dumps(body("m2")).encode(),),
        )
        db.execute(
            "insert into dead (connection, lane, seq, source, message_id, type, event, line, attempts, first_at,"
            " died_at, reason, status, answer, request)"
            " values ('d1', 1, 3, 's1', 'm3', 'track', 'A', ?, 1, 1.0, 2.0, 'HTTP 400', 400, '', '')",
            (json.dumps(body("m3")).encode(),),
        )
        db.execute("insert into latency values ('d1', 1, 2, 3)")
        db.commit()
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, read=6, delivered_first_try=4, delivered_on_retry=1, dead=1, retrying=0)
        (letter,) = await delivery.dead_letters()
        assert await delivery.retry_dead_letters([letter.id]) == 1
        await settled(delivery, read=6, delivered_on_retry=2, dead=0, unaccounted=0)
    assert sorted(receiver.ids()) == ["m2", "m3", "m4", "m5"]


@pytest.mark.parametrize(
    "jumped", [NOW - timedelta(days=1), NOW + timedelta(days=1), datetime(1970, 1, 1, 0, 1, tzinfo=UTC)]
)
async def test_what_waits_goes_on_when_the_clock_jumps(log, receiver, delivering, monkeypatch, jumped):
    monkeypatch.setattr(worker, "_IDLE_S", 0.02)
    moment = [NOW]
    rules = dataclasses.replace(QUICK, retry_first_s=10_000.0, retry_max_s=10_000.0, chance=lambda: 1.0)
    receiver.answering(500)
    await append(log, body("m0", receivedAt=NOW.isoformat()))
    async with delivering(webhook(receiver), rules=rules, clock=lambda: moment[0]) as delivery:
        await settled(delivery, retrying=1)
        assert len(receiver.bodies) == 1
        moment[0] = jumped
        await settled(delivery, retrying=0, delivered_on_retry=1)


async def _true(value: bool) -> bool:  # noqa: FBT001 - for `until`
    return value
