"""Clients that send again, restarts between: each id once, whoever asks; and any history of crashes, by a model."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from eventlog_ledger import stored
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headwater.eventlog import dedupe
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.verify import verify
from headwater.spec.event import Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def record(name: str) -> Record:
    return Record(name, f'{{"messageId":"{name}"}}'.encode())


def opened(directory: Path) -> SegmentLog:
    return SegmentLog.open(directory, segment_bytes=100_000, disk_free_bytes_min=0, disk_reserved_bytes=0)


@pytest.mark.parametrize("run_keys", [dedupe.RUN_KEYS, 700], ids=["ids in memory", "ids in the index"])
async def test_64_clients_that_resend_10000_ids_five_times_store_10000(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_keys: int
) -> None:
    monkeypatch.setattr(dedupe, "RUN_KEYS", run_keys)
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    names = [f"id-{number}" for number in range(10_000)]
    stored_count = 0

    async def client(log: SegmentLog, mine: list[str]) -> None:
        nonlocal stored_count
        for first in range(0, len(mine), 25):
            some = [record(name) for name in mine[first : first + 25]]
            appended = await log.append(Topic.EVENTS, "s", NOON, some)
            assert appended.count + len(appended.duplicates) == len(some)
            stored_count += appended.count

    for _ in range(5):
        log = opened(tmp_path)
        orders = [chance.sample(names, len(names) // 8) for _ in range(56)] + [names[n::8] for n in range(8)]
        await asyncio.gather(*(client(log, order) for order in orders))
        await log.close()
    assert stored_count == 10_000
    assert Counter(stored(tmp_path)) == Counter(names)
    assert verify(tmp_path).damage == ()


def crash(log: SegmentLog) -> None:
    """Leave everything as kill -9 would: nothing is flushed or closed but what the system closes itself."""
    log._lock.release()


class CrashingLog(RuleBasedStateMachine):
    """Appends, reads, crashes and closes in any order against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.model: list[str] = []

    @initialize()
    def begin(self) -> None:
        self.log = SegmentLog.open(self.directory, segment_bytes=300, disk_free_bytes_min=0, disk_reserved_bytes=0)

    @rule(requests=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=8), min_size=1, max_size=4))
    def append(self, requests: list[list[int]]) -> None:
        async def together() -> None:
            await asyncio.gather(
                *(self.log.append(Topic.EVENTS, "s", NOON, [record(f"{n}") for n in some]) for some in requests)
            )

        self.loop.run_until_complete(together())
        for number in [number for some in requests for number in some]:
            if f"{number}" not in self.model:
                self.model.append(f"{number}")

    @rule()
    def crash_and_start(self) -> None:
        crash(self.log)
        self.begin()

    @rule(tail=st.binary(min_size=1, max_size=60))
    def crash_in_a_write_and_start(self, tail: bytes) -> None:
        crash(self.log)
        segments = sorted((self.directory / "events").glob("*.segment"))
        if segments:
            with segments[-1].open("ab") as file:
                file.write(tail)
        self.begin()

    @rule()
    def close_and_start(self) -> None:
        self.loop.run_until_complete(self.log.close())
        self.begin()

    @rule(cursor=st.integers(0, 70), records_max=st.integers(1, 20))
    def read(self, cursor: int, records_max: int) -> None:
        batch = self.log.read(Topic.EVENTS, cursor, records_max=records_max)
        found = [event.message_id for event in batch.events()]
        assert found == self.model[cursor : cursor + len(found)]
        assert bool(found) == (cursor < len(self.model))

    @invariant()
    def the_log_is_the_model(self) -> None:
        if hasattr(self, "log"):
            assert self.log.end(Topic.EVENTS) == len(self.model)
            assert self.log.damage == ()

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.loop.run_until_complete(self.log.close())
            assert stored(self.directory) == self.model
            assert verify(self.directory).damage == ()
        self.loop.close()
        shutil.rmtree(self.directory)


CrashingLog.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCrashingLog = CrashingLog.TestCase
