"""What was loaded when: sync runs and totals of each warehouse, in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from headwater.sqlite import Connection

RUNS_MAX: Final = 1_000  # ours, a warehouse: older runs are forgotten, the totals are not

_COLUMNS: Final = (
    "id, warehouse_id, status, started_at, duration_ms, first, next, events, rows, notices, error, filtered, missed, "
    "reload, suppressed"
)


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
        events: how many of them were loaded.
        filtered: how many stay out: their source is not connected or blocks them, or their sender wanted it so.
        suppressed: how many are of people who are suppressed, or were erased from the log.
        missed: how many the log cannot give any more: damaged, or taken by retention.
        rows: loaded rows by `schema.table`.
        notices: sentences: what did not fit a column, what could not be read.
        error: why it failed, "" when it did not.
        reload: of which reload it was a part, "" for new events.
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
    missed: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    error: str = ""
    reload: str = ""
    suppressed: int = 0
    id: int = 0

    @property
    def counted(self) -> int:
        """How many events of the stretch this run answers for; all of them, or something is wrong."""
        return self.events + self.filtered + self.suppressed + self.missed


@dataclass(frozen=True, slots=True)
class Totals:
    """What a warehouse has got since it was connected; of reloads the rows only: their events were counted before."""

    events: int = 0
    rows: int = 0
    filtered: int = 0
    missed: int = 0
    suppressed: int = 0


def add(connection: Connection, run: SyncRun) -> None:
    """Store a run, forget the oldest, count."""
    connection.execute(
        "insert into runs (warehouse_id, status, started_at, duration_ms, first, next, events, rows, notices, error, "
        "filtered, missed, reload, suppressed) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(run.warehouse_id, run.status.value, run.started_at.isoformat(), run.duration_ms),
            *(run.first, run.next, run.events, _json(run.rows), _json(run.notices), run.error),
            *(run.filtered, run.missed, run.reload, run.suppressed),
        ),
    )
    connection.execute(
        "delete from runs where warehouse_id = ? and id <= (select max(id) from runs where warehouse_id = ?) - ?",
        (run.warehouse_id, run.warehouse_id, RUNS_MAX),
    )
    count(connection, run)


def count(connection: Connection, run: SyncRun) -> None:
    """Add a run to the totals."""
    is_new = not run.reload
    events, *others = (n * is_new for n in (run.events, run.filtered, run.missed, run.suppressed))
    connection.execute(
        "insert into totals (warehouse_id, events, rows, filtered, missed, suppressed) values (?, ?, ?, ?, ?, ?) "
        "on conflict (warehouse_id) do update set events = events + excluded.events, rows = rows + excluded.rows, "
        "filtered = filtered + excluded.filtered, missed = missed + excluded.missed, "
        "suppressed = suppressed + excluded.suppressed",
        (run.warehouse_id, events, sum(run.rows.values()), *others),
    )


def latest(connection: Connection, warehouse_id: str, number: int) -> list[SyncRun]:
    """Return the newest runs, newest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from runs where warehouse_id = ? order by id desc limit ?", (warehouse_id, number)
    ).fetchall()
    return [_run(row) for row in rows]


def totals(connection: Connection, warehouse_id: str) -> Totals:
    """Return what a warehouse has got so far."""
    row = connection.execute(
        "select events, rows, filtered, missed, suppressed from totals where warehouse_id = ?", (warehouse_id,)
    ).fetchone()
    return Totals(*row) if row else Totals()


def _json(value: Any) -> str:
    """Return a value as text of JSON."""
    return msgspec.json.encode(value).decode()


def _run(row: tuple[Any, ...]) -> SyncRun:
    """Return a stored run."""
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values |= {"status": RunStatus(values["status"]), "started_at": datetime.fromisoformat(values["started_at"])}
    values |= {"rows": msgspec.json.decode(values["rows"]), "notices": tuple(msgspec.json.decode(values["notices"]))}
    return SyncRun(**values)
