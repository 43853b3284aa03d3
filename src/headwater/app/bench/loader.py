"""The parts of the load, each in a process whose memory and processor time are its own."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from headwater import telemetry
from headwater.app.bench import events
from headwater.app.bench.parts import Figures
from headwater.errors import BenchError
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.loading.engine import Loading, Target
from headwater.spec.event import Record
from headwater.spec.names import quote_ident, quote_text

_SOURCE: Final = "bench"
_REQUEST_EVENTS: Final = 500
_KIB_PER_MB: Final = 1024
_IDS: Final = """
    select count(*), count(distinct id)
    from (select id from bench.tracks union all select id from bench.pages union all select id from bench.identifies)
"""
_TYPES: Final = {"s": "varchar", "i": "bigint", "f": "double", "b": "boolean", "t": "timestamp"}


def part(*, what: str, directory: str, count: int) -> Figures:
    """Store, load ours or load bare."""
    telemetry.configure("warning", "bench")
    return {"store": _store, "ours": _ours, "bare": _bare}[what](Path(directory), count)


def _store(directory: Path, count: int) -> Figures:
    """Put the events into a log, and the same lines into a file."""
    figures = _measured(lambda: asyncio.run(_fill(directory, count)), count)
    size = (directory / "lines.ndjson").stat().st_size
    return {"events_per_s": figures["events_per_s"], "event_bytes": round(size / count)}


async def _fill(directory: Path, count: int) -> None:
    log = SegmentLog.open(directory / "log")
    with (directory / "lines.ndjson").open("wb") as file:
        request: list[Record] = []
        for number, line in enumerate(events.lines(count)):
            request.append(Record(events.message_id(number), line))
            if len(request) == _REQUEST_EVENTS or number == count - 1:
                file.write(b"\n".join([*(record.line for record in request), b""]))
                await log.append(Topic.EVENTS, _SOURCE, datetime.now(UTC), request)
                request = []
    await log.close()


def _ours(directory: Path, count: int) -> Figures:
    """Load the log into an embedded warehouse, as `headwater sync` does."""
    target = Target("w", "embedded", {"directory": str(directory / "warehouse")}, {_SOURCE: _SOURCE})
    rows: list[int] = []

    async def sync() -> None:
        loading = Loading(SegmentReader(directory / "log"), directory / "state")
        loading.apply([target])
        for run in await loading.sync("w", count):
            if run.error:
                raise BenchError(run.error)
            rows.append(sum(run.rows.values()))
        await loading.stop()

    figures = _measured(lambda: asyncio.run(sync()), count)
    files = [file.stat().st_size for file in (directory / "warehouse" / "live").rglob("*.parquet")]
    return {
        **figures,
        "rows": sum(rows),
        "rows_per_s": round(sum(rows) / figures["wall_s"]),
        "rows_per_cpu_s": round(sum(rows) / figures["cpu_s"]),
        "ids": _ids(directory / "warehouse" / "views.duckdb"),
        "parquet_mb": round(sum(files) / 1e6),
        "batches": len(rows),
    }


def _ids(views: Path) -> int:
    """Return how many events the warehouse holds.

    Raises:
        BenchError: it holds one twice.
    """
    with duckdb.connect(str(views), read_only=True) as connection:
        row = connection.execute(_IDS).fetchone()
    total, distinct = row or (0, 0)
    if total != distinct:
        raise BenchError(f"The warehouse holds {total - distinct} events twice; please report this.")
    return int(total)


def _bare(directory: Path, count: int) -> Figures:
    """Read the lines with a schema that is known, every member of properties a typed one, and write one file."""
    columns = {
        **dict.fromkeys(("type", "event", "name", "messageId", "userId", "anonymousId"), "varchar"),
        **dict.fromkeys(("receivedAt", "sentAt", "originalTimestamp", "timestamp"), "timestamp"),
        **{name: _struct(kinds) for name, kinds in events.kinds().items()},
        "context": "struct(ip varchar, library struct(name varchar, version varchar), userAgent varchar)",
    }
    listed = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    lines, target = (quote_text(str(directory / name)) for name in ("lines.ndjson", "bare.parquet"))
    with duckdb.connect(config={"threads": 1, "memory_limit": "320MB"}) as connection:
        connection.execute("set preserve_insertion_order = false")
        select = (
            "select * exclude (properties, traits, context), unnest(properties), unnest(traits), "  # noqa: S608 - our own names
            f"unnest(context, recursive := true) from read_ndjson({lines}, columns = {{{listed}}})"
        )
        return _measured(
            lambda: connection.execute(f"copy ({select}) to {target} (format parquet, compression zstd)"), count
        )


def _struct(kinds: dict[str, str]) -> str:
    return f"struct({', '.join(f'{quote_ident(key)} {_TYPES[kind]}' for key, kind in kinds.items())})"


def _measured(work: Callable[[], object], count: int) -> Figures:
    """Return how long the work took, by the clock and by the processor, and the most memory of this process."""
    began, cpu_began = time.perf_counter(), time.process_time()
    work()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "events_per_s": round(count / wall_s),
        "events_per_cpu_s": round(count / cpu_s),
        "rss_mb_max": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MB),
    }
