"""From the first accept to the last row: the whole program, sent batches at full speed until it must catch up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from headwater.app.bench import parts
from headwater.app.bench.parts import Figures
from headwater.app.bench.processes import Sampler
from headwater.app.bench.scale import Say, Scale
from headwater.app.bench.service import Service
from headwater.errors import BenchError

_CONNECTIONS: Final = 16
_BATCH: Final = 100


def measure(directory: Path, scale: Scale, say: Say) -> Figures:
    """Return the events a second that were accepted and could be queried in the end, and what each role needed for it.

    Raises:
        BenchError: the warehouse does not hold every acknowledged event exactly once.
    """
    say("throughput: the whole service")
    with Service(directory) as service:
        write_key = service.source("bench")
        with Sampler(service.pids) as sampler:
            began = time.monotonic()
            say(f"throughput: batches at full speed for {scale.throughput_s:g} seconds")
            sent = parts.run(
                "sender",
                port=service.port,
                events=_BATCH,
                seconds=scale.throughput_s,
                connections=_CONNECTIONS,
                write_key=write_key,
            )
            lag_s = time.monotonic()
            say("throughput: sync")
            service.sync()
            ended = time.monotonic()
        accepted = sent["acknowledged_events_whole_run"]
        rows, ids = service.numbers("select count(*), count(distinct id) from bench.tracks")
    if not accepted == rows == ids or sent["failed"]:
        raise BenchError(
            f"{accepted} events were acknowledged ({sent['failed']} calls failed), the warehouse has {rows} rows of "
            f"{ids} ids; please report this."
        )
    return {
        "batch_events": _BATCH,
        "connections": _CONNECTIONS,
        "events": accepted,
        "rows": rows,
        "lost": accepted - ids,
        "seconds": round(ended - began, 2),
        "accepted_events_per_s": sent["events_per_s"],
        "sustained_events_per_s": round(accepted / (ended - began)),
        "caught_up_after_s": round(ended - lag_s, 2),
        "answer_p50_ms": sent["p50_ms"],
        "answer_p99_ms": sent["p99_ms"],
        "sender_cpu_share": sent["sender_cpu_share"],
        **_memory(sampler),
    }


def _memory(sampler: Sampler) -> Figures:
    roles = sampler.figures()
    return {
        "roles": roles,
        "rss_mb_max_role": max(role["rss_mb_max"] for role in roles.values()),
        "cpu_cores_used": round(sum(sampler.cpu.values()) / sampler.seconds, 2),
    }
