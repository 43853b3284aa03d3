"""Durable accept over HTTP, beside the same server with a log that stores nothing, and one that only answers.

The three servers stand beside each other for the whole measurement and get their load in turn, round by round, so that
whatever else the machine does slows all of them; medians count.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from headwater.app.bench import calls, parts
from headwater.app.bench.door import MODES, WRITE_KEY
from headwater.app.bench.parts import Figures, Part
from headwater.app.bench.processes import cpu_s
from headwater.app.bench.scale import Say, Scale
from headwater.errors import BenchError
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.spec.parse import decode_clean

CONNECTIONS: Final = 64
BATCH: Final = 100
_KINDS: Final = {"single": 1, "batch": BATCH}
_SPLIT_S: Final = 0.5

_Rounds = dict[str, list[Figures]]
"""What each mode gave, round by round."""


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


def measure(directory: Path, scale: Scale, say: Say) -> Figures:
    """Return events a second and latencies of single calls and of batches.

    Raises:
        BenchError: a call was not answered 200, or the log does not hold exactly what was acknowledged.
    """
    figures: Figures = {
        "connections": CONNECTIONS,
        "batch_events": BATCH,
        "event_bytes": calls.event_bytes(),
        **_without_http(),
    }
    acknowledged = 0
    with ExitStack() as stack:
        doors = {mode: stack.enter_context(Part("door", mode=mode, directory=str(directory / mode))) for mode in MODES}
        ports = {mode: int(door.told()["port"]) for mode, door in doors.items()}
        for kind, events in _KINDS.items():
            rounds: _Rounds = {mode: [] for mode in MODES}
            for number in range(scale.accept_rounds):
                say(f"accept: {kind}, round {number + 1} of {scale.accept_rounds}")
                for mode in MODES:
                    rounds[mode].append(_round(ports[mode], doors[mode].pid, events, scale.accept_s))
            acknowledged += sum(each["acknowledged_events_whole_run"] for each in rounds["durable"])
            figures[kind] = _compared(rounds)
    stored = SegmentReader(directory / "durable").end(Topic.EVENTS)
    if stored != acknowledged:
        raise BenchError(f"{acknowledged} events were acknowledged and {stored} are in the log; please report this.")
    return {**figures, "acknowledged": acknowledged, "stored": stored}


def _round(port: int, pid: int, events: int, seconds: float) -> Figures:
    """Return what one server did under one load."""
    before = cpu_s(pid)
    found = parts.run("sender", port=port, events=events, seconds=seconds, connections=CONNECTIONS, write_key=WRITE_KEY)
    if found["failed"]:
        raise BenchError(f"{found['failed']} calls were not answered 200; is the disk full?")
    found["server_cpu_us_per_event"] = (cpu_s(pid) - before) / found["acknowledged_events_whole_run"] * 1e6
    return found


def _compared(rounds: _Rounds) -> Figures:
    """Return the medians of each mode, and how the durable one does beside the others."""
    named = ("events_per_s", "p50_ms", "p99_ms", "server_cpu_us_per_event", "sender_cpu_share")
    medians = {
        mode: {name: round(median(each[name] for each in found), 3) for name in named} for mode, found in rounds.items()
    }
    durable = medians["durable"]["events_per_s"]
    return {
        **medians,
        "rounds": {mode: [each["events_per_s"] for each in found] for mode, found in rounds.items()},
        "ratio_to_nothing": round(durable / medians["nothing"]["events_per_s"], 3),
        "ratio_to_bare": round(durable / medians["bare"]["events_per_s"], 3),
    }


def _without_http() -> Figures:
    """Return how many events a second one core cuts out of the same batches, and how many it parses."""
    sent = calls.body(BATCH, WRITE_KEY)
    split = msgspec.json.Decoder(_Batch).decode
    figures = {}
    for name, work in (("split_events_per_s", split), ("decode_events_per_s", decode_clean)):
        began, batches = time.perf_counter(), 0
        while time.perf_counter() - began < _SPLIT_S:
            work(sent)
            batches += 1
        figures[name] = round(batches * BATCH / (time.perf_counter() - began))
    return figures
