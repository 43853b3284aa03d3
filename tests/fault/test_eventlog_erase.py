"""Erasing under kill, full disk, appends and reads: a segment is the old one or the new one, and whole."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from headwater.errors import LogUnavailableError
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.verify import verify
from headwater.spec.event import Record
from headwater.spec.tombstone import is_tombstone

NOON: Final = datetime(2026, 5, 4, 12, tzinfo=UTC)
CALLS: Final = ("open", "close", "pread", "write", "fsync", "fdatasync", "replace", "fstat", "statvfs", "unlink")
GONE: Final = frozenset({1, 7, 8, 30, 31, 32, 58})
KILLED: Final = 9


def opened(directory: Path, segment_bytes: int = 6_000) -> SegmentLog:
    return SegmentLog.open(directory, segment_bytes=segment_bytes, disk_free_bytes_min=0, disk_reserved_bytes=0)


def record(number: int) -> Record:
    return Record(f"id-{number}", msgspec.json.encode({"messageId": f"id-{number}", "properties": {"n": "x" * 200}}))


async def fill(log: SegmentLog, first: int, count: int) -> None:
    for number in range(first, first + count, 2):
        await log.append(Topic.EVENTS, "src", NOON, [record(number), record(number + 1)])


def lines(directory: Path) -> list[bytes]:
    reader, cursor, found = SegmentReader(directory), 0, list[bytes]()
    while (batch := reader.read(Topic.EVENTS, cursor)).next_cursor > cursor:
        assert not batch.damage
        found += [line for frame in batch.frames for line in frame.lines[:-1].split(b"\n")]
        cursor = batch.next_cursor
    reader.close()
    return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 60 events in three segments, the last of which is written to."""
    directory = tmp_path_factory.mktemp("template") / "log"

    async def make() -> None:
        log = opened(directory)
        await fill(log, 0, 60)
        await log.close()

    asyncio.run(make())
    assert len(list((directory / "events").glob("*.segment"))) == 3
    return directory


def interrupt(nth: int, act: Callable[[], None]) -> None:
    """Let the Nth call to the operating system that could matter be the last one before `act`."""
    counted = 0

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def wrapped(*args: object, **options: object) -> object:
            nonlocal counted
            counted += 1
            if counted == nth:
                act()
            return call(*args, **options)

        return wrapped

    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))


def erase_and_die(directory: Path, nth: int) -> bool:
    """Erase in a process that is killed before its Nth call; return whether it was."""
    child = os.fork()
    if child == 0:

        async def erase() -> None:
            log = opened(directory)
            interrupt(nth, lambda: os._exit(KILLED))
            await log.erase(Topic.EVENTS, GONE)
            os._exit(0)

        try:
            asyncio.run(erase())
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, KILLED}
    return code == KILLED


def test_a_kill_at_every_call_leaves_each_segment_old_or_new_and_the_same_call_goes_on(
    template: Path, tmp_path: Path
) -> None:
    before, nth, seen = lines(template), 1, set[int]()
    while True:
        directory = tmp_path / f"{nth}"
        shutil.copytree(template, directory)
        if not erase_and_die(directory, nth):
            break
        after = lines(directory)
        erased = {seq for seq, line in enumerate(after) if is_tombstone(line)}
        seen.add(len(erased))
        assert erased <= GONE
        assert [line for seq, line in enumerate(after) if seq not in erased] == [
            line for seq, line in enumerate(before) if seq not in erased
        ]
        finish(directory)
        nth += 1
    assert nth > 30
    assert seen == {0, 3, 6, 7}  # a segment at a time, each as a whole


def finish(directory: Path) -> None:
    """Start again, repeat the call, append: all as if nothing had happened."""

    async def again() -> None:
        log = opened(directory)
        assert not log.damage
        done = await log.erase(Topic.EVENTS, GONE)
        assert done.records + done.already == len(GONE)
        appended = await log.append(Topic.EVENTS, "src", NOON, [record(seq) for seq in (*sorted(GONE), 60)])
        assert (appended.first_seq, appended.count) == (60, 1)
        await log.close()

    asyncio.run(again())
    report = verify(directory)
    assert (report.damage, report.records[Topic.EVENTS], report.erased[Topic.EVENTS]) == ((), 61, len(GONE))
    assert not list(directory.rglob("*.aside"))


@pytest.mark.parametrize("call", ["write", "fsync"])
async def test_a_full_disk_keeps_the_old_segment_and_the_log(
    call: str, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "log"
    shutil.copytree(template, directory)
    log, real = opened(directory), getattr(os, call)

    def full(descriptor: int, *rest: object) -> object:
        if ".aside" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(LogUnavailableError, match="too little space"):
            await log.erase(Topic.EVENTS, GONE)
    assert not any(map(is_tombstone, lines(directory)))
    assert not list(directory.rglob("*.aside"))
    assert (await log.erase(Topic.EVENTS, GONE)).records == len(GONE)
    await log.close()


async def test_appends_and_readers_go_on_while_it_is_erased(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    chance, log = random.Random(seed), opened(tmp_path, 20_000)
    await fill(log, 0, 400)
    gone, failures, done = set[int](), list[str](), threading.Event()
    readers = [threading.Thread(target=read, args=(tmp_path, seed + n, done, failures)) for n in range(2)]
    for reader in readers:
        reader.start()

    async def erase() -> None:
        for _ in range(12):
            some = chance.sample(range(log.end(Topic.EVENTS)), 15)
            await log.erase(Topic.EVENTS, some)
            gone.update(some)

    await asyncio.gather(erase(), fill(log, 400, 400))
    done.set()
    for reader in readers:
        reader.join()
    await log.close()
    assert failures == []
    found = lines(tmp_path)
    assert {seq for seq, line in enumerate(found) if is_tombstone(line)} == gone
    assert [line for seq, line in enumerate(found) if seq not in gone] == [
        record(seq).line for seq in range(800) if seq not in gone
    ]


def read(directory: Path, seed: int, done: threading.Event, failures: list[str]) -> None:
    """Read from random places until told to stop; every record is the one of its place, or a tombstone."""
    chance, reader = random.Random(seed), SegmentReader(directory)
    while not done.is_set():
        cursor = chance.randrange(max(reader.end(Topic.EVENTS), 1))
        batch = reader.read(Topic.EVENTS, cursor, records_max=chance.choice([1, 5, 50]))
        failures += [f"damaged: {damage}" for damage in batch.damage]
        for event in batch.events():
            if not event.is_erased and event.line != record(event.seq).line:
                failures.append(f"{event.seq} is {event.line!r}")
    reader.close()
