"""Embedded: Parquet files in a directory and a DuckDB file of views; needs no server and locks no reader out."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater import clock
from headwater.clock import Clock
from headwater.errors import DeliveryError, RetryableError
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import SEQ, Card, Columns, ColumnType, Load, Staged, Table
from headwater.warehouses.embedded import registry, views
from headwater.warehouses.embedded.compaction import Compaction
from headwater.warehouses.embedded.layout import Layout, Stretch, lost, publish, stretches, write_json
from headwater.warehouses.embedded.reading import ViewsReading

CARD: Final = Card(
    name="Embedded",
    description="Parquet files in Headwater's data directory, read by DuckDB and any BI tool while events flow in.",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the files lie."""

    directory: str = field(
        default="",
        metadata={
            "label": "Directory",
            "description": "A directory on this machine; empty for a place in Headwater's data directory.",
            "secret": False,
            "required": False,
        },
    )


# Level 1 writes a fifth faster than level 3 and is as small here; merging writes with level 3.
_FAST: Final = "format parquet, compression zstd, compression_level 1"
_GLOB: Final = frozenset("*?[")  # DuckDB would read them as patterns


def directory(settings: Settings, home: Path) -> Path:
    """Return where a warehouse with these settings keeps its files."""
    return Path(settings.directory).expanduser().absolute() if settings.directory else home.absolute()


class Warehouse:
    """Loads batches into one directory; see `layout` for what lies where and why that is exactly once."""

    types: ClassVar[Mapping[ColumnType, str]] = {kind: kind.value for kind in ColumnType}
    dialect: ClassVar[str] = "duckdb"

    def __init__(self, settings: Settings, home: Path, *, clock: Clock = clock.now) -> None:
        self._layout = Layout(directory(settings, home))
        self._tables: registry.Tables = {}
        self._lock: int | None = None
        self._viewed: registry.Tables | None = None
        self._compaction = Compaction(self._layout, clock)

    def check(self) -> None:
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
        self.check()
        self._take_lock()
        self._layout.make()
        self._tables = registry.read(self._layout.root / "registry.json")
        if not self._tables and (stretches(self._layout.live) or stretches(self._layout.merged)):
            # every table would look new, and the next merge would leave the rows of those it does not know behind
            raise lost("registry.json")
        self._compaction.open()
        for table, columns in self._tables.items():
            if _columns_of(self._layout.marker(table)) != [*columns, SEQ]:
                self._mark(table, columns)
        self._view()

    def cursor(self) -> int:
        """Return where the newest batch ends: the names of the directories are the cursor."""
        live = stretches(self._layout.live)
        return max([self._compaction.merged.before, *(stretch.next for stretch in live)])

    def columns(self) -> Mapping[Table, Columns]:
        """Return what the registry says."""
        return self._tables

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Write the registry, then the files that give the views their types."""
        tables = registry.widened(self._tables, added)
        changed = [table for table, columns in tables.items() if columns != self._tables.get(table)]
        if not changed:
            return
        with _retryable():
            write_json(self._layout.root / "registry.json", self._layout.staging, registry.content(tables))
            self._tables = tables
            for table in changed:
                self._mark(table, tables[table])

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Write the batch's files aside and rename their directory: one commit for all tables and the cursor."""
        if batch.next_cursor <= self.cursor():
            return
        stretch = Stretch(batch.cursor, batch.next_cursor)
        staged = self._layout.staging / stretch.name
        with _retryable():
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            for table in batch.tables:
                _copy(staging, table, staged)
            publish(staged, self._layout.live / stretch.name)
            self._view()

    def tidy(self) -> None:
        """Merge small files when there are many, and remove those that nobody reads any more."""
        with _retryable():
            self._compaction.remove_retired()
            self._view(anew=self._compaction.run(self._tables))

    def close(self) -> None:
        """Give the directory's lock back."""
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

    def _mark(self, table: Table, columns: Columns) -> None:
        """Write the file that has a table's columns and no rows."""
        staged = self._layout.staging / "marker.parquet"
        listed = ", ".join(f"null::{kind.value} as {quote_ident(name)}" for name, kind in columns.items())
        select = f"select {listed}, null::bigint as {SEQ} where false"
        duckdb.connect(config={"threads": 1}).execute(f"copy ({select}) to {quote_text(str(staged))} (format parquet)")
        publish(staged, self._layout.marker(table))

    def _view(self, *, anew: bool = False) -> None:
        """Replace `views.duckdb` when it does not show what there is."""
        if anew:
            self._viewed = None  # until it is done: when the disk is full now, the next load or tidying does it
        if self._viewed != self._tables:
            views.build(self._layout, self._tables, self._compaction.merged)
            self._viewed = self._tables


class Reading(ViewsReading):
    """Asks the views, attached read-only and locked away from everything else."""

    def __init__(self, settings: Settings, home: Path) -> None:
        super().__init__(directory(settings, home))


def _copy(staging: DuckDBPyConnection, table: Staged, batch: Path) -> None:
    """Write one table of a batch."""
    file = batch / table.table.schema / f"{table.table.name}.parquet"
    file.parent.mkdir(exist_ok=True)
    staging.execute(f"copy (from {table.relation}) to {quote_text(str(file))} ({_FAST})")


def _columns_of(file: Path) -> list[str]:
    """Return the columns of a Parquet file, none when there is no such file."""
    if not file.exists():
        return []
    with duckdb.connect(config={"threads": 1}) as connection:
        return [str(row[0]) for row in connection.execute(f"describe from {quote_text(str(file))}").fetchall()]


@contextmanager
def _retryable() -> Iterator[None]:
    """Turn a failure of the disk into one that is tried again: nothing was published."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"DuckDB failed with {type(error).__name__}"
        raise RetryableError(f"The warehouse's files could not be written: {reason}.") from error
