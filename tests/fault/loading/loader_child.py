"""Loads a log into an embedded warehouse in small batches; kills itself at the n-th change of the disk, if asked to.

    python loader_child.py LOG STATE N [--keep]     N counts fsync, rename, mkdir, unlink and the like; 0: never.
                                                --keep: retired files stay, as they do for readers

Prints how many changes there were.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from headwater import clock
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading import loader
from headwater.loading.loader import Loader, Target
from headwater.spec.event import Record
from headwater.warehouses.embedded import compaction

EVENTS_PER_BATCH = 20
KEEP = "--keep"
SOURCES = {"s1": "site", "s2": "shop"}


def main() -> None:
    log, state, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    make_batches_small()
    if KEEP in sys.argv:
        compaction.GRACE = timedelta(hours=1)
    count = kill_self_at(kill_at)
    load(log, state)
    print(count[0])


def make_batches_small() -> None:
    """Everything happens often: a batch every few events, a merge every few batches, retired files go at once."""
    loader.EVENTS_MAX = EVENTS_PER_BATCH
    compaction.BATCHES_MAX = 3
    compaction.GRACE = timedelta(0)


def load(log: Path, state: Path) -> None:
    """Load until nothing is left."""
    target = Target("w", "embedded", {"directory": str(state / "warehouse")}, SOURCES)
    one = Loader(target, filled(log), state, clock.now)
    while one.step() is not None:
        one.tidy()
    one.close()


def filled(log: Path) -> OneFrameAtATime:
    """Return a log with the frames of a file: `[[source id, [event, ...]], ...]`."""
    made = OneFrameAtATime()
    frames = msgspec.json.decode(log.read_bytes())

    async def fill() -> None:
        for source_id, events in frames:
            records = [Record(event["messageId"], msgspec.json.encode(event)) for event in events]
            await made.append(Topic.EVENTS, source_id, datetime(2026, 11, 23, tzinfo=UTC), records)

    asyncio.run(fill())
    return made


class OneFrameAtATime(MemoryLog):
    """Reads little at once, so that there are many batches."""

    def read(self, topic, cursor, **_bounds):
        return super().read(topic, cursor, records_max=1)


def kill_self_at(kill_at: int) -> list[int]:
    """Count changes of the disk and die at the n-th, before it for odd n and after it for even ones."""
    count = [0]

    def counted(function):
        def call(*args, **kwargs):
            count[0] += 1
            mine = count[0] == kill_at
            if mine and kill_at % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*args, **kwargs)
            finally:
                if mine:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    return count


if __name__ == "__main__":
    main()
