"""The power goes: what was acknowledged is on the disk. A block device that can be frozen and copied stands in.

nbdkit serves an image, nbdfuse and a loop device make a disk of it, ext4 lies on it. A cut is a copy of the image
while nbdkit is paused: it has what was flushed, and not what only the kernel's cache held. The same harness with
fdatasync made a no-op has to notice the loss.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventlog_ledger import check_sets, command, reopen, stored, strace

TOOLS = ("nbdkit", "nbdfuse", "losetup", "mkfs.ext4")
BATCHES = 200_000  # more than any run gets through
IMAGE_BYTES = 96 * 2**20


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@contextlib.contextmanager
def mounted(image: Path, directory: Path) -> Iterator[Path]:
    directory.mkdir(exist_ok=True)
    device = run("losetup", "--find", "--show", str(image))
    try:
        run("mount", device, str(directory))
        try:
            yield directory
        finally:
            run("umount", "-l", str(directory))
    finally:
        run("losetup", "--detach", device)


class Disk:
    """A disk under nbdkit, and the switch that freezes it."""

    def __init__(self, directory: Path) -> None:
        self.image, self._control = directory / "image", directory / "pause"
        self.mount, self._fuse = directory / "disk", directory / "nbd"
        with self.image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", str(self.image))
        self._fuse.touch()
        serve = ["nbdkit", "-s", "--filter=pause", "file", str(self.image), f"pause-control={self._control}"]
        self._server = subprocess.Popen(["nbdfuse", str(self._fuse), "--command", *serve], stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        deadline = time.monotonic() + 20
        while self._fuse.stat().st_size != IMAGE_BYTES or not self._control.exists():
            if time.monotonic() > deadline or self._server.poll() is not None:
                pytest.skip("this machine gives no FUSE disk")
            time.sleep(0.02)

    @contextlib.contextmanager
    def up(self) -> Iterator[Path]:
        self.wait()
        try:
            with mounted(self._fuse, self.mount):
                yield self.mount
        finally:
            subprocess.run(["umount", "-l", str(self._fuse)], check=False, capture_output=True)
            self._server.terminate()
            self._server.wait(20)

    def cut(self, copy: Path) -> None:
        """Copy the image as it would be if the power went now."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._control))
            control.sendall(b"p")
            assert control.recv(1) == b"P"
            run("cp", "--sparse=always", str(self.image), str(copy))
            control.sendall(b"r")
            assert control.recv(1) == b"R"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (tools/torture-tools installs them)")
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("a disk of its own needs root and /dev/fuse")
    return Disk(tmp_path)


class Load:
    """The driver on the disk, and what it has acknowledged so far."""

    def __init__(self, argv: list[str]) -> None:
        self.acked: set[int] = set()
        self._child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith("a "):
                self.acked.add(int(line[2:]))

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.acked) < count and self._child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def is_running(self) -> bool:
        return self._child.poll() is None

    def kill(self) -> None:
        """End the driver, with the strace it may run under."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._reader.join()
        self._child.wait()


def power_cuts(disk: Disk, tmp_path: Path, seed: int, cuts: int) -> None:
    chance = random.Random(seed)
    with disk.up() as mount:
        load = Load(command(mount / "log", seed, BATCHES, 8, 30_000))
        try:
            for _ in range(cuts):
                assert load.is_running()
                load.wait_for(len(load.acked) + chance.randint(0, 60))
                acked = set(load.acked)
                disk.cut(tmp_path / "cut")
                with mounted(tmp_path / "cut", tmp_path / "after") as after:
                    if acked or (after / "log" / "events").exists():
                        reopen(after / "log")
                        check_sets(after / "log", seed, acked, max(acked, default=0) // 2_000 * 2_000 + 4_000)
        finally:
            load.kill()


def test_what_was_acknowledged_survives_power_cuts(disk: Disk, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    power_cuts(disk, tmp_path, seed, 20)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("turn", range(10))
def test_what_was_acknowledged_survives_2000_power_cuts(disk: Disk, tmp_path: Path, turn: int) -> None:
    seed = random.randrange(10**6) + turn
    print("seed", seed)
    power_cuts(disk, tmp_path, seed, 200)


def test_the_harness_notices_a_log_that_does_not_sync(disk: Disk, tmp_path: Path) -> None:
    with disk.up() as mount:
        lying = strace("fdatasync:retval=0", "fsync:retval=0", "msync:retval=0")
        load = Load([*lying, *command(mount / "log", 1, BATCHES, 8, 30_000)])
        try:
            load.wait_for(200)
            acked = set(load.acked)
            disk.cut(tmp_path / "cut")
        finally:
            load.kill()
    assert len(acked) >= 200
    with mounted(tmp_path / "cut", tmp_path / "after") as after:
        kept = set(stored(after / "log")) if (after / "log" / "events").exists() else set()
        assert not {f"1-{number}-0" for number in acked} <= kept
