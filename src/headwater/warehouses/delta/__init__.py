"""Delta: open tables of Parquet files in a bucket or a directory, for Spark, Databricks, Trino, DuckDB and others.

Delta commits one table at a time. Each commit of the main line carries an application transaction, the log sequence up
to which that table is loaded: a batch that is repeated after a crash brings each table only what it lacks, and the
cursor is written last. So a reader may see a batch in one table a moment before it is in another.

Source: Delta transaction log protocol (transaction identifiers, actions); delta-rs documentation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, ClassVar, Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import RetryableError
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses.contract import (
    ID,
    SEQ,
    Card,
    Columns,
    ColumnType,
    Expired,
    Load,
    Removal,
    Staged,
    Table,
    View,
)
from headwater.warehouses.delta.head import PLACE, Head
from headwater.warehouses.delta.newest import ORIGINS, Newest
from headwater.warehouses.delta.reading import Reading
from headwater.warehouses.delta.store import KINDS, Settings, Store, selected, told

__all__ = ["CARD", "Reading", "Settings", "Warehouse"]

CARD: Final = Card(
    name="Delta Lake",
    description="Delta tables in an S3-compatible bucket or a directory, for Spark, Databricks, Trino and others.",
    extra="delta",
    notes=(
        (
            "Each table is a Delta table of its own at <location>/<schema>/<table>. A batch appears in one table after "
            "the other, within moments; each of its events is in each table once."
        ),
        (
            "Every load is a commit with small files, which are merged now and then. A schedule of some minutes keeps "
            "their number and the requests to the bucket low."
        ),
        "users and accounts are tables that follow identifies and groups. There are no views for analysis here.",
        "A column keeps its type; a later value that does not fit stands in _overflow.",
    ),
)

APP: Final = "headwater"
COMPACT_LOADS: Final = 64  # ours: a load makes one small file a table
KEEP_HOURS: Final = 24  # ours: how long a query may go on reading files that were merged away
_MEMORY: Final = "256MB"


class Warehouse:
    """Loads batches into Delta tables; see the module for why that is exactly once."""

    types: ClassVar[Mapping[ColumnType, str]] = KINDS
    dialect: ClassVar[str] = ""

    def __init__(self, settings: Settings, home: Path) -> None:
        self._store = Store(settings, home)
        self._head = Head(self._store)
        self._newest = Newest(self._store, APP)
        self._loads: dict[Table, int] = {}

    def check(self) -> None:
        """Read from the place, and see that a directory can be written to."""
        directory = self._store.directory
        if directory is not None:
            nearest = next(each for each in (directory, *directory.parents) if each.exists())
            if not nearest.is_dir() or not os.access(nearest, os.W_OK):
                raise RetryableError("The directory of the Delta tables cannot be written to; change its mode.")
        with told():
            self._store.opened(PLACE)

    def open(self) -> None:
        """Make the table of columns, and finish a removal that a crash left half done."""
        with told():
            if self._store.directory is not None:
                self._store.directory.mkdir(parents=True, exist_ok=True)
            self._head.make()
            self._erase()

    def cursor(self) -> int:
        """Return what was committed last of all of a batch."""
        with told():
            return self._head.cursor()

    def columns(self) -> Mapping[Table, Columns]:
        """Return what the table of columns says."""
        with told():
            return self._head.columns()

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Note the columns; a table gets them with its next commit."""
        with told():
            self._head.add(added)

    def widen(self, wanted: Mapping[Table, Columns]) -> None:
        """Do nothing: delta-rs cannot change the type of a column that has rows."""

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Append to one table after the other, then write the cursor."""
        with told():
            if not batch.reload:
                cursor = self._head.cursor()
                if batch.next_cursor <= cursor:
                    return
                if batch.cursor < cursor:
                    raise RetryableError("Another process loads into this warehouse; stop one of the two.")
            for staged in batch.tables:  # before the first of them is changed
                self._store.refuse(staged.table, staged.columns)
            for staged in batch.tables:
                if batch.reload:
                    self._replace(staging, staged)
                else:
                    self._append(staging, staged, batch.next_cursor)
                self._loads[staged.table] = self._loads.get(staged.table, 0) + 1
            if not batch.reload:
                self._head.move(batch.next_cursor)

    def finish(self, reload: str) -> None:
        """Do nothing: rows of a reload are visible with their batch."""

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> Mapping[Table, int]:
        """Delete rows, then the files they were in."""
        removed: dict[Table, int] = {}
        with told():
            for table, columns in self._head.columns().items():
                if (schemas is None or table.schema in schemas) and (rows := self._delete(table, columns, removal)):
                    removed[table] = rows
            self._erase()
        return removed

    def publish(self, views: Sequence[View]) -> None:
        """Do nothing: Delta has no views."""

    def tidy(self) -> None:
        """Merge the small files of tables that were loaded often, and remove those that were merged a day ago."""
        with told():
            self._erase()
            for table in [table for table, loads in self._loads.items() if loads >= COMPACT_LOADS]:
                del self._loads[table]
                handle = self._store.opened(table)
                if handle is not None:
                    since = handle.version()
                    handle.optimize.compact()
                    self._store.sync(table, handle, since)
                    handle.vacuum(KEEP_HOURS, dry_run=False, enforce_retention_duration=False)

    def close(self) -> None:
        """Do nothing: between two calls nothing is open."""

    def _append(self, staging: DuckDBPyConnection, staged: Staged, next_cursor: int) -> None:
        """Append the rows that the table does not have yet."""
        handle = self._store.made(staged.table, _stored(staged.table, self._head.columns()[staged.table]))
        done, since = int(handle.transaction_version(APP) or 0), handle.version()
        if done < next_cursor:
            columns = _stored(staged.table, staged.columns)
            select = f"select {_list(columns)} from {staged.relation} where {SEQ} >= {done}"
            self._store.delta.write_deltalake(
                handle,
                self._store.stream(staging, select, columns),
                mode="append",
                schema_mode="merge",
                commit_properties=self._store.commit(APP, next_cursor),
            )
            self._store.sync(staged.table, handle, since)
        if staged.table.name in ORIGINS:
            self._newest.follow(staging, staged, next_cursor)

    def _replace(self, staging: DuckDBPyConnection, staged: Staged) -> None:
        """Merge rows by their ids, in one commit; a column that they do not have becomes null."""
        known = self._head.columns()[staged.table]
        every = _stored(staged.table, known)
        handle = self._store.made(staged.table, every)
        since = handle.version()
        given = _stored(staged.table, staged.columns)
        listed = ", ".join(
            quote_ident(name) if name in given else f"null::{kind.value} as {quote_ident(name)}"
            for name, kind in every.items()
        )
        rows = self._store.stream(staging, f"select {listed} from {staged.relation}", every)
        merge = handle.merge(rows, predicate=f"t.{ID} = s.{ID}", source_alias="s", target_alias="t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
        self._store.sync(staged.table, handle, since)
        if staged.table.name in ORIGINS:
            self._newest.refresh(staged.table, known, staged, staging)

    def _delete(self, table: Table, columns: Columns, removal: Removal) -> int:
        """Delete rows of one table; return how many.

        A person's rows are found first and deleted by their ids: a condition with an address would stay in the log.
        """
        where, handle = condition(removal, columns), self._store.opened(table)
        if where is None or handle is None:
            return 0
        since = handle.version()
        if isinstance(removal, Expired):
            if not self._store.has_before(handle, removal.before):
                return 0
            self._head.erase(wanted=True)
            before = quote_text(f"{removal.before.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
            deleted = int(handle.delete(f"received_at < {before}")["num_deleted_rows"])
        else:
            ids = self._found(handle, columns, where)
            if not ids.num_rows:
                return 0
            self._head.erase(wanted=True)
            merge = handle.merge(ids, predicate=f"t.{ID} = s.{ID}", source_alias="s", target_alias="t")
            merge.when_matched_delete().execute()
            deleted = int(ids.num_rows)
        self._store.sync(table, handle, since)
        return deleted

    @staticmethod
    def _found(handle: Any, columns: Columns, where: str) -> Any:
        """Return the ids of the rows that a condition in DuckDB's SQL takes."""
        with duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.register("stored_rows", handle.to_pyarrow_dataset())
            rows = f"select {selected(handle, columns)} from stored_rows"
            return connection.sql(f"select {ID} from ({rows}) where {where}").to_arrow_table()

    def _erase(self) -> None:
        """Remove the files of deleted rows, and what was computed from them, if that is still to be done."""
        if not self._head.is_to_erase:
            return
        for table, columns in self._head.columns().items():
            if table.name in ORIGINS:
                self._newest.rebuild(table, columns)
        for table in (*self._head.columns(), *self._newest.tables(self._head.columns())):
            handle = self._store.opened(table)
            if handle is not None:
                handle.vacuum(0, dry_run=False, enforce_retention_duration=False)
        self._head.erase(wanted=False)


def _stored(table: Table, columns: Columns) -> dict[str, ColumnType]:
    """Return the columns of a table as it lies there: what is newest is found by the log's sequence."""
    return {**columns, SEQ: ColumnType.INTEGER} if table.name in ORIGINS else dict(columns)


def _list(columns: Columns) -> str:
    """Return column names for a SELECT."""
    return ", ".join(quote_ident(name) for name in columns)
