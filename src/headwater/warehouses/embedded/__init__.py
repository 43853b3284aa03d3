"""Embedded: Parquet files in a directory and a DuckDB file of views; needs no server and locks no reader out."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

import duckdb
import structlog
from duckdb import DuckDBPyConnection

from headwater import clock
from headwater.clock import Clock
from headwater.errors import ConfigError, DeliveryError, RetryableError
from headwater.privacy.person import Person
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import SEQ, Card, Columns, ColumnType, Load, Removal, Table, View
from headwater.warehouses.embedded import compaction, erasing, registry, reloads, views
from headwater.warehouses.embedded.copying import Copy, copy
from headwater.warehouses.embedded.layout import Layout, Stretch, lost, publish, stretches, write_json
from headwater.warehouses.embedded.parts import Parts, files_of, read
from headwater.warehouses.embedded.reading import ViewsReading
from headwater.warehouses.embedded.settings import Settings, directory_of

__all__ = ["CARD", "Reading", "Settings", "Warehouse"]

CARD: Final = Card(
    name="Embedded",
    description="Parquet files in Headwater's data directory, read by DuckDB and any BI tool while events flow in.",
    notes=(
        "Any number of programs read it while it is loaded: they open views.duckdb in its directory, read-only.",
        "A copy in S3-compatible storage, for readers on other machines, needs: pip install 'headwater[s3]'.",
    ),
)


_log = structlog.get_logger(__name__)

_GLOB: Final = frozenset("*?[")  # DuckDB would read them as patterns
_DIGITS_MAX: Final = 2**53  # beyond it a double does not hold every integer


class Warehouse:
    """Loads batches into one directory; see `layout` for what lies where and why that is exactly once."""

    types: ClassVar[Mapping[ColumnType, str]] = {kind: kind.value for kind in ColumnType}
    dialect: ClassVar[str] = "duckdb"

    def __init__(self, settings: Settings, home: Path, *, clock: Clock = clock.now) -> None:
        self._layout = Layout(directory_of(settings, home))
        self._parts = Parts(self._layout, clock)
        self._tables: registry.Tables = {}
        self._models: list[View] = []
        self._cursor = 0
        self._lock: int | None = None
        self._shown: int | None = None  # the generation of the views that are there; None when they are outdated
        self._refused: list[str] = []
        self._bucket: Copy | None = _bucket(settings, self._layout, clock) if settings.bucket else None

    def check(self) -> None:
        """Return when the directory can be made or written to, and the bucket answers."""
        self._check_directory()
        if self._bucket is not None:
            self._bucket.check()

    def _check_directory(self) -> None:
        """Return when the directory can be made or written to."""
        if _GLOB & set(str(self._layout.root)):
            raise DeliveryError("The warehouse's directory may not have *, ? or [ in its name; choose another.")
        try:
            self._layout.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RetryableError(f"The warehouse's directory cannot be made: {error.strerror}.") from error
        if not os.access(self._layout.root, os.W_OK):
            raise RetryableError("The warehouse's directory cannot be written to; change its owner or its mode.")

    def open(self) -> None:
        """Take the directory's lock, remove unfinished work and bring the views up to date."""
        self._check_directory()
        self._take_lock()
        with _retryable():
            self._layout.make()
            self._tables = registry.read(self._layout.root / "registry.json")
            if not self._tables and (stretches(self._layout.live) or stretches(self._layout.merged)):
                # every table would look new, and the next merge would leave the rows of those it does not know behind
                raise lost("registry.json")
            self._parts.open()
            self._models = registry.read_views(self._layout.root / "views.json")
            self._cursor = max([self._parts.state.before, *(batch.next for batch in stretches(self._layout.live))])
            for table, columns in self._tables.items():
                if self._marked(table) != {**columns, SEQ: ColumnType.INTEGER}:
                    self._mark(table, columns)
            self._shown = None
            self._show()
            self._parts.remove_retired()
        try:
            self._copy()  # what a crash interrupted
        except DeliveryError as error:
            _log.warning("bucket.behind", error=str(error))  # loading goes on, and each load says it again

    def cursor(self) -> int:
        """Return where the newest batch ends: the names of the directories are the cursor."""
        return self._cursor

    def columns(self) -> Mapping[Table, Columns]:
        """Return what the registry says."""
        return self._tables

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Write the registry, then the files that give the views their columns."""
        self._register(registry.extended(self._tables, added))

    def widen(self, wanted: Mapping[Table, Columns]) -> None:
        """Note wider types: files keep the types that they have, and what reads them casts.

        A bigint column with an integer that a double does not hold becomes varchar instead of double.
        """
        tables = registry.widened(self._tables, wanted)
        with _retryable():
            for table, columns in tables.items():
                floats = [
                    name
                    for name, kind in columns.items()
                    if kind is ColumnType.FLOAT is not self._tables[table][name]
                    and self._has_long_integers(table, name)
                ]
                columns.update(dict.fromkeys(floats, ColumnType.VARCHAR))
        self._register(tables)
        with _retryable():
            self._show()

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Write the batch's files aside and rename their directory: one commit for all tables and the cursor."""
        if not batch.reload and batch.next_cursor <= self._cursor:
            return
        stretch = Stretch(batch.cursor, batch.next_cursor)
        staged = self._layout.staging / stretch.name
        with _retryable():
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            for table in batch.tables:
                copy(staging, table, staged)
            if batch.reload:
                reloads.collect(self._parts, batch.reload, stretch, staged)
                return
            publish(staged, self._layout.live / stretch.name)
            self._cursor = stretch.next
            self._show()
        self._copy()

    def finish(self, reload: str) -> None:
        """Let what a reload collected take the place of what was there, in one change."""
        with _retryable():
            reloads.finish(self._parts, reload, self._tables)
            self._show()
        self._copy()

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> Mapping[Table, int]:
        """Write every file that holds such a row again; a person's rows wait for no reader."""
        with _retryable():
            self._parts.remove_retired()
            removed = erasing.remove(self._parts, removal, self._tables, schemas)
            self._show()
            self._parts.remove_retired()
        self._copy(at_once=isinstance(removal, Person))
        return removed

    def publish(self, views: Sequence[View]) -> None:
        """Keep these views beside the tables, in `views.duckdb`."""
        if list(views) != self._models:
            with _retryable():
                write_json(self._layout.root / "views.json", self._layout.staging, list(views))
                self._models, self._shown = list(views), None
                self._show()
            self._copy()
        if self._refused:
            raise DeliveryError(f"Views for analysis could not be made: {'; '.join(self._refused)}")

    def tidy(self) -> None:
        """Merge small files when there are many, and remove those that nobody reads any more."""
        with _retryable():
            self._parts.remove_retired()
            if compaction.is_due(self._parts):
                compaction.merge(self._parts, self._tables)
            self._show()
        self._copy()

    def close(self) -> None:
        """Give the directory's lock back."""
        self._parts.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        """Refuse a second loader: two would give a row twice."""
        if self._lock is not None:
            return
        descriptor = os.open(self._layout.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise RetryableError(
                "Another process loads into this warehouse's directory; stop one of the two."
            ) from error
        self._lock = descriptor

    def _register(self, tables: registry.Tables) -> None:
        """Write the registry where it says something else, and the markers of the tables that changed."""
        changed = [table for table, columns in tables.items() if columns != self._tables.get(table)]
        if not changed:
            return
        with _retryable():
            write_json(self._layout.root / "registry.json", self._layout.staging, registry.content(tables))
            self._tables = tables
            self._shown = None
            for table in changed:
                self._mark(table, tables[table])

    def _has_long_integers(self, table: Table, column: str) -> bool:
        """Return whether a file that will be read holds an integer that is not exact as a double."""
        reload_batches = [each / batch.name for each in self._layout.reloads.iterdir() for batch in stretches(each)]
        files = files_of([*self._parts.directories(), *reload_batches], table)
        if not files:
            return False
        name = quote_ident(column)
        source = read([self._layout.marker(table), *files])
        found = self._parts.connection.execute(
            f"select 1 from {source} where {name} not between ? and ? limit 1", [-_DIGITS_MAX, _DIGITS_MAX]
        ).fetchone()
        return found is not None

    def _marked(self, table: Table) -> dict[str, str]:
        """Return the columns and types that a table's marker has, none when it has none yet."""
        marker = self._layout.marker(table)
        if not marker.exists():
            return {}
        rows = self._parts.connection.execute(f"describe from {quote_text(str(marker))}").fetchall()
        return {str(name): str(kind).lower() for name, kind, *_ in rows}

    def _mark(self, table: Table, columns: Columns) -> None:
        """Write the file that has a table's columns and no rows."""
        staged = self._layout.staging / "marker.parquet"
        listed = ", ".join(f"null::{kind.value} as {quote_ident(name)}" for name, kind in columns.items())
        select = f"select {listed}, null::bigint as {SEQ} where false"
        self._parts.connection.execute(f"copy ({select}) to {quote_text(str(staged))}")
        publish(staged, self._layout.marker(table))

    def _copy(self, *, at_once: bool = False) -> None:
        """Bring the copy in the bucket up to date, if there is one."""
        if self._bucket is not None:
            with _retryable():
                self._bucket.mirror(self._parts, self._tables, self._models, at_once=at_once)

    def _show(self) -> None:
        """Replace `views.duckdb` when it does not show what there is; on a full disk the next load or tidying does."""
        if self._shown != self._parts.state.generation:
            staged = self._layout.staging / "views.duckdb"
            scan = views.scan_of(self._layout, self._parts.merged)
            self._refused = views.write(self._parts.connection, staged, self._tables, scan, self._models)
            publish(staged, self._layout.views)
            self._shown = self._parts.state.generation


class Reading(ViewsReading):
    """Asks the views, attached read-only and locked away from everything else."""

    def __init__(self, settings: Settings, home: Path) -> None:
        super().__init__(directory_of(settings, home))


def _bucket(settings: Settings, layout: Layout, clock: Clock) -> Copy:
    """Return the copy in a bucket.

    Raises:
        ConfigError: what it needs is not installed.
    """
    try:
        from headwater.warehouses.embedded.bucket import Bucket  # noqa: PLC0415 - an optional driver
    except ImportError as error:
        raise ConfigError("A bucket needs a driver: pip install 'headwater[s3]'.") from error
    return Bucket(settings, layout, clock)


@contextmanager
def _retryable() -> Iterator[None]:
    """Turn a failure of the disk into one that is tried again: nothing was published."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"DuckDB failed with {type(error).__name__}"
        raise RetryableError(f"The warehouse's files could not be written: {reason}.") from error
