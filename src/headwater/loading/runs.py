"""What was loaded when: sync runs and totals of each warehouse, in a SQLite file of the loading engine's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, Final

import msgspec

from headwater import sqlite

RUNS_MAX: Final = 1_000  # ours, a warehouse: older runs are forgotten, the totals are not

_SCHEMA: Final = """
create table if not exists runs (
    id integer primary key,
    warehouse_id text not null,
    status text not null,
    started_at text not null,
    duration_ms integer not null,
    first integer not null,
    next integer not null,
    events integer not null,
    rows text not null,
    notices text not null,
    error text not null
);
create index if not exists runs_of_warehouse on runs (warehouse_id, id);
create table if not exists totals (
    warehouse_id text primary key,
    events integer not null,
    rows integer not null,
    filtered integer not null
);
"""


class RunStatus(StrEnum):
    """Segment's three ends of a sync."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One load of a stretch of the log into one warehouse.

    Attributes:
        first, next: the sequences `first .. next - 1`.
        events: how many of them were loaded; the others belong to sources that are not connected.
        rows: loaded rows by `schema.table`.
        notices: sentences: what did not fit a column, what could not be read.
        error: why it failed, "" when it did not.
        id: 0 until it is stored.
    """

    warehouse_id: str
    status: RunStatus
    started_at: datetime
    duration_ms: int
    first: int
    next: int
    events: int = 0
    filtered: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    error: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """What a warehouse has got since it was connected."""

    events: int = 0
    rows: int = 0
    filtered: int = 0


class Runs:
    """The file; may be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._connection = sqlite.connect(path)
        self._connection.executescript(_SCHEMA)

    def add(self, run: SyncRun) -> None:
        """Store a run and add it to the totals; one commit."""
        with self._lock, sqlite.transaction(self._connection):
            self._insert(run)

    def latest(self, warehouse_id: str, count: int) -> list[SyncRun]:
        """Return the newest runs, newest first."""
        with self._lock:
            rows = self._connection.execute(
                "select id, warehouse_id, status, started_at, duration_ms, first, next, events, rows, notices, error "
                "from runs where warehouse_id = ? order by id desc limit ?",
                (warehouse_id, count),
            ).fetchall()
        return [_run(row) for row in rows]

    def totals(self, warehouse_id: str) -> Totals:
        """Return what a warehouse has got so far."""
        with self._lock:
            row = self._connection.execute(
                "select events, rows, filtered from totals where warehouse_id = ?", (warehouse_id,)
            ).fetchone()
        return Totals(*row) if row else Totals()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _insert(self, run: SyncRun) -> None:
        """Add a run, forget the oldest, count."""
        self._connection.execute(
            "insert into runs (warehouse_id, status, started_at, duration_ms, first, next, events, rows, notices, "
            "error) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(run.warehouse_id, run.status.value, run.started_at.isoformat(), run.duration_ms),
                *(run.first, run.next, run.events, _json(run.rows), _json(run.notices), run.error),
            ),
        )
        self._connection.execute(
            "delete from runs where warehouse_id = ? and id <= (select max(id) from runs where warehouse_id = ?) - ?",
            (run.warehouse_id, run.warehouse_id, RUNS_MAX),
        )
        self._connection.execute(
            "insert into totals values (?, ?, ?, ?) on conflict (warehouse_id) do update set "
            "events = events + excluded.events, rows = rows + excluded.rows, filtered = filtered + excluded.filtered",
            (run.warehouse_id, run.events, sum(run.rows.values()), run.filtered),
        )


def _json(value: Any) -> str:
    """Return a value as text of JSON."""
    return msgspec.json.encode(value).decode()


def _run(row: tuple[Any, ...]) -> SyncRun:
    """Return a stored run."""
    run_id, warehouse_id, status, started_at, duration_ms, first, after, events, rows, notices, error = row
    return SyncRun(
        warehouse_id=warehouse_id,
        status=RunStatus(status),
        started_at=datetime.fromisoformat(started_at),
        duration_ms=duration_ms,
        first=first,
        next=after,
        events=events,
        rows=msgspec.json.decode(rows),
        notices=tuple(msgspec.json.decode(notices)),
        error=error,
        id=run_id,
    )
