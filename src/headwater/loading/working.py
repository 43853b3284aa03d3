"""What the engine does in a warehouse's own thread: a batch, a reload's batch, a removal; and how each is noted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import structlog

from headwater import sqlite
from headwater.clock import Clock
from headwater.errors import HeadwaterError, RetryableError, UnauthorizedError
from headwater.loading import runs, standings, trends
from headwater.loading.journal import Journal
from headwater.loading.line import Line
from headwater.loading.reloads import Reason, Reload, ReloadState
from headwater.loading.runs import RunStatus, SyncRun
from headwater.loading.status import ALERTS
from headwater.warehouses.contract import Expired

RELOAD_TRIES_MAX: Final = 10  # ours: of one that a person asked for; the others are tried until they work

_log = structlog.get_logger(__name__)


class Working:
    """Runs in the threads of lines, one at a time for each; never raises for what a warehouse does."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock

    def load(self, line: Line) -> SyncRun | None:
        """Load one batch of new events; None when there was none."""
        started_at, started = self._clock(), time.perf_counter()
        line.is_changed = False
        try:
            run = line.loader.step()
        except Exception as error:  # noqa: BLE001 - the outermost loop: a broken warehouse must not end the engine
            return self._failed(line, error, started_at, started)
        self._worked(line)
        if run is not None and (run.events or run.notices):
            _log.info("batch.loaded", **_figures(run))
        self.tidy(line)
        return run

    def reload(self, line: Line, reload: Reload) -> bool:
        """Load one batch of a reload; return whether it worked."""
        try:
            run = line.loader.again(reload)
        except Exception as error:  # noqa: BLE001 - as in `load`
            reason = _reason(line, error)
            failures = line.reload_failed(reload)
            _log.warning("reload.failed", warehouse_id=line.target.id, reload=reload.id, failures=failures)
            line.loader.close()
            with self._tolerated(line):
                self._note_reload(line, reload, reason, failures)
            return False
        line.reload_worked(reload)
        if run is not None and (run.events or run.notices):
            _log.info("batch.reloaded", reload=reload.id, **_figures(run))
        self.tidy(line)
        return True

    def expire(self, line: Line, before: datetime) -> None:
        """Remove rows that were received before an instant."""
        try:
            removed = line.loader.remove(Expired(before))
        except Exception as error:  # noqa: BLE001 - as in `load`
            _log.warning("rows.not_expired", warehouse_id=line.target.id, reason=_reason(line, error))
            line.loader.close()
        else:
            _log.info("rows.expired", warehouse_id=line.target.id, rows=sum(removed.values()))

    def synced(self, line: Line) -> None:
        """Note that a load of the schedule has ended."""
        with self._tolerated(line), self._journal.changing() as connection:
            standings.synced(connection, line.target.id, self._clock())

    def tidy(self, line: Line) -> None:
        """Clean up and renew views; whatever goes wrong is told to operators and changes nothing else."""
        try:
            line.loader.tidy()
        except Exception as error:  # noqa: BLE001 - as in `load`
            _log.warning("warehouse.tidy_failed", warehouse_id=line.target.id, reason=_reason(line, error))

    def _worked(self, line: Line) -> None:
        """Note that the line of new events works."""
        if line.failures:
            with self._tolerated(line), self._journal.changing() as connection:
                standings.recovered(connection, line.target.id)
        line.failures, line.failing_since, line.error, line.unauthorized = 0, None, "", False
        line.last_sync = self._clock()

    def _failed(self, line: Line, error: Exception, started_at: datetime, started: float) -> SyncRun:
        """Note a failure; the next try asks the warehouse anew where it stands."""
        line.failures += 1
        line.failing_since = line.failing_since or started_at
        line.unauthorized = isinstance(error, UnauthorizedError)
        line.error = _reason(line, error)
        if line.failures in ALERTS:
            _log.error("warehouse.failing", warehouse_id=line.target.id, failures=line.failures)
        cursor = line.loader.cursor or 0
        line.loader.close()
        run = SyncRun(
            warehouse_id=line.target.id,
            status=RunStatus.FAILED,
            started_at=started_at,
            duration_ms=round((time.perf_counter() - started) * 1000),
            first=cursor,
            next=cursor,
            error=line.error,
        )
        with self._tolerated(line):
            self._note_failure(line, run)
        return run

    def _note_failure(self, line: Line, run: SyncRun) -> None:
        """Store a failure; an outage is one entry in the runs, not one a minute."""
        with self._journal.changing() as connection:
            standings.failed(connection, run.warehouse_id, run.started_at)
            latest = runs.latest(connection, run.warehouse_id, 1)
            if line.failures > 1 and latest and replace(run, id=latest[0].id, **_times(latest[0])) == latest[0]:
                trends.add(connection, run)
                return
            runs.add(connection, run)
            trends.add(connection, run)
        _log.info("batch.failed", **_figures(run))

    def _note_reload(self, line: Line, reload: Reload, reason: str, failures: int) -> None:
        """Store why a reload's try failed; what a person asked for is given up in the end."""
        book = line.loader.book
        if reload.reason is Reason.ASKED and failures >= RELOAD_TRIES_MAX:
            book.end(reload, ReloadState.FAILED, self._clock(), reason)
            line.is_stale = True
        else:
            book.fail(reload, reason)

    @contextmanager
    def _tolerated(self, line: Line) -> Iterator[None]:
        """Go on when the journal cannot be written: what it lacks then is a note, not an event."""
        try:
            yield
        except (RetryableError, sqlite.Error) as error:
            _log.error("run.not_stored", warehouse_id=line.target.id, error=type(error).__name__)


def _reason(line: Line, error: Exception) -> str:
    """Return an error as a sentence for people; one that is not ours is told to operators in full."""
    if isinstance(error, HeadwaterError):
        return str(error)
    _log.error("batch.crashed", warehouse_id=line.target.id, error=type(error).__name__, exc_info=error)
    return f"Loading failed with {type(error).__name__}; the log of the server has more."


def _times(run: SyncRun) -> dict[str, Any]:
    """Return what differs between two tries that fail in the same way."""
    return {"started_at": run.started_at, "duration_ms": run.duration_ms}


def _figures(run: SyncRun) -> dict[str, object]:
    """Return what the log of the server says of a run."""
    return {
        "warehouse_id": run.warehouse_id,
        "first": run.first,
        "count": run.events,
        "rows": sum(run.rows.values()),
        "duration_ms": run.duration_ms,
        "notices": len(run.notices),
    }
