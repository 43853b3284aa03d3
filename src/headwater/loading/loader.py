"""Carry one stretch of the log into one warehouse: read, build, widen, note, load, note."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from headwater import models, shelf
from headwater.clock import Clock
from headwater.errors import ConfigError, DeliveryError
from headwater.eventlog.contract import Reader, Topic
from headwater.loading.book import Book
from headwater.loading.journal import Journal
from headwater.loading.parcel import Packer, Parcel
from headwater.loading.reloads import Reason, Reload, ReloadState
from headwater.loading.runs import RunStatus, SyncRun
from headwater.loading.selection import Excluded
from headwater.loading.staging import Staging
from headwater.loading.stretch import NewEvents, Stretch, again
from headwater.loading.target import Target
from headwater.models import Models
from headwater.privacy.suppression import Suppressions
from headwater.protocols.gate import Gates
from headwater.warehouses.contract import Columns, Load, Removal, Table, Warehouse

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Open:
    """A warehouse that is open, and what it needs to be loaded."""

    warehouse: Warehouse
    packer: Packer


@dataclass(frozen=True, slots=True)
class _Published:
    """What the views for analysis were made of."""

    tables: Mapping[Table, Columns]
    models: Models
    email: frozenset[str]


class Loader:
    """One warehouse's reader: all its work is done by one thread at a time.

    Attributes:
        cursor: the first new event that is not loaded; None while the warehouse was never reached.
    """

    def __init__(
        self,
        target: Target,
        reader: Reader,
        directory: Path,
        journal: Journal,
        clock: Clock,
        *,
        suppressions: Suppressions | None = None,
        gates: Gates | None = None,
    ) -> None:
        self.target = target
        self.book = Book(journal, target.id)
        self.cursor: int | None = None
        self._reader = reader
        self._directory = directory
        self._clock, self._suppressions, self._gates = clock, suppressions, gates
        self._scratch = directory / "scratch" / target.id
        self._news = NewEvents(reader, clock, self._scratch)
        self._open: _Open | None = None
        self._committed = 0
        self._published: _Published | None = None

    def open(self) -> Warehouse:
        """Connect to the warehouse, learn where it stands and settle what a crash left.

        Raises:
            DeliveryError: it does not work; the next try opens it again.
        """
        return self._opened().warehouse

    def step(self) -> SyncRun | None:
        """Load new events, up to one batch; None when there are none (or they have to wait).

        Raises:
            DeliveryError: the warehouse did not take it; nothing is lost, the cursor stands.
        """
        target = self.target  # may be replaced meanwhile; a batch and what is noted of it follow one configuration
        packer = self._opened().packer
        started_at, started = self._clock(), time.perf_counter()
        stretch = self._news.after(self._position(), self._committed, target.sources)
        self.book.follow(target, stretch.first, stretch.unknown, started_at)
        if stretch.next == stretch.first:
            return None
        parcel = packer.pack(target, stretch.frames, started_at)
        parcel = parcel.without(self._refused_before(parcel, target))
        self._note_widened(parcel, started_at)

        def run_of(parcel: Parcel) -> SyncRun:
            return _run(target.id, stretch, parcel, started_at, _ms(started))

        def before(parcel: Parcel) -> None:
            self.book.plan(run_of(parcel), parcel.misfits, _named(parcel, target))

        parcel = packer.hand_over(parcel, Load(stretch.first, stretch.next, ()), before)
        run = run_of(parcel)
        self._committed = run.next if parcel.tables else self._committed
        self.book.settle(run, parcel.misfits, committed=bool(parcel.tables))
        self.cursor = stretch.next
        return run

    def again(self, reload: Reload) -> SyncRun | None:
        """Load the next batch of a reload, and make it visible after the last one; None when it has ended meanwhile.

        Raises:
            DeliveryError: the warehouse did not take it; the reload stands where it stood.
        """
        target = self.target
        opened = self._opened()
        started_at, started = self._clock(), time.perf_counter()
        reload = self.book.begin(reload, started_at)
        if not reload.is_open:
            return None
        end, excluded = self._rules_at(reload, target)
        stretch = again(self._reader, reload, end, target.sources)
        if stretch.next > self._committed:
            self._pass(opened, started_at)
        parcel = opened.packer.pack(target, stretch.frames, started_at, excluded)
        if reload.collections is not None:
            parcel = parcel.only(lambda table: table.name in (reload.collections or ()))
        self._note_widened(parcel, started_at)

        def run_of(parcel: Parcel) -> SyncRun:
            return replace(_run(target.id, stretch, parcel, started_at, _ms(started)), reload=reload.id)

        def before(parcel: Parcel) -> None:
            self.book.refuse(run_of(parcel), _named(parcel, target))

        parcel = opened.packer.hand_over(parcel, Load(stretch.first, stretch.next, (), reload.id), before)
        if parcel.refused and reload.reason is Reason.REFUSED:
            raise DeliveryError("; ".join(parcel.refused.values()))
        run = run_of(parcel)
        now = self.book.advance(reload, run, parcel.misfits)
        if now.position >= now.next:
            opened.warehouse.finish(reload.id)
            self.book.end(now, ReloadState.DONE, self._clock())
        return run

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> dict[str, int]:
        """Delete rows for good, in some schemas or in all; return how many of each `schema.table`.

        Raises:
            DeliveryError: the warehouse did not do it, or not all of it.
        """
        found = self.open().remove(removal, schemas)
        return {f"{table.schema}.{table.name}": rows for table, rows in found.items() if rows}

    def tidy(self) -> None:
        """Let the warehouse clean up and renew the views for analysis; never a reason for a load to fail."""
        if self._open is None:
            return
        try:
            self._finish_ended(self._open.warehouse)
            self._publish(self._open.warehouse)
            self._open.warehouse.tidy()
        except DeliveryError as error:
            _log.warning("warehouse.tidy_failed", warehouse_id=self.target.id, error=str(error))

    def close(self) -> None:
        """Let go of the warehouse; `step` opens it again."""
        if self._open is not None:
            self._open.warehouse.close()
            self._open.packer.staging.close()
        self._open = self._published = None

    def _opened(self) -> _Open:
        """Return the warehouse, opened if it was not."""
        if self._open is not None:
            return self._open
        warehouse = make(self.target, self._directory)
        try:
            warehouse.open()
            self._committed = warehouse.cursor()
            self.cursor = self.book.open(self.target, self._committed, self._clock())
        except BaseException:
            warehouse.close()
            raise
        self._open = _Open(warehouse, Packer(warehouse, Staging(self._scratch, self._suppressions, self._gates)))
        return self._open

    def _position(self) -> int:
        """Return where new events begin. What was passed and brought no row may have been another log's."""
        position, end = self.cursor or 0, self._reader.end(Topic.EVENTS)
        if self._committed <= end < position:
            self.cursor = position = self.book.rewind(self._committed)
        return position

    def _pass(self, opened: _Open, at: datetime) -> None:
        """Let the warehouse itself pass what brought it no row: a reload lies before its cursor, or comes twice."""
        position = self.cursor or 0
        run = SyncRun(self.target.id, RunStatus.SUCCESS, at, 0, position, position)
        self.book.plan(run, (), ())
        opened.warehouse.load(opened.packer.staging.connection, Load(self._committed, position, ()))
        self._committed = position
        self.book.settle(run, (), committed=True)

    def _refused_before(self, parcel: Parcel, target: Target) -> dict[Table, str]:
        """Return the tables that still wait to be loaded since the warehouse refused them: their reload grows."""
        waiting = {(target.sources.get(source_id), name) for source_id, name in self.book.refused()}
        return {
            staged.table: f"{staged.table.schema}.{staged.table.name} waits: the warehouse refused it before."
            for staged in parcel.tables
            if staged.table in waiting
        }

    def _note_widened(self, parcel: Parcel, at: datetime) -> None:
        if parcel.widened:
            self.book.widened(parcel.widened, at)

    def _rules_at(self, reload: Reload, target: Target) -> tuple[int, frozenset[Excluded]]:
        """Return how far a reload's next batch may go, and what stays out of it.

        What was excluded later belongs to the rows from before: they keep their properties, and get the tables that
        they lacked. A batch ends where that changes. Only who asks for a reload means the tables of today.
        """
        end = min(reload.next, self.cursor or 0)
        excluded = set()
        since = {(scope.source_id, scope.collection, scope.property): at for scope, at in self.book.scopes().items()}
        for each in target.excluded:
            first = since.get((each.source_id, each.collection, each.property), end)
            is_of_today = reload.reason is Reason.ASKED and not each.property
            if is_of_today or first <= reload.position:
                excluded.add(each)
            else:
                end = min(end, first)
        return end, frozenset(excluded)

    def _finish_ended(self, warehouse: Warehouse) -> None:
        """Make visible what reloads brought that were ended before their time: it stays, and is not loaded again."""
        for reload_id in self.book.unfinished():
            warehouse.finish(reload_id)
            self.book.finished(reload_id)

    def _publish(self, warehouse: Warehouse) -> None:
        """Renew the views for analysis if there are any and they would change."""
        if not warehouse.dialect:
            return
        target = self.target
        tables = {table: dict(columns) for table, columns in warehouse.columns().items()}
        wanted = _Published(tables, target.models, target.email)
        if wanted == self._published:
            return
        made = models.views(warehouse.dialect, tables, target.models, sorted(target.email))
        warehouse.publish(made if target.models.enabled else [])
        self._published = wanted


def make(target: Target, directory: Path) -> Warehouse:
    """Return the warehouse of a target, not opened yet.

    Raises:
        DeliveryError: there is no such type, its driver is not installed, or its settings do not fit.
    """
    try:
        module = shelf.take("headwater.warehouses", target.type)
    except KeyError as error:
        raise DeliveryError(
            f"There is no warehouse type {target.type!r} in this version; remove it or update."
        ) from error
    try:
        settings = msgspec.convert(dict(target.settings), module.Settings)
    except msgspec.ValidationError as error:
        raise DeliveryError(f"The settings of the warehouse do not fit: {error}. Correct them.") from error
    try:
        warehouse: Warehouse = module.Warehouse(settings, directory / "warehouses" / target.id)
    except ConfigError as error:
        raise DeliveryError(str(error)) from error
    return warehouse


def _run(warehouse_id: str, stretch: Stretch, parcel: Parcel, started_at: datetime, duration_ms: int) -> SyncRun:
    """Return the run of a stretch whose parcel the warehouse took."""
    refused = [f"Not loaded yet, and tried again: {reason}" for reason in parcel.refused.values()]
    return SyncRun(
        warehouse_id=warehouse_id,
        status=RunStatus.PARTIAL if stretch.missed or refused else RunStatus.SUCCESS,
        started_at=started_at,
        duration_ms=duration_ms,
        first=stretch.first,
        next=stretch.next,
        events=stretch.events - parcel.filtered - parcel.suppressed,
        filtered=stretch.filtered + parcel.filtered,
        suppressed=stretch.suppressed + parcel.suppressed,
        missed=stretch.missed,
        rows=parcel.rows,
        notices=(*refused, *stretch.notices(), *parcel.notices),
    )


def _named(parcel: Parcel, target: Target) -> list[tuple[str, Table]]:
    """Return the refused tables, each with its source."""
    source_of = {schema: source_id for source_id, schema in target.sources.items() if schema}
    return [(source_of[table.schema], table) for table in parcel.refused]


def _ms(started: float) -> int:
    """Return the milliseconds since then."""
    return round((time.perf_counter() - started) * 1000)
