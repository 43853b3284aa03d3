"""What a figure is worth only with: the machine, its disk, and what else it was doing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Final

from headwater import __version__
from headwater.app.bench.parts import Figures
from headwater.app.bench.percentiles import percentiles_ms

_SYNCS: Final = 200
_BLOCK: Final = b"x" * 4096


def machine(directory: Path) -> Figures:
    """Return what the figures were measured on; `directory` is on the disk that is measured."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "fdatasync": _disk(directory),
    }


def program() -> Figures:
    """Return which program was measured; the commit where it runs from a repository."""
    return {
        "version": __version__,
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("diff", "--stat", "--", "src")),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _disk(directory: Path) -> Figures:
    """Return how long 4 KB take to the disk."""
    path, took = directory / "fdatasync", []
    with path.open("wb") as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            os.write(file.fileno(), _BLOCK)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    path.unlink()
    return percentiles_ms(took)


def _git(*arguments: str) -> str | None:
    """Return what git says of the directory this file lies in, None for an installed package."""
    home = Path(__file__).parents[4]
    if not (home / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(home), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
