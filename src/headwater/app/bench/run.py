"""One run: the measurements that were asked for, one after the other, in a directory that is gone afterwards."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from headwater.app.bench.machine import machine, program
from headwater.app.bench.parts import Figures
from headwater.app.bench.processes import Others
from headwater.app.bench.scale import FULL, QUICK, Say, Scale
from headwater.app.bench.targets import verdicts
from headwater.clock import now
from headwater.errors import BenchError, ConfigError
from headwater.limits import MIB
from headwater.spec.times import format_time

MEASUREMENTS: Final = ("accept", "load", "throughput", "latency", "idle")
"""The modules, each with a function `measure`, in the order they run."""


def run(only: Sequence[str], data_dir: str | None, say: Say, *, quick: bool) -> Figures:
    """Return all figures and the verdicts on them.

    Args:
        only: names of measurements; none for all.
        data_dir: where to write; a directory of its own is made in it. None for the system's temporary directory.
        say: told what is going on.
        quick: small sizes: shows that everything works, not how fast.

    Raises:
        ConfigError: the directory cannot be used, or has too little space.
        BenchError: what was measured was wrong.
    """
    scale = QUICK if quick else FULL
    if not Path("/proc/self/stat").exists():
        raise BenchError("The benchmark reads memory and processor time from /proc; it runs on Linux.")
    with _directory(data_dir, scale) as made:
        directory = Path(made)
        found: Figures = {"at": format_time(now()), "quick": quick, **program(), "machine": machine(directory)}
        measured: Figures = {}
        for name in (each for each in MEASUREMENTS if not only or each in only):
            place = directory / name
            place.mkdir()
            with Others() as others:
                figures = importlib.import_module(f"headwater.app.bench.{name}").measure(place, scale, say)
            measured[name] = {**figures, "others_cores": others.cores}
            shutil.rmtree(place)
    return {**found, "measurements": measured, "targets": [asdict(each) for each in verdicts(measured)]}


def _directory(data_dir: str | None, scale: Scale) -> tempfile.TemporaryDirectory[str]:
    try:
        made = tempfile.TemporaryDirectory(prefix="headwater-bench-", dir=data_dir, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(
            f"The benchmark cannot write to {data_dir or 'the temporary directory'} ({error.strerror}); "
            "choose another with --data-dir."
        ) from error
    if shutil.disk_usage(made.name).free < scale.disk_bytes:
        made.cleanup()
        raise ConfigError(
            f"The benchmark needs {scale.disk_bytes // MIB:,} MB of free space; choose another disk with --data-dir."
        )
    return made
