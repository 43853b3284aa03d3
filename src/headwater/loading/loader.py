"""Carry one stretch of the log into one warehouse: read, build, widen, load."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import structlog

from headwater import shelf
from headwater.clock import Clock
from headwater.errors import DeliveryError, RetryableError
from headwater.eventlog.contract import Reader, Topic
from headwater.loading.build import Built, build
from headwater.loading.runs import RunStatus, SyncRun
from headwater.loading.staging import Staging
from headwater.loading.target import Target
from headwater.spec.event import Batch, Damage, Frame
from headwater.warehouses.contract import Load, Warehouse

EVENTS_MAX: Final = 100_000  # ours, a batch
BATCH_BYTES_MAX: Final = 48 * 1024 * 1024  # ours: with what DuckDB makes of it, below 512 MB
SOURCE_KNOWN_AFTER: Final = timedelta(seconds=60)  # a configuration change reaches every process within 2 s

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Stretch:
    """What was read for one batch: frames by schema, and what was left out."""

    first: int
    next: int
    frames: dict[str, list[Frame]] = field(default_factory=dict)
    events: int = 0
    size: int = 0
    filtered: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)
    expired: int = 0
    held: bool = False

    @property
    def is_full(self) -> bool:
        """Whether the batch should be built now."""
        return self.held or self.events >= EVENTS_MAX or self.size >= BATCH_BYTES_MAX


class Loader:
    """One warehouse's reader: all its work is done by one thread at a time."""

    def __init__(self, target: Target, reader: Reader, directory: Path, clock: Clock) -> None:
        self.target = target
        self._reader = reader
        self._directory = directory
        self._clock = clock
        self._warehouse: Warehouse | None = None
        self._staging: Staging | None = None
        self._held = (-1, 0.0)  # the sequence that waits for its source, and since when on a clock that nobody sets
        self.cursor: int | None = None

    def open(self) -> None:
        """Connect to the warehouse and learn where it stands.

        Raises:
            DeliveryError: it does not work; the next try opens it again.
        """
        if self._warehouse is not None:
            return
        warehouse = make(self.target, self._directory)
        try:
            warehouse.open()
            self.cursor = warehouse.cursor()
        except BaseException:
            warehouse.close()
            raise
        self._warehouse = warehouse
        self._staging = Staging(self._directory / "scratch" / self.target.id)

    def step(self) -> SyncRun | None:
        """Load what follows the cursor, up to one batch; None when nothing does (or it has to wait).

        Raises:
            DeliveryError: the warehouse did not take it; nothing is lost, the cursor stands.
        """
        self.open()
        stretch = self._read()
        if stretch.next == stretch.first:
            return None
        started_at, started = self._clock(), time.perf_counter()
        built = self._build(stretch, started_at) if stretch.frames else []
        tables = tuple(staged for part in built for staged in part.staged)
        self._load(Load(stretch.first, stretch.next, tables), built)
        self.cursor = stretch.next
        notices = (*_notices(stretch), *(notice for part in built for notice in part.notices))
        return SyncRun(
            warehouse_id=self.target.id,
            status=RunStatus.PARTIAL if stretch.damage else RunStatus.SUCCESS,
            started_at=started_at,
            duration_ms=round((time.perf_counter() - started) * 1000),
            first=stretch.first,
            next=stretch.next,
            events=stretch.events,
            filtered=stretch.filtered,
            rows={f"{staged.table.schema}.{staged.table.name}": staged.rows for staged in tables},
            notices=notices,
        )

    def tidy(self) -> None:
        """Let the warehouse clean up; never a reason for a load to fail."""
        if self._warehouse is not None:
            try:
                self._warehouse.tidy()
            except DeliveryError as error:
                _log.warning("warehouse.tidy_failed", warehouse_id=self.target.id, error=str(error))

    def close(self) -> None:
        """Let go of the warehouse; `step` opens it again."""
        if self._warehouse is not None:
            self._warehouse.close()
        if self._staging is not None:
            self._staging.close()
        self._warehouse = self._staging = None

    def _read(self) -> _Stretch:
        """Return the next stretch of the log, sorted by schema.

        Raises:
            DeliveryError: the log ends before what the warehouse holds already.
        """
        cursor, end = self.cursor or 0, self._reader.end(Topic.EVENTS)
        self._refuse_another_log(cursor, end)
        stretch = _Stretch(cursor, cursor)
        while not stretch.is_full:
            batch = self._reader.read(Topic.EVENTS, stretch.next)
            if batch.next_cursor == stretch.next:
                break
            stretch.damage += batch.damage
            stretch.expired += _expired(batch)
            for frame in batch.frames:
                if not self._take(stretch, frame):
                    return stretch
            stretch.next = batch.next_cursor
        return stretch

    def _refuse_another_log(self, cursor: int, end: int) -> None:
        """Refuse a log that ends before what is loaded, also when it has grown beyond that meanwhile.

        What it held in between would be skipped silently: so the place is noted until the warehouse stands elsewhere.
        """
        noted = self._directory / "scratch" / self.target.id / "ahead"
        if 0 < end < cursor:  # a log of no event may just not be open yet
            noted.write_text(str(cursor))
        elif noted.exists() and noted.read_text() != str(cursor):
            noted.unlink()
        if cursor > end or noted.exists():
            raise DeliveryError(
                f"The warehouse was loaded up to event {cursor}, the log ends at {end}: it is another log, or an older "
                "copy of it. Give the warehouse an empty directory (or database) to load this log from its start."
            )

    def _take(self, stretch: _Stretch, frame: Frame) -> bool:
        """Add a frame to a stretch; False when it must wait because the configuration may not name its source yet."""
        schema = self.target.sources.get(frame.source_id)
        if schema is None and self._clock() - frame.received_at < SOURCE_KNOWN_AFTER and self._may_hold(frame):
            stretch.held = True
            return False
        if schema:
            stretch.frames.setdefault(schema, []).append(frame)
            stretch.events += frame.count
            stretch.size += len(frame.lines)
        else:
            stretch.filtered += frame.count
        if schema is None:
            stretch.unknown[frame.source_id] = stretch.unknown.get(frame.source_id, 0) + frame.count
        stretch.next = frame.first_seq + frame.count
        return True

    def _may_hold(self, frame: Frame) -> bool:
        """Whether a frame has not waited too long already: a wall clock that was set back makes it young for long."""
        seq, since = self._held
        if seq != frame.first_seq:
            self._held = (frame.first_seq, time.monotonic())
            return True
        return time.monotonic() - since < SOURCE_KNOWN_AFTER.total_seconds()

    def _build(self, stretch: _Stretch, loaded_at: datetime) -> list[Built]:
        """Build the tables of each schema."""
        assert self._warehouse is not None  # noqa: S101 - checks our own work: `step` has opened it
        assert self._staging is not None  # noqa: S101 - as above
        known = self._warehouse.columns()
        numbers = count()
        return [
            build(self._staging, schema, f"s{next(numbers)}", frames, known, loaded_at)
            for schema, frames in stretch.frames.items()
        ]

    def _load(self, batch: Load, built: list[Built]) -> None:
        """Hand a batch over: columns first, then rows and cursor in one commit."""
        assert self._warehouse is not None  # noqa: S101 - as above
        assert self._staging is not None  # noqa: S101 - as above
        if not batch.tables:
            return
        try:
            self._warehouse.add_columns({table: columns for part in built for table, columns in part.added.items()})
            self._warehouse.load(self._staging.connection, batch)
        finally:
            self._staging.drop(*(staged.relation for staged in batch.tables))


def make(target: Target, directory: Path) -> Warehouse:
    """Return the warehouse of a target, not opened yet.

    Raises:
        DeliveryError: there is no such type, or its settings do not fit.
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
    warehouse: Warehouse = module.Warehouse(settings, directory / "warehouses" / target.id)
    return warehouse


def is_retryable(error: DeliveryError) -> bool:
    """Return whether the same batch may work by itself later."""
    return isinstance(error, RetryableError)


def _notices(stretch: _Stretch) -> list[str]:
    """Return what is to be said of a stretch before any table."""
    missing = [
        f"Events {damage.first} to {damage.last} are damaged in the log and missing here ({damage.reason})."
        for damage in stretch.damage
    ]
    unknown = [
        f"{number} events of source {source_id} were left out: it was deleted or is not connected here."
        for source_id, number in stretch.unknown.items()
    ]
    expired = (
        [f"{stretch.expired} events from {stretch.first} on had left the log (retention) before they were loaded here."]
        if stretch.expired
        else []
    )
    return expired + missing + unknown


def _expired(batch: Batch) -> int:
    """Return how many records at the front of a batch retention has taken."""
    there = [*(frame.first_seq for frame in batch.frames[:1]), *(damage.first for damage in batch.damage[:1])]
    return max(0, min(there, default=batch.next_cursor) - batch.cursor)
