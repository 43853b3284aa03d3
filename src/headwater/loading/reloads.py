"""Reloads: stretches of the log that are loaded once more beside the line of new events, in the journal.

Their rows replace those of the same id, so that nothing is there twice however often a batch is repeated. Positions
are kept here only; they move after the warehouse has a batch.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from headwater.sqlite import Connection
from headwater.warehouses.contract import Table

FINISHED_MAX: Final = 200  # ours, a warehouse: older ones are forgotten

_COLUMNS: Final = (
    "id, warehouse_id, source_ids, collections, since, until, reason, first, next, position, state, events, rows, "
    "spent_ms, started_at, finished_at, error"
)
_OPEN: Final = "state in ('waiting', 'running')"


class Reason(StrEnum):
    """Why something is loaded again."""

    ASKED = "asked"
    CONNECTED = "connected"
    """A source was not connected, and is now."""
    SELECTED = "selected"
    """A collection or property was left out, and is not any more."""
    REFUSED = "refused"
    """The warehouse refused a table, while it took the others of the batch."""


class ReloadState(StrEnum):
    """Where a reload is; the last three are ends."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Reload:
    """One reload of the sequences `first .. next - 1`.

    Attributes:
        source_ids, collections: of what; None is everything that is connected and selected.
        since, until: only events that were received at or after the one and before the other.
        position: where it stands.
        events, rows: what it has loaded so far.
        spent_ms: the time that it has worked.
        error: why its last try failed, "" when it did not.
    """

    id: str
    warehouse_id: str
    source_ids: tuple[str, ...] | None
    collections: tuple[str, ...] | None
    since: datetime | None
    until: datetime | None
    reason: Reason
    first: int
    next: int
    position: int
    state: ReloadState = ReloadState.WAITING
    events: int = 0
    rows: int = 0
    spent_ms: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do."""
        return self.state in {ReloadState.WAITING, ReloadState.RUNNING}

    @property
    def eta_s(self) -> float | None:
        """How many seconds of work are left at the pace so far; None while nothing is known."""
        passed = self.position - self.first
        if not self.is_open or passed <= 0:
            return None
        return round((self.next - self.position) * self.spent_ms / passed / 1000, 1)


def new(  # noqa: PLR0913 - what a reload is
    warehouse_id: str,
    reason: Reason,
    first: int,
    after: int,
    *,
    source_ids: tuple[str, ...] | None = None,
    collections: tuple[str, ...] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Reload:
    """Return a reload of `first .. after - 1` with an id that was never used, also not by a journal that was lost."""
    reload_id = f"r{secrets.token_hex(8)}"
    return Reload(reload_id, warehouse_id, source_ids, collections, since, until, reason, first, after, first)


def add(connection: Connection, reload: Reload) -> None:
    """Store a new one."""
    marks = ", ".join("?" * len(_COLUMNS.split(", ")))
    connection.execute(f"insert into reloads ({_COLUMNS}) values ({marks})", _row(reload))


def get(connection: Connection, reload_id: str) -> Reload | None:
    """Return one, None when there is none of this id."""
    rows = connection.execute(f"select {_COLUMNS} from reloads where id = ?", (reload_id,)).fetchall()
    return _reload(rows[0]) if rows else None


def listed(connection: Connection, warehouse_id: str | None, count: int) -> list[Reload]:
    """Return the newest ones, of a warehouse or of all, newest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from reloads where ? is null or warehouse_id = ? order by number desc limit ?",
        (warehouse_id, warehouse_id, count),
    ).fetchall()
    return [_reload(row) for row in rows]


def open_ones(connection: Connection, warehouse_id: str) -> list[Reload]:
    """Return those that have something left to do, oldest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from reloads where warehouse_id = ? and {_OPEN} order by number", (warehouse_id,)
    ).fetchall()
    return [_reload(row) for row in rows]


def refused_tables(connection: Connection, warehouse_id: str) -> frozenset[tuple[str, str]]:
    """Return the tables that new events are not loaded into at present, as (source id, table)."""
    return frozenset(
        (reload.source_ids[0], reload.collections[0])
        for reload in open_ones(connection, warehouse_id)
        if reload.reason is Reason.REFUSED and reload.source_ids and reload.collections
    )


def refuse(connection: Connection, warehouse_id: str, source_id: str, table: Table, first: int, after: int) -> None:
    """Note that a table lacks a stretch; one reload a table, which grows."""
    for reload in open_ones(connection, warehouse_id):
        if reload.reason is Reason.REFUSED and (reload.source_ids, reload.collections) == ((source_id,), (table.name,)):
            connection.execute(
                "update reloads set first = min(first, ?), position = min(position, ?), next = max(next, ?) "
                "where id = ?",
                (first, first, after, reload.id),
            )
            return
    sources, collections = (source_id,), (table.name,)
    add(
        connection,
        new(warehouse_id, Reason.REFUSED, first, after, source_ids=sources, collections=collections),
    )


def advance(connection: Connection, reload: Reload, position: int, *, events: int, rows: int, spent_ms: int) -> None:
    """Note that a reload has come this far."""
    connection.execute(
        "update reloads set position = ?, events = events + ?, rows = rows + ?, spent_ms = spent_ms + ?, "
        f"state = case when {_OPEN} then ? else state end, error = '' where id = ?",
        (position, events, rows, spent_ms, ReloadState.RUNNING.value, reload.id),
    )


def begin(connection: Connection, reload: Reload, at: datetime) -> None:
    """Note that a reload is being worked on."""
    connection.execute(
        f"update reloads set state = ?, started_at = coalesce(started_at, ?) where id = ? and {_OPEN}",
        (ReloadState.RUNNING.value, at.isoformat(), reload.id),
    )


def fail(connection: Connection, reload: Reload, error: str) -> None:
    """Note why the last try failed; it waits for the next."""
    connection.execute(
        f"update reloads set state = ?, error = ? where id = ? and {_OPEN}",
        (ReloadState.WAITING.value, error, reload.id),
    )


def end(connection: Connection, reload: Reload, state: ReloadState, at: datetime, error: str = "") -> None:
    """Note the end of a reload, and forget the oldest. One that has begun and is not done is still to be finished."""
    connection.execute(
        f"update reloads set state = ?, error = ?, finished_at = ?, unfinished = ? and started_at is not null "
        f"where id = ? and {_OPEN}",
        (state.value, error, at.isoformat(), state is not ReloadState.DONE, reload.id),
    )
    connection.execute(
        f"delete from reloads where warehouse_id = ? and not {_OPEN} and not unfinished and number not in "
        f"(select number from reloads where warehouse_id = ? and not {_OPEN} order by number desc limit ?)",
        (reload.warehouse_id, reload.warehouse_id, FINISHED_MAX),
    )


def unfinished(connection: Connection, warehouse_id: str) -> list[str]:
    """Return the ids of those that ended before their time and of which the warehouse was not told yet."""
    rows = connection.execute(
        "select id from reloads where warehouse_id = ? and unfinished order by number", (warehouse_id,)
    ).fetchall()
    return [str(row[0]) for row in rows]


def finished(connection: Connection, reload_id: str) -> None:
    """Note that the warehouse was told."""
    connection.execute("update reloads set unfinished = 0 where id = ?", (reload_id,))


def cut(connection: Connection, warehouse_id: str, after: int, at: datetime) -> None:
    """Let open reloads begin anew and end at a sequence: the warehouse was set back, the rest is loaded as new."""
    for reload in open_ones(connection, warehouse_id):
        if reload.first >= after:
            end(connection, reload, ReloadState.CANCELLED, at, "The warehouse was set back; this is loaded as new.")
            finished(connection, reload.id)
        else:
            connection.execute(
                "update reloads set position = first, next = min(next, ?) where id = ?", (after, reload.id)
            )


def _row(reload: Reload) -> tuple[Any, ...]:
    """Return a reload as its row."""
    return (
        *(reload.id, reload.warehouse_id, _listed(reload.source_ids), _listed(reload.collections)),
        *(_text(reload.since), _text(reload.until), reload.reason.value, reload.first, reload.next, reload.position),
        *(reload.state.value, reload.events, reload.rows, reload.spent_ms),
        *(_text(reload.started_at), _text(reload.finished_at), reload.error),
    )


def _listed(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else msgspec.json.encode(names).decode()


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _reload(row: tuple[Any, ...]) -> Reload:
    """Return a stored reload."""
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name in ("source_ids", "collections"):
        values[name] = None if values[name] is None else tuple(msgspec.json.decode(values[name]))
    for name in ("since", "until", "started_at", "finished_at"):
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    return Reload(**values | {"reason": Reason(values["reason"]), "state": ReloadState(values["state"])})
