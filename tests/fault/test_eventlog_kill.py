"""kill -9 anywhere: nothing acknowledged is lost, nothing is stored twice, the next start needs no help."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from eventlog_driver import batch_ids
from eventlog_ledger import check_sets, command, drive, parse, reopen, stored, strace

CALLS = ("pwrite64", "fdatasync", "fsync", "openat", "ftruncate", "rename", "unlink", "write", "msync")
BATCHES = 14


def kill_at(directory: Path, call: str, nth: int, seed: int) -> bool:
    """Kill the driver at its Nth call, check, send everything again; return whether the run was killed."""
    run = drive([*strace(f"{call}:signal=SIGKILL:when={nth}"), *command(directory, seed, BATCHES)])
    reopen(directory)
    check_sets(directory, seed, run.acked, BATCHES)
    again = drive(command(directory, seed, BATCHES))
    assert (again.code, again.ended) == (0, True), again.errors
    check_sets(directory, seed, range(BATCHES), BATCHES)
    return not run.ended


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "fsync", "openat"])
def test_a_kill_at_some_write_calls_loses_and_doubles_nothing(tmp_path: Path, call: str) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    for nth in sorted(random.Random(seed).sample(range(1, 40), 3)):
        kill_at(tmp_path / f"{nth}", call, nth + 120 * (call == "openat"), seed)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_every_write_call_loses_and_doubles_nothing(tmp_path: Path, call: str) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    nth = 1
    while kill_at(tmp_path / f"{nth}", call, nth, seed):
        nth += 1


def kill_at_random(directory: Path, seed: int, kills: int) -> None:
    chance, acked, batches = random.Random(seed), set[int](), 4_000
    for _ in range(kills):
        with subprocess.Popen(
            command(directory, seed, batches, 16, 50_000), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            head = child.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.4))
            child.send_signal(signal.SIGKILL)
            acked |= parse(0, head + child.stdout.read()).acked
        reopen(directory)
        check_sets(directory, seed, acked, batches)
    assert drive(command(directory, seed, batches, 16, 50_000)).ended
    everything = {name for number in range(batches) for name in batch_ids(seed, number)}
    assert sorted(stored(directory)) == sorted(everything)


def test_kills_at_random_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    kill_at_random(tmp_path / "log", seed, 6)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_500_kills_at_random_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    for turn in range(25):
        kill_at_random(tmp_path / f"{turn}", seed + turn, 20)


def test_a_second_writer_is_refused_naming_pid_and_path(tmp_path: Path) -> None:
    argv = command(tmp_path / "log", 1, 200_000)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        second = drive(argv)
        first.kill()
        first.stdout.read()
    assert second.code != 0
    assert f"(pid {first.pid})" in second.errors
    assert str(tmp_path / "log") in second.errors
    assert second.acked == set()


def test_two_writers_that_race_give_one_log(tmp_path: Path) -> None:
    argv = command(tmp_path / "log", 7, 50)
    children = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    runs = []
    for child in children:
        output, errors = child.communicate(timeout=60)
        runs.append(parse(child.returncode, output, errors))
    assert any(run.ended for run in runs)
    assert all(run.ended or "is written by another process" in run.errors for run in runs)
    check_sets(tmp_path / "log", 7, range(50), 50)


def test_a_lock_file_that_was_left_behind_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1")
    assert drive(command(tmp_path, 3, 5)).ended
