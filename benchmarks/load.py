"""Load stored events into the embedded warehouse, beside DuckDB's own typed `read_json` to Parquet on the same bytes.

    python benchmarks/load.py [--events 1000000] [--json]

Each figure is taken in a process of its own. `ratio` is our events a second by the bare reader's, which names and types
nothing, writes one row an event (we write two: `tracks` and the event's table) and needs the schema beforehand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.loading.engine import Loading, Target
from headwater.spec.event import Record

SEED: Final = 20261123
SOURCE: Final = "bench"
REQUEST_EVENTS: Final = 500
NAMES: Final = (
    "Email Delivered",
    "Email Opened",
    "Email Link Clicked",
    "Email Unsubscribed",
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Signed Up",
)
STEMS: Final = ("campaign", "link", "list", "order", "product", "revenue", "user agent", "isMachine", "contactId")
AT: Final = "2026-11-23T12:00:00.000Z"


def main() -> None:
    """Run the parts in processes of their own and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=("bare", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.directory, options.events)))
        return
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    try:
        asyncio.run(fill(directory, options.events))
        parts = {part: in_process(part, directory, options.events) for part in PARTS}
    finally:
        shutil.rmtree(directory)
    result = {"benchmark": "load", "events": options.events, "cpus": os.cpu_count(), "machine": platform.machine()}
    result |= {"duckdb": duckdb.__version__, **parts}
    result["ratio"] = round(parts["ours"]["events_per_cpu_s"] / parts["bare"]["events_per_cpu_s"], 3)
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def events(count: int) -> Iterator[bytes]:
    """Yield stored events: 8 names, 5 to 15 properties each, a tenth of them missing in each event."""
    chance = random.Random(SEED)
    kinds = {name: properties(chance, name) for name in NAMES}
    for number in range(count):
        name = chance.choice(NAMES)
        body = {
            "type": "track",
            "event": name,
            "messageId": str(uuid.UUID(int=chance.getrandbits(128))),
            "userId": f"user-{chance.randrange(count)}",
            "anonymousId": f"anonymous-{number}",
            **dict.fromkeys(("receivedAt", "sentAt", "originalTimestamp", "timestamp"), AT),
            "properties": {key: value(chance, kind) for key, kind in kinds[name].items() if chance.random() < 0.9},
            "context": {
                "ip": "203.0.113.7",
                "library": {"name": "analytics-python", "version": "2.3.5"},
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            },
        }
        yield json.dumps(body, separators=(",", ":")).encode()


def properties(chance: random.Random, name: str) -> dict[str, str]:
    """Return the properties of an event and their kinds."""
    initials = "".join(word[0] for word in name.split())
    return {f"{STEMS[n % len(STEMS)]}{initials}{n}": chance.choice("sifbt") for n in range(chance.randint(5, 15))}


def value(chance: random.Random, kind: str) -> Any:
    """Return a value: string, integer, float, boolean or moment."""
    if kind == "s":
        return f"a value like many others {chance.randrange(100_000)}"
    if kind == "i":
        return chance.randrange(1_000_000)
    if kind == "f":
        return chance.random() * 1000 + 0.001
    if kind == "b":
        return chance.random() < 0.5
    return f"2026-11-{chance.randint(10, 29)}T10:{chance.randint(10, 59)}:11.{chance.randint(100, 999)}Z"


async def fill(directory: Path, count: int) -> None:
    """Store the events in a log, and the same lines in a file."""
    log = SegmentLog.open(directory / "log")
    with (directory / "lines.ndjson").open("wb") as file:
        part: list[Record] = []
        for line in events(count):
            file.write(line + b"\n")
            part.append(Record("", line))
            if len(part) == REQUEST_EVENTS:
                await log.append(Topic.EVENTS, SOURCE, datetime.now(UTC), part)
                part = []
        if part:
            await log.append(Topic.EVENTS, SOURCE, datetime.now(UTC), part)
    await log.close()


def in_process(part: str, directory: Path, count: int) -> dict[str, float]:
    """Return a part's figures from a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--directory", str(directory), "--events", str(count)]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1]
    )
    return found


def bare(directory: Path, count: int) -> dict[str, float]:
    """Read the lines with a schema that is known, every property a typed member of a struct, and write one file."""
    chance = random.Random(SEED)
    kinds = {key: kind for name in NAMES for key, kind in properties(chance, name).items()}
    types = {"s": "varchar", "i": "bigint", "f": "double", "b": "boolean", "t": "timestamp"}
    struct = ", ".join(f'"{key}" {types[kind]}' for key, kind in kinds.items())
    columns = {
        **dict.fromkeys(("type", "event", "messageId", "userId", "anonymousId"), "varchar"),
        **dict.fromkeys(("receivedAt", "sentAt", "originalTimestamp", "timestamp"), "timestamp"),
        "properties": f"struct({struct})",
        "context": "struct(ip varchar, library struct(name varchar, version varchar), userAgent varchar)",
    }
    listed = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    lines, target = directory / "lines.ndjson", directory / "bare.parquet"
    with duckdb.connect(config={"threads": 1, "memory_limit": "320MB"}) as connection:
        connection.execute("set preserve_insertion_order = false")
        return measured(
            lambda: connection.execute(
                f"copy (select * exclude (properties, context), unnest(properties), unnest(context, recursive := true) "
                f"from read_json('{lines}', format = 'newline_delimited', columns = {{{listed}}})) "
                f"to '{target}' (format parquet, compression zstd)"
            ),
            count,
        )


def ours(directory: Path, count: int) -> dict[str, float]:
    """Load the log into an embedded warehouse, as `headwater sync` does."""

    async def sync() -> None:
        loading = Loading(SegmentReader(directory / "log"), directory / "state")
        loading.apply([Target("w", "embedded", {"directory": str(directory / "warehouse")}, {SOURCE: "bench"})])
        runs = await loading.sync("w", count)
        assert sum(run.events for run in runs) == count, runs[-1]  # noqa: S101 - a benchmark of a failure is worth nothing
        await loading.stop()

    figures = measured(lambda: asyncio.run(sync()), count)
    with duckdb.connect(str(directory / "warehouse" / "views.duckdb"), read_only=True) as connection:
        row = connection.execute("select count(*), count(distinct id) from bench.tracks").fetchone()
    assert row == (count, count), row  # noqa: S101 - as above
    files = [file.stat().st_size for file in (directory / "warehouse").rglob("*.parquet")]
    rows_per_cpu_s = 2 * figures["events_per_cpu_s"]
    return {**figures, "rows_per_cpu_s": rows_per_cpu_s, "parquet_mb": round(sum(files) / 1e6), "files": len(files)}


def measured(work: Callable[[], object], count: int) -> dict[str, float]:
    """Return how long the work took, on the clock and on the processor, and the most memory of this process."""
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "events_per_s": round(count / wall_s),
        "events_per_cpu_s": round(count / cpu_s),
        "rss_mb_max": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


PARTS: Final[dict[str, Callable[[Path, int], dict[str, float]]]] = {"bare": bare, "ours": ours}

if __name__ == "__main__":
    main()
