"""What the program costs while nothing happens, and how soon the command line answers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

from headwater.app.bench import processes
from headwater.app.bench.parts import Figures
from headwater.app.bench.processes import Sampler
from headwater.app.bench.scale import Say, Scale
from headwater.app.bench.service import Service

_SETTLED_S: Final = 3.0
_HELP_ROUNDS: Final = 5


def measure(directory: Path, scale: Scale, say: Say) -> Figures:
    """Return memory and processor time of an idle service, its start, and the time of `headwater --help`.

    Memory in `pss_mb` counts a page that the processes share once; in `rss_mb` it counts in each of them.
    """
    say("idle: headwater --help")
    help_s = median(_help_s() for _ in range(_HELP_ROUNDS))
    began = time.monotonic()
    with Service(directory) as service:
        ready_s = time.monotonic() - began
        say(f"idle: the whole service for {scale.idle_s:g} seconds")
        time.sleep(_SETTLED_S)
        with Sampler(service.pids) as sampler:
            time.sleep(scale.idle_s)
        memory = {
            name: {"rss_mb": round(processes.rss_mb(pid), 1), "pss_mb": round(processes.pss_mb(pid), 1)}
            for name, pid in service.pids.items()
        }
    shares = {name: round(cpu_s / sampler.seconds, 4) for name, cpu_s in sampler.cpu.items()}
    return {
        "help_ms": round(help_s * 1000),
        "ready_s": round(ready_s, 2),
        "processes": {name: {**each, "cpu_share": shares[name]} for name, each in memory.items()},
        "rss_mb": round(sum(each["rss_mb"] for each in memory.values()), 1),
        "pss_mb": round(sum(each["pss_mb"] for each in memory.values()), 1),
        "cpu_percent": round(sum(sampler.cpu.values()) / sampler.seconds * 100, 2),
    }


def _help_s() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "headwater", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
