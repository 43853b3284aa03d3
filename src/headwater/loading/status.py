"""Where each warehouse stands, for people and for alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from headwater.loading import reloads, runs, standings
from headwater.loading.journal import Journal
from headwater.loading.line import Line
from headwater.loading.runs import Totals

ALERTS: Final = (5, 20)
"""After so many failures in a row people are told, once each. Source: Segment, warehouse syncs, notifications."""


class State(StrEnum):
    """What a warehouse is doing."""

    READY = "ready"
    FAILING = "failing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Status:
    """Where a warehouse stands.

    Attributes:
        cursor: the first event that is not loaded; None while the warehouse was never reached.
        lag: how many stored events are behind the cursor.
        last_error: "" once a load worked again.
        failures: loads that failed in a row, since `failing_since`.
        alerts: those of `ALERTS` that were reached.
        next_sync: when the schedule loads next; None when it is continuous, or by hand only.
        reloads: how many have something left to do.
        notices: of the newest run.
        unaccounted: events that were passed and are in no count, or in two; a fault.
    """

    warehouse_id: str
    type: str
    state: State
    cursor: int | None
    lag: int
    totals: Totals
    last_sync: datetime | None
    last_error: str
    failures: int = 0
    failing_since: datetime | None = None
    alerts: tuple[int, ...] = ()
    next_sync: datetime | None = None
    reloads: int = 0
    notices: tuple[str, ...] = ()
    unaccounted: int = 0


def status(line: Line, journal: Journal, end: int) -> Status:
    """Return where one warehouse stands; may be asked from any thread.

    Args:
        line: the warehouse in the engine.
        journal: what is noted of it.
        end: the log's.
    """
    target = line.target
    with journal.reading() as connection:
        standing = standings.get(connection, target.id)
        totals = runs.totals(connection, target.id)
        newest = runs.latest(connection, target.id, 1)
        waiting = len(reloads.open_ones(connection, target.id))
    working = State.FAILING if line.error else State.READY
    cursor = line.loader.cursor
    return Status(
        warehouse_id=target.id,
        type=target.type,
        state=working if target.enabled else State.PAUSED,
        cursor=cursor,
        lag=max(0, end - (cursor or 0)),
        totals=totals,
        last_sync=line.last_sync,
        last_error=line.error,
        failures=line.failures,
        failing_since=line.failing_since,
        alerts=tuple(number for number in ALERTS if line.failures >= number),
        next_sync=line.pace.next_at() if target.enabled else None,
        reloads=waiting,
        notices=newest[0].notices if newest else (),
        unaccounted=standing.unaccounted if standing else 0,
    )
