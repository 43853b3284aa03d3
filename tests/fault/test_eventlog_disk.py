"""A disk that fails or is full: no acknowledgement without fsync, no retry of a failed one, no corruption."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from eventlog_ledger import check_sets, command, drive, reopen, strace

from headwater.errors import LogUnavailableError
from headwater.eventlog.committer import EXIT_DISK_FAILED
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.verify import verify
from headwater.spec.event import Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_an_answer_follows_the_write_and_its_fdatasync(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    argv = ["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", "trace=pwrite64,fdatasync,write"]
    strace("write:signal=SIGKILL:when=1")  # skips where there is no strace
    run = drive([*argv, *command(tmp_path / "log", 5, 100, 1, 10_000)])
    assert len(run.acked) == 100
    pattern = r"(pwrite64|fdatasync)\(\d+<[^>]*\.segment>|(write)\(1<[^>]*>, \"a "
    steps = [a or b for a, b in re.findall(pattern, trace.read_text())]
    acks = [place for place, step in enumerate(steps) if step == "write"]
    assert len(acks) == 100
    for ack in acks:
        newest = max(place for place in range(ack) if steps[place] == "pwrite64")
        assert "fdatasync" in steps[newest:ack]


@pytest.mark.parametrize("rule", ["fdatasync:error=EIO:when=6", "fdatasync:error=ENOSPC:when=6"])
def test_a_failed_fdatasync_ends_the_process_and_keeps_what_was_acknowledged(tmp_path: Path, rule: str) -> None:
    run = drive([*strace(rule), *command(tmp_path / "log", 11, 60, 1)])
    assert run.code == EXIT_DISK_FAILED
    assert "a restart reads it again" in run.errors
    assert "Traceback" not in run.errors
    assert 0 < len(run.acked) < 60
    reopen(tmp_path / "log")
    check_sets(tmp_path / "log", 11, run.acked, 60)


def test_a_write_error_ends_the_process_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = next(asyncio.run(_first_segment(log)).glob("*.segment"))
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path), "-e", "inject=pwrite64:error=EIO:when=3"]
    strace("pwrite64:error=EIO:when=3")
    run = drive([*argv, *command(log, 12, 60, 1, 10**6)])
    assert run.code == EXIT_DISK_FAILED
    assert len(run.acked) == 2
    reopen(log)
    check_sets(log, 12, run.acked, 60)


async def _first_segment(directory: Path) -> Path:
    log = SegmentLog.open(directory, disk_free_bytes_min=0, disk_reserved_bytes=0)
    await log.append(Topic.EVENTS, "src", NOON, [Record("12-0-0", b'{"messageId":"12-0-0"}')])
    await log.close()
    return directory / "events"


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EFBIG"])
def test_a_write_without_space_is_refused_and_the_next_one_succeeds(tmp_path: Path, error: str) -> None:
    log = tmp_path / "log"
    path = next(asyncio.run(_first_segment(log)).glob("*.segment"))
    rule = f"inject=pwrite64:error={error}:when=3..6"
    strace("pwrite64:error=EIO:when=3")
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path), "-e", rule]
    run = drive([*argv, *command(log, 12, 60, 1, 10**6)])
    assert (run.code, run.ended) == (0, True), run.errors
    assert len(run.refused) == 4
    assert len(run.acked) == 56
    check_sets(log, 12, run.acked, 60)
    assert drive(command(log, 12, 60)).ended
    check_sets(log, 12, range(60), 60)


@pytest.fixture
def small_disk(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def some(prefix: str, count: int = 20) -> list[Record]:
    return [
        Record(f"{prefix}-{n}", f'{{"messageId":"{prefix}-{n}","p":"{"x" * 2_000}"}}'.encode()) for n in range(count)
    ]


async def test_a_full_disk_refuses_and_recovers_by_itself(small_disk: Path) -> None:
    log = SegmentLog.open(small_disk / "log", segment_bytes=10**6, disk_free_bytes_min=0, disk_reserved_bytes=0)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3 * 2**20))
    acked, refused = [], []
    for number in range(200):
        try:
            await log.append(Topic.EVENTS, "s", NOON, some(f"{number}"))
            acked.append(number)
        except LogUnavailableError:
            refused.append(number)
    assert acked
    assert refused
    ballast.unlink()
    for number in refused[:20]:
        await log.append(Topic.EVENTS, "s", NOON, some(f"{number}"))
    kept = {event.message_id for event in log.read(Topic.EVENTS, 0, records_max=10**6, bytes_max=10**8).events()}
    assert kept == {f"{number}-{n}" for number in acked + refused[:20] for n in range(20)}
    assert log.end(Topic.EVENTS) == len(kept)
    await log.close()
    assert verify(small_disk / "log").damage == ()


async def test_the_last_space_is_kept_for_webhooks(small_disk: Path) -> None:
    log = SegmentLog.open(small_disk / "log", disk_free_bytes_min=6 * 2**20, disk_reserved_bytes=2**20)
    await log.append(Topic.EVENTS, "s", NOON, some("first"))
    (small_disk / "ballast").write_bytes(bytes(4 * 2**20))
    await asyncio.sleep(0.25)  # free space is looked at five times a second
    with pytest.raises(LogUnavailableError, match="nearly full"):
        await log.append(Topic.EVENTS, "s", NOON, some("second"))
    assert (await log.append(Topic.INBOX, "s", NOON, some("hook"), reserved=True)).count == 20
    (small_disk / "ballast").unlink()
    await asyncio.sleep(0.25)
    assert (await log.append(Topic.EVENTS, "s", NOON, some("second"))).count == 20
    await log.close()
