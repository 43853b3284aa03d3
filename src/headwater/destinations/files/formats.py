"""What a file holds: events as lines of JSON, plain or gzipped, or as rows of Parquet."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from headwater.spec.conventions import text
from headwater.spec.event import Event

COLUMNS: Final = (
    ("source_id", "VARCHAR", ""),
    ("message_id", "VARCHAR", "messageId"),
    ("type", "VARCHAR", "type"),
    ("event", "VARCHAR", "event"),
    ("user_id", "VARCHAR", "userId"),
    ("anonymous_id", "VARCHAR", "anonymousId"),
    ("received_at", "TIMESTAMPTZ", "receivedAt"),
    ("timestamp", "TIMESTAMPTZ", "timestamp"),
    ("body", "JSON", "the whole event"),
)
"""The columns of a Parquet file: name, type in DuckDB, place in the event."""

_LEVEL: Final = 6  # gzip's own default: smaller costs far more time
_MEMORY: Final = "256MB"  # ours: what DuckDB may use for one file


def ndjson(events: Sequence[Event]) -> bytes:
    """Return one line of JSON for each event, as it is stored."""
    return b"".join(event.line + b"\n" for event in events)


def gzipped(events: Sequence[Event]) -> bytes:
    """Return the same, gzipped: the same events give the same bytes."""
    return gzip.compress(ndjson(events), _LEVEL, mtime=0)


def parquet(events: Sequence[Event]) -> bytes:
    """Return a Parquet file, compressed with zstd; a time that is none is null."""
    with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
        rows, made = Path(directory) / "rows.json", Path(directory) / "rows.parquet"
        rows.write_bytes(b"".join(msgspec.json.encode(_row(event)) + b"\n" for event in events))
        kinds = {name: "VARCHAR" for name, *_ in COLUMNS}
        chosen = ", ".join(f'try_cast("{name}" as {kind}) as "{name}"' for name, kind, _ in COLUMNS)
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": "1",
            "temp_directory": directory,
        }
        with duckdb.connect(config=limits) as database:
            read = database.read_json(str(rows), format="newline_delimited", columns=kinds)
            read.project(chosen).write_parquet(str(made), compression="zstd")
        return made.read_bytes()


def _row(event: Event) -> dict[str, str | None]:
    texts = {name: text(event.body, path) or None for name, kind, path in COLUMNS if kind == "VARCHAR"}
    times = {name: _time(text(event.body, path)) for name, kind, path in COLUMNS if kind == "TIMESTAMPTZ"}
    return {**texts, **times, "source_id": event.source_id, "body": event.line.decode()}


def _time(written: str) -> str | None:
    """Return a time with its zone, UTC where it has none: DuckDB would take the machine's."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


FORMATS: Final[Mapping[str, tuple[str, Callable[[Sequence[Event]], bytes]]]] = {
    "ndjson": ("ndjson", ndjson),
    "ndjson.gz": ("ndjson.gz", gzipped),
    "parquet": ("parquet", parquet),
}
"""By the name in the settings: the file's ending, and what makes its bytes."""
