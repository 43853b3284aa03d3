"""Where the line of new events stands, in the journal: what is passed, what was counted, what is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from headwater.loading.build import Misfit
from headwater.loading.runs import SyncRun
from headwater.sqlite import Connection

_COLUMNS: Final = "since, counted, position, committed, plan, synced_at, failures, failing_since"


@dataclass(frozen=True, slots=True)
class Plan:
    """A batch that the warehouse may or may not have, and what is to be noted once it has."""

    run: SyncRun
    misfits: tuple[Misfit, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """One warehouse.

    Attributes:
        since: the sequence at which counting began.
        counted: how many events were loaded, filtered, suppressed or missed since then.
        position: what is passed; behind `committed` when the newest stretches brought no row.
        committed: where the warehouse itself stood then.
        plan: None when no batch was on its way.
        synced_at: when a load ended last that a schedule had asked for.
        failures: in a row.
        failing_since: the first of them.
    """

    since: int
    counted: int
    position: int
    committed: int
    plan: Plan | None = None
    synced_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None

    @property
    def unaccounted(self) -> int:
        """How many events were passed and are in no count, or in two; 0 unless something is wrong."""
        return abs(self.position - self.since - self.counted)


def get(connection: Connection, warehouse_id: str) -> Standing | None:
    """Return where a warehouse stands, None when nothing was noted yet."""
    row = connection.execute(f"select {_COLUMNS} from standings where warehouse_id = ?", (warehouse_id,)).fetchone()
    if row is None:
        return None
    since, counted, position, committed, plan, synced_at, failures, failing_since = row
    decoded = msgspec.json.decode(plan, type=Plan) if plan else None
    return Standing(
        since,
        counted,
        position,
        committed,
        plan=decoded,
        synced_at=_moment(synced_at),
        failures=failures,
        failing_since=_moment(failing_since),
    )


def start(connection: Connection, warehouse_id: str, cursor: int) -> None:
    """Begin to count at the warehouse's cursor."""
    connection.execute(
        "insert into standings (warehouse_id, since, counted, position, committed) values (?, ?, 0, ?, ?) "
        "on conflict (warehouse_id) do update set since = excluded.since, counted = 0, "
        "position = excluded.position, committed = excluded.committed, plan = ''",
        (warehouse_id, cursor, cursor, cursor),
    )


def plan(connection: Connection, warehouse_id: str, planned: Plan) -> None:
    """Note a batch before the warehouse gets it."""
    connection.execute(
        "update standings set plan = ? where warehouse_id = ?",
        (msgspec.json.encode(planned).decode(), warehouse_id),
    )


def drop_plan(connection: Connection, warehouse_id: str) -> None:
    """Note that the warehouse did not get it."""
    connection.execute("update standings set plan = '' where warehouse_id = ?", (warehouse_id,))


def advance(connection: Connection, run: SyncRun, *, committed: bool) -> None:
    """Note that a stretch is passed; `committed` when the warehouse has taken the cursor with its rows."""
    connection.execute(
        "update standings set counted = counted + ?, position = ?, plan = '', "
        "committed = case when ? then ? else committed end where warehouse_id = ?",
        (run.counted, run.next, committed, run.next, run.warehouse_id),
    )


def synced(connection: Connection, warehouse_id: str, at: datetime) -> None:
    """Note that a load of a schedule has ended."""
    connection.execute("update standings set synced_at = ? where warehouse_id = ?", (at.isoformat(), warehouse_id))


def failed(connection: Connection, warehouse_id: str, at: datetime) -> int:
    """Count a failure; return how many there are in a row."""
    connection.execute(
        "insert into standings (warehouse_id, since, counted, position, committed, failures, failing_since) "
        "values (?, 0, 0, 0, 0, 1, ?) on conflict (warehouse_id) do update set failures = failures + 1, "
        "failing_since = case when failures = 0 then excluded.failing_since else failing_since end",
        (warehouse_id, at.isoformat()),
    )
    row = connection.execute("select failures from standings where warehouse_id = ?", (warehouse_id,)).fetchone()
    return int(row[0])


def recovered(connection: Connection, warehouse_id: str) -> None:
    """Note that a load worked."""
    connection.execute(
        "update standings set failures = 0, failing_since = '' where warehouse_id = ?",
        (warehouse_id,),
    )


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
