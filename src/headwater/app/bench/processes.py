"""What Linux knows of a process: its memory, the processor time it took, and its children."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

_PROC: Final = Path("/proc")
_KIB_PER_MB: Final = 1024
_EVERY_S: Final = 0.25
_USER, _SYSTEM, _PARENT = 11, 12, 1  # places in `stat` behind the command, which may hold blanks


def cpu_s(pid: int) -> float:
    """Return the processor time a process has taken, user and system."""
    fields = _stat(pid)
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the memory a process has in RAM, shared pages counted."""
    return _kib(_PROC / str(pid) / "status", "VmRSS:") / _KIB_PER_MB


def pss_mb(pid: int) -> float:
    """Return the same with each shared page divided by those who share it: sums of it are right."""
    return _kib(_PROC / str(pid) / "smaps_rollup", "Pss:") / _KIB_PER_MB


def roles(supervisor: int) -> dict[str, int]:
    """Return the process id of each role that a supervisor runs."""
    found = {}
    for entry in _PROC.iterdir():
        try:
            if entry.name.isdecimal() and int(_stat(int(entry.name))[_PARENT]) == supervisor:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                found[words[words.index("--role") + 1]] = int(entry.name)
        except (OSError, ValueError):  # it has just ended, or is no role
            continue
    return found


def _stat(pid: int) -> list[str]:
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _kib(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


class Others:
    """Tells how many cores were busy with something else while its block ran."""

    def __enter__(self) -> Self:
        self._began, self._busy, self._own = time.monotonic(), _busy_s(), _own_s()
        self.cores = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        others_s = (_busy_s() - self._busy) - (_own_s() - self._own)
        self.cores = round(max(0.0, others_s) / (time.monotonic() - self._began), 2)


def _busy_s() -> float:
    """Return the seconds that all cores together have worked."""
    user, nice, system, _idle, _waiting, *interrupts = (
        int(ticks) for ticks in (_PROC / "stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Return the seconds that this process and all that it started and saw end have worked."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Sampler:
    """Follows memory and processor time of named processes while its block runs."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._memory: dict[str, list[float]] = {name: [] for name in pids}
        self._cpu_before: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seconds = 0.0
        self.cpu: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._cpu_before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._began
        self.cpu = {name: cpu_s(pid) - self._cpu_before[name] for name, pid in self._pids.items()}

    def _run(self) -> None:
        while True:
            for name, pid in self._pids.items():
                self._memory[name].append(rss_mb(pid))
            if self._ended.wait(_EVERY_S):
                return

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return, for each process, its memory at the start, at most and as it grew in the later half, and its CPU."""
        return {
            name: {
                "rss_mb_first": round(memory[0], 1),
                "rss_mb_max": round(max(memory), 1),
                "rss_mb_growth": round(_late_growth(memory), 1),
                "rss_mb": [round(each) for each in memory[:: max(1, len(memory) // 20)]],
                "cpu_share": round(self.cpu[name] / self.seconds, 4),
            }
            for name, memory in self._memory.items()
        }


def _late_growth(memory: list[float]) -> float:
    """Return by how much the last quarter lies above the quarter before it: near 0 for what is flat."""
    quarter = max(1, len(memory) // 4)
    return median(memory[-quarter:]) - median(memory[-2 * quarter : -quarter] or memory[-quarter:])
