"""What the fault tests of the log share: run the driver, keep the ledger, compare the sets."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from eventlog_driver import batch_ids

from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.verify import verify

DRIVER = str(Path(__file__).with_name("eventlog_driver.py"))
DEADLINE_S = 120


@dataclass
class Run:
    """How one run of the driver ended, and which batches it had acknowledged."""

    code: int
    acked: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    ended: bool = False
    errors: str = ""


def command(directory: Path, seed: int, batches: int, clients: int = 4, segment_bytes: int = 4_000) -> list[str]:
    return [sys.executable, DRIVER, str(directory), *map(str, (seed, batches, clients, segment_bytes))]


def parse(code: int, output: str, errors: str = "") -> Run:
    words = [line.split() for line in output.splitlines()]
    run = Run(code, errors=errors)
    run.acked = {int(word[1]) for word in words if len(word) == 2 and word[0] == "a"}
    run.refused = {int(word[1]) for word in words if len(word) == 2 and word[0] == "r"}
    run.ended = ["end"] in words
    return run


def drive(argv: Sequence[str], **options: object) -> Run:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False, **options)  # type: ignore[call-overload]
    return parse(done.returncode, done.stdout, done.stderr)


def strace(*rules: str, output: str = "/dev/null") -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (tools/torture-tools installs it)")
    names = ",".join(dict.fromkeys(rule.split(":")[0] for rule in rules))
    return ["strace", "-f", "-qq", "-o", output, "-e", f"trace={names}", *(f"--inject={rule}" for rule in rules)]


def stored(directory: Path) -> list[str]:
    """Return every id that a reader sees, in order; nothing may be damaged."""
    reader, cursor, found = SegmentReader(directory), 0, list[str]()
    while (batch := reader.read(Topic.EVENTS, cursor)).next_cursor > cursor:
        assert not batch.damage
        found += [event.message_id for event in batch.events()]
        cursor = batch.next_cursor
    reader.close()
    return found


def reopen(directory: Path) -> None:
    """Recover what a crash left, as the next start does; it must find no damage."""

    async def start_and_stop() -> None:
        log = SegmentLog.open(directory, disk_free_bytes_min=0, disk_reserved_bytes=0)
        damage = log.damage
        await log.close()
        assert not damage

    asyncio.run(start_and_stop())


@cache
def all_ids(seed: int, batches: int) -> frozenset[str]:
    return frozenset(name for number in range(batches) for name in batch_ids(seed, number))


def check_sets(directory: Path, seed: int, acked: Iterable[int], batches: int) -> None:
    """Acked is in the log, the log is in what was sent, each id once, every byte verified."""
    found = stored(directory)
    sent = all_ids(seed, batches)
    kept = {name for number in acked for name in batch_ids(seed, number)}
    assert kept <= set(found), f"lost: {sorted(kept - set(found))[:5]}"
    assert set(found) <= sent
    assert [name for name, count in Counter(found).items() if count > 1] == []
    assert verify(directory).damage == ()
