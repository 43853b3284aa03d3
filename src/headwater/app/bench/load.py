"""Stored events into the embedded warehouse, beside DuckDB's own typed `read_json` to Parquet on the same bytes."""

from __future__ import annotations

from pathlib import Path

from headwater.app.bench import parts
from headwater.app.bench.parts import Figures
from headwater.app.bench.scale import Say, Scale
from headwater.errors import BenchError


def measure(directory: Path, scale: Scale, say: Say) -> Figures:
    """Return rows and events a second, by the clock and by the processor, and memory, of ours and of the bare reader.

    The bare reader is told every name and type beforehand and writes one row an event; ours finds them out, checks
    every value and writes two rows a track. `ratio` is ours by the bare reader's, events a processor second.

    Raises:
        BenchError: the warehouse does not hold every stored event exactly once.
    """
    count = scale.load_events
    say(f"load: storing {count:,} events")
    stored = parts.run("loader", what="store", directory=str(directory), count=count)
    say("load: DuckDB's typed read_json to Parquet")
    bare = parts.run("loader", what="bare", directory=str(directory), count=count)
    say("load: into the embedded warehouse")
    ours = parts.run("loader", what="ours", directory=str(directory), count=count)
    if ours["ids"] != count:
        raise BenchError(f"{count} events were stored and {ours['ids']} are in the warehouse; please report this.")
    return {
        "events": count,
        "event_bytes": stored["event_bytes"],
        "stored_events_per_s": stored["events_per_s"],
        "ours": ours,
        "bare": bare,
        "ratio": round(ours["events_per_cpu_s"] / bare["events_per_cpu_s"], 3),
        "lost": count - ours["ids"],
    }
