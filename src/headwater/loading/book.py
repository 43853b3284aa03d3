"""One warehouse's pages in the journal: each method is one commit, and leaves what a crash after it can go on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from headwater.loading import overflowed, reloads, runs, scopes, standings, trends
from headwater.loading.build import Misfit
from headwater.loading.journal import Journal
from headwater.loading.reloads import Reason, Reload, ReloadState
from headwater.loading.runs import SyncRun
from headwater.loading.scopes import Scope
from headwater.loading.standings import Plan, Standing
from headwater.loading.target import Target
from headwater.sqlite import Connection
from headwater.warehouses.contract import Table

_log = structlog.get_logger(__name__)


class Book:
    """What the loader notes, in the order in which a batch goes: follow, plan, settle."""

    def __init__(self, journal: Journal, warehouse_id: str) -> None:
        self._journal, self._id = journal, warehouse_id
        self._scopes: dict[Scope, int] | None = None

    def open(self, target: Target, cursor: int, at: datetime) -> int:
        """Return where to go on, after what a crash left is settled.

        Args:
            target: as configured now.
            cursor: where the warehouse says that it stands.
            at: the present.
        """
        with self._journal.changing() as connection:
            standing = standings.get(connection, self._id)
            if standing is None or standing == Standing(
                0, 0, 0, 0, failures=standing.failures, failing_since=standing.failing_since
            ):
                self._first_sight(connection, target, cursor)
                return cursor
            if standing.plan is not None:
                standing = self._settle_plan(connection, standing.plan, cursor)
            if cursor == standing.committed:
                return standing.position
            self._stands_elsewhere(connection, standing, cursor, at)
            return cursor

    def rewind(self, cursor: int) -> int:
        """Go back to the warehouse's own cursor: what was passed after it was another log's. Return that cursor."""
        with self._journal.changing() as connection:
            standings.start(connection, self._id, cursor)
        return cursor

    def follow(self, target: Target, position: int, unknown: Iterable[str], at: datetime) -> None:
        """Note what the batch at `position` leaves out, and what is to be reloaded because it is wanted again.

        Args:
            target: what the batch is loaded with.
            position: its first sequence.
            unknown: sources in it that the configuration does not name.
            at: the present.
        """
        noted = self.scopes()
        again = scopes.wanted_again(noted, target)
        out = (scopes.left_out(target) | {Scope(source_id) for source_id in unknown}) - noted.keys()
        if not again and not out:
            return
        self._scopes = None
        with self._journal.changing() as connection:
            for scope in out:
                scopes.note(connection, self._id, [scope], self._stop(connection, scope, position, at))
            scopes.forget(connection, self._id, again)
            for source_id, collections, first in scopes.comebacks(again):
                if first < position:
                    reason = Reason.SELECTED if collections else Reason.CONNECTED
                    names = tuple(sorted(collections)) or None
                    added = reloads.new(self._id, reason, first, position, source_ids=(source_id,), collections=names)
                    reloads.add(connection, added)
                    _log.info("reload.added", warehouse_id=self._id, reload=added.id, reason=reason.value)

    def scopes(self) -> Mapping[Scope, int]:
        """Return what stays out and from where on."""
        if self._scopes is None:
            with self._journal.reading() as connection:
                self._scopes = scopes.noted(connection, self._id)
        return self._scopes

    def plan(self, run: SyncRun, found: Iterable[Misfit], refused: Iterable[tuple[str, Table]]) -> None:
        """Note a batch of new events before the warehouse gets it.

        Args:
            run: as it is to be noted once the warehouse has it.
            found: likewise.
            refused: source and table of what it goes without; stored as reloads.
        """
        with self._journal.changing() as connection:
            self._refuse(connection, refused, run)
            standings.plan(connection, self._id, Plan(run, tuple(found)))

    def settle(self, run: SyncRun, found: Iterable[Misfit], *, committed: bool) -> None:
        """Note a batch of new events that is behind us; `committed` when the warehouse took rows and cursor."""
        with self._journal.changing() as connection:
            self._settle(connection, run, found, committed=committed)

    def widened(self, found: Iterable[Misfit], at: datetime) -> None:
        """Note that columns were widened for these."""
        with self._journal.changing() as connection:
            overflowed.widen(connection, self._id, found, at)

    def refuse(self, run: SyncRun, refused: Iterable[tuple[str, Table]]) -> None:
        """Note, before the warehouse gets a reload's batch, what it goes without."""
        with self._journal.changing() as connection:
            self._refuse(connection, refused, run)

    def advance(self, reload: Reload, run: SyncRun, found: Iterable[Misfit]) -> Reload:
        """Note a batch of a reload that the warehouse has; return how the reload stands, its end may have moved."""
        with self._journal.changing() as connection:
            rows = sum(run.rows.values())
            reloads.advance(connection, reload, run.next, events=run.events, rows=rows, spent_ms=run.duration_ms)
            if run.events or run.notices:
                runs.add(connection, run)
                trends.add(connection, run)
            overflowed.add(connection, self._id, found, run.started_at, is_reload=True)
            return reloads.get(connection, reload.id) or reload

    def begin(self, reload: Reload, at: datetime) -> Reload:
        """Note that a reload is being worked on, unless it has ended; return how it stands, its end may have moved."""
        with self._journal.changing() as connection:
            reloads.begin(connection, reload, at)
            return reloads.get(connection, reload.id) or replace(reload, state=ReloadState.CANCELLED)

    def end(self, reload: Reload, state: ReloadState, at: datetime, error: str = "") -> None:
        """Note the end of a reload."""
        with self._journal.changing() as connection:
            reloads.end(connection, reload, state, at, error)

    def fail(self, reload: Reload, reason: str) -> None:
        """Note why a reload's try failed."""
        with self._journal.changing() as connection:
            reloads.fail(connection, reload, reason)

    def unfinished(self) -> list[str]:
        """Return the reloads that were ended before their time, and whose rows the warehouse still has aside."""
        with self._journal.reading() as connection:
            return reloads.unfinished(connection, self._id)

    def finished(self, reload_id: str) -> None:
        """Note that the warehouse has made visible what such a reload brought."""
        with self._journal.changing() as connection:
            reloads.finished(connection, reload_id)

    def refused(self) -> frozenset[tuple[str, str]]:
        """Return the tables that the warehouse refused and that are to be tried again, as (source id, table)."""
        with self._journal.reading() as connection:
            return reloads.refused_tables(connection, self._id)

    def open_reloads(self) -> list[Reload]:
        """Return the reloads that have something left to do, oldest first."""
        with self._journal.reading() as connection:
            return reloads.open_ones(connection, self._id)

    def _first_sight(self, connection: Connection, target: Target, cursor: int) -> None:
        """Begin to note. What is not connected now may never have been; what is excluded was not until now."""
        standings.start(connection, self._id, cursor)
        out = scopes.left_out(target)
        scopes.note(connection, self._id, (scope for scope in out if not scope.collection), 0)
        scopes.note(connection, self._id, (scope for scope in out if scope.collection), cursor)
        self._scopes = None

    def _stop(self, connection: Connection, scope: Scope, position: int, at: datetime) -> int:
        """Return from where on a scope is out: where the reloads stood that end because their source is not loaded."""
        for reload in [] if scope.collection else reloads.open_ones(connection, self._id):
            if reload.reason is not Reason.ASKED and reload.source_ids == (scope.source_id,):
                position = min(position, reload.position)
                reloads.end(connection, reload, ReloadState.CANCELLED, at, "The source is not connected any more.")
        return position

    def _settle_plan(self, connection: Connection, plan: Plan, cursor: int) -> Standing:
        """Note the batch that was on its way when the process or the connection ended, if the warehouse has it."""
        if cursor == plan.run.next:
            self._settle(connection, plan.run, plan.misfits, committed=True)
        else:
            standings.drop_plan(connection, self._id)
        standing = standings.get(connection, self._id)
        assert standing is not None  # noqa: S101 - checks our own work: it had a plan
        return standing

    def _stands_elsewhere(self, connection: Connection, standing: Standing, cursor: int, at: datetime) -> None:
        """Take the warehouse's word: it was set back, emptied, or loaded by somebody else."""
        ahead = max(0, cursor - standing.position)
        _log.warning("warehouse.stands_elsewhere", warehouse_id=self._id, cursor=cursor, noted=standing.committed)
        if ahead:
            _log.error("warehouse.unaccounted", warehouse_id=self._id, count=ahead)
        standings.start(connection, self._id, cursor)
        if cursor < standing.position:
            scopes.lower(connection, self._id, cursor)
            reloads.cut(connection, self._id, cursor, at)
            self._scopes = None

    def _settle(self, connection: Connection, run: SyncRun, found: Iterable[Misfit], *, committed: bool) -> None:
        """Note the run, its counts and the new position."""
        if run.events or run.notices or run.error:
            runs.add(connection, run)
        else:
            runs.count(connection, run)
        trends.add(connection, run)
        overflowed.add(connection, self._id, found, run.started_at)
        standings.advance(connection, run, committed=committed)

    def _refuse(self, connection: Connection, refused: Iterable[tuple[str, Table]], run: SyncRun) -> None:
        """Store what a batch goes without."""
        for source_id, table in refused:
            reloads.refuse(connection, self._id, source_id, table, run.first, run.next)
