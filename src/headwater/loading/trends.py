"""What a warehouse took day by day, in the journal: for people who want to see whether that is as always."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from headwater.loading.runs import SyncRun
from headwater.sqlite import Connection

DAYS_MAX: Final = 90  # ours: a quarter
TABLES_MAX: Final = 2_000  # ours, a warehouse and day: the first ones that had rows are told apart


@dataclass(frozen=True, slots=True)
class Day:
    """One day, UTC.

    Attributes:
        events: new ones; a reload's rows are counted, its events are not new.
        failed: loads that failed.
        by_table: rows by `schema.table`.
    """

    day: date
    events: int = 0
    failed: int = 0
    by_table: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows were loaded."""
        return sum(self.by_table.values())


def add(connection: Connection, run: SyncRun) -> None:
    """Add a run to its day; forget days that are too long ago."""
    day = run.started_at.astimezone(UTC).date()
    connection.execute(
        "insert into days (warehouse_id, day, events, failed) values (?, ?, ?, ?) "
        "on conflict (warehouse_id, day) do update set events = events + excluded.events, "
        "failed = failed + excluded.failed",
        (run.warehouse_id, day.isoformat(), 0 if run.reload else run.events, 1 if run.error else 0),
    )
    there = {row[0] for row in _tables(connection, run.warehouse_id, day)}
    for name, rows in run.rows.items():
        if name in there or len(there) < TABLES_MAX:
            there.add(name)
            connection.execute(
                "insert into day_tables values (?, ?, ?, ?) "
                "on conflict (warehouse_id, day, name) do update set rows = rows + excluded.rows",
                (run.warehouse_id, day.isoformat(), name, rows),
            )
    kept = "select day from days where warehouse_id = ? order by day desc limit ?"  # a wrong clock takes one place only
    for table in ("day_tables", "days"):
        connection.execute(
            f"delete from {table} where warehouse_id = ? and day not in ({kept})",
            (run.warehouse_id, run.warehouse_id, DAYS_MAX),
        )


def days(connection: Connection, warehouse_id: str, now: datetime, number: int) -> list[Day]:
    """Return the last days, the oldest first; days without a run too."""
    last = now.astimezone(UTC).date()
    found = {}
    for text, events, failed in connection.execute(
        "select day, events, failed from days where warehouse_id = ?", (warehouse_id,)
    ).fetchall():
        day = date.fromisoformat(text)
        found[day] = Day(day, events, failed, dict(_tables(connection, warehouse_id, day)))
    wanted = [last - timedelta(days=back) for back in range(min(number, DAYS_MAX) - 1, -1, -1)]
    return [found.get(day, Day(day)) for day in wanted]


def _tables(connection: Connection, warehouse_id: str, day: date) -> list[tuple[str, int]]:
    """Return the rows of each table on a day."""
    rows = connection.execute(
        "select name, rows from day_tables where warehouse_id = ? and day = ? order by name",
        (warehouse_id, day.isoformat()),
    ).fetchall()
    return [(str(name), int(count)) for name, count in rows]
