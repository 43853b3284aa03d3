"""A warehouse in memory that keeps the contract, refuses tables on request, and fails at any of its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from headwater.errors import RefusedTableError, RetryableError
from headwater.warehouses.contract import ID, ColumnType, Expired, Table


class CrashError(BaseException):
    """The process ends here."""


@dataclass
class Store:
    """What outlives a crash.

    Attributes:
        rows: by table; a list, so that a row that came twice stands there twice.
        refused: tables that are not taken.
        fuse: after so many calls one fails: before it does anything if odd, after it has done it if even; -1: none.
        fault: how it fails.
    """

    cursor: int = 0
    columns: dict[Table, dict[str, ColumnType]] = field(default_factory=dict)
    rows: dict[Table, list[dict[str, object]]] = field(default_factory=dict)
    views: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    fuse: int = -1
    fault: type[BaseException] = RetryableError
    finished: list[str] = field(default_factory=list)

    def ids(self, table: Table) -> list[str]:
        """Return the ids of a table, as often as they stand there."""
        return sorted(str(row[ID]) for row in self.rows.get(table, []))

    def burn(self) -> None:
        """Come closer to the next failure."""
        if self.fuse < 0:
            return
        self.fuse -= 1
        if self.fuse < 0:
            raise self.fault("The connection was lost.")


class MemoryWarehouse:
    """One process' view of a store."""

    types: ClassVar = {kind: kind.value for kind in ColumnType}
    dialect: ClassVar = "duckdb"

    def __init__(self, store: Store) -> None:
        self.store = store

    def check(self) -> None:
        pass

    def open(self) -> None:
        self.store.burn()

    def cursor(self) -> int:
        self.store.burn()
        return self.store.cursor

    def columns(self):
        self.store.burn()
        return {table: dict(columns) for table, columns in self.store.columns.items()}

    def add_columns(self, added) -> None:
        self.store.burn()
        for table, columns in added.items():
            there = self.store.columns.setdefault(table, {})
            self.store.rows.setdefault(table, [])
            for name, kind in columns.items():
                there.setdefault(name, kind)
        self.store.burn()

    def widen(self, wanted) -> None:
        self.store.burn()
        for table, columns in wanted.items():
            self.store.columns[table].update(columns)
        self.store.burn()

    def load(self, staging, batch) -> None:
        self.store.burn()
        taken = []
        for staged in batch.tables:
            name = f"{staged.table.schema}.{staged.table.name}"
            if name in self.store.refused:
                raise RefusedTableError(f"{name} is locked by its owner.", table=name)
            assert set(staged.columns) <= set(self.store.columns[staged.table])
            found = staging.execute(f"from {staged.relation}")
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            assert len(rows) == staged.rows
            taken.append((staged.table, rows))
        if not batch.reload and batch.next_cursor <= self.store.cursor:
            return
        if batch.reload:
            assert batch.next_cursor <= self.store.cursor
        for table, rows in taken:
            if batch.reload:
                new = {row[ID] for row in rows}
                self.store.rows[table] = [row for row in self.store.rows[table] if row[ID] not in new]
            self.store.rows[table] += rows
        if not batch.reload:
            assert batch.cursor >= self.store.cursor
            self.store.cursor = batch.next_cursor
        self.store.burn()

    def finish(self, reload: str) -> None:
        self.store.burn()
        self.store.finished.append(reload)
        self.store.burn()

    def remove(self, removal, schemas=None):
        self.store.burn()
        removed = {}
        for table, rows in self.store.rows.items():
            if schemas is not None and table.schema not in schemas:
                continue
            if isinstance(removal, Expired):
                before = removal.before.replace(tzinfo=None)
                kept = [row for row in rows if row["received_at"] >= before]
            else:
                kept = [row for row in rows if row.get("user_id") not in removal.user_ids]
            removed[table], self.store.rows[table] = len(rows) - len(kept), kept
        return removed

    def publish(self, views) -> None:
        self.store.burn()
        self.store.views.append(f"{len(views)} views")

    def tidy(self) -> None:
        self.store.burn()

    def close(self) -> None:
        pass
