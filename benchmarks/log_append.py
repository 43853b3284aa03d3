"""Durable appends a second, beside a bare write + fdatasync of the same bytes on the same disk in the same run.

    python benchmarks/log_append.py [--directory DIR] [--events N]

Prints one JSON object. `ratio` is ours to the bare file; `bookkeeping` is what the event loop alone could do (the ids
of batches of 100, no disk).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record

CLIENTS = 64
LINE = (
    '{"messageId":"%s","type":"track","event":"Email Opened","userId":"97980cfea0067","timestamp":'
    '"2026-05-04T12:00:00.000Z","receivedAt":"2026-05-04T12:00:00.000Z","sentAt":"2026-05-04T12:00:00.000Z",'
    '"originalTimestamp":"2026-05-04T12:00:00.000Z","properties":{"campaign_id":"41","campaign_name":"Spring sale",'
    '"list_id":"3","link_url":"https://shop.example/spring"},"context":{"library":{"name":"headwater"}}}'
)
CHANCE = random.Random(1)


def record() -> Record:
    """Return an event of a usual size with an id of its own."""
    name = str(uuid.UUID(int=CHANCE.getrandbits(128)))
    return Record(name, (LINE % name).encode())


def requests(size: int, count: int) -> list[list[Record]]:
    """Return `count` requests of `size` events each."""
    return [[record() for _ in range(size)] for _ in range(count)]


async def ours(directory: Path, prepared: list[list[Record]]) -> dict[str, float]:
    """Return events a second and waits when the clients append the requests."""
    log = SegmentLog.open(directory, disk_free_bytes_min=0)
    queue: Iterator[list[Record]] = iter(prepared)
    waits: list[float] = []

    async def client() -> None:
        for records in queue:
            began = time.perf_counter()
            await log.append(Topic.EVENTS, "src", datetime.now(UTC), records)
            waits.append(time.perf_counter() - began)

    began, cpu_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu_began
    await log.close()
    waits.sort()
    events = sum(map(len, prepared))
    return {
        "events_per_s": round(events / spent),
        "events_per_cpu_s": round(events / cpu_spent),  # all threads; what a busy machine does not blur
        "p50_ms": round(1e3 * waits[len(waits) // 2], 2),
        "p99_ms": round(1e3 * waits[len(waits) * 99 // 100], 2),
    }


def bare(path: Path, prepared: list[list[Record]]) -> float:
    """Return events a second when each round of all clients is one write and one fdatasync."""
    rounds = []
    for first in range(0, len(prepared), CLIENTS):
        lines = (line for records in prepared[first : first + CLIENTS] for _, line in records)
        rounds.append(b"\n".join([*lines, b""]))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    began = time.perf_counter()
    for block in rounds:
        os.write(descriptor, block)
        os.fdatasync(descriptor)
    spent = time.perf_counter() - began
    os.close(descriptor)
    return sum(map(len, prepared)) / spent


def bookkeeping(directory: Path, prepared: list[list[Record]]) -> float:
    """Return ids a CPU second of the dedupe alone."""

    async def measure() -> float:
        log = SegmentLog.open(directory, disk_free_bytes_min=0)
        began = time.process_time()
        for records in prepared:
            log._dedupe.admit("src", records)  # noqa: SLF001 - the part that is measured has no name outside
        spent = time.process_time() - began
        await log.close()
        return sum(map(len, prepared)) / spent

    return asyncio.run(measure())


def measure(directory: Path, events: int) -> dict[str, object]:
    """Return every figure; the bare file is measured before and after ours."""
    found: dict[str, object] = {}
    for name, size, count in (("single", 1, events // 10), ("batch_of_100", 100, events // 100)):
        prepared = requests(size, count)
        limits = [bare(directory / "bare", prepared)]
        result = asyncio.run(ours(directory / name, prepared))
        limits.append(bare(directory / "bare", prepared))
        limit = sum(limits) / 2
        found[name] = {**result, "bare_events_per_s": round(limit), "ratio": round(result["events_per_s"] / limit, 3)}
    found["bookkeeping_per_cpu_s"] = round(bookkeeping(directory / "ids", requests(100, events // 100)))
    return found


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="durable appends beside a bare write + fdatasync")
    parser.add_argument("--directory", type=Path, default=None, help="on the disk to measure")
    parser.add_argument("--events", type=int, default=300_000)
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        result = measure(Path(directory), options.events)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps({"commit": commit.stdout.strip(), "machine": machine, "clients": CLIENTS, **result}, indent=2))


if __name__ == "__main__":
    main()
