"""One lane for every database that DuckDB attaches and commits to as a whole: a file, MotherDuck, a lake.

Rows, columns and the cursor lie in the attached database; a batch is one transaction of it, which copies straight from
the staging connection. Two loaders are harmless: the cursor is read and moved inside that transaction.

The tables that `users` and `accounts` are made of are stored in the schema `_headwater` with the log's sequence, under
`schema.table`, and shown as views without it; all others are plain tables.

Source: DuckDB documentation, ATTACH and DETACH, Transactions, ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import RefusedTableError, RetryableError
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses._lanes.attached.failures import told
from headwater.warehouses._lanes.attached.tables import (
    BOOKKEEPING,
    CURSOR,
    ERASE,
    ORIGINS,
    STATE,
    VIEWS,
    make,
    publish,
    published,
    qualified,
    set_value,
    show,
    stored,
    tables_of,
    transaction,
    value_of,
    wider_types,
)
from headwater.warehouses._lanes.locked import CATALOG
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses.contract import ID, SEQ, Columns, ColumnType, Load, Removal, Staged, Table, View

TIDY_LOADS: Final = 64  # ours: small files are worth a merge then
_MEMORY: Final = "320MB"  # ours: of the connection that asks and changes tables; loading uses staging's

REFUSED: Final = (
    duckdb.ConversionException,
    duckdb.ConstraintException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
)
"""What DuckDB raises for rows that cannot go into a table."""

Do = Callable[[DuckDBPyConnection], None]


def nothing(connection: DuckDBPyConnection) -> None:
    """Do nothing."""
    del connection


def erased(connection: DuckDBPyConnection, catalog: str = CATALOG) -> None:
    """Note that nothing is left of deleted rows."""
    set_value(connection, ERASE, 0, f"{catalog}.")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What differs between the databases that are attached.

    Attributes:
        name: what people call it, in sentences.
        target: what ATTACH takes, with its options, as SQL; it may hold secrets and is never shown.
        prepare: makes a new connection able to attach it: extensions, secrets.
        make: brings the database into being, once, before it is attached for the first time.
        widens: which types a column can be given in place.
        erase: makes what was deleted vanish from the disk as well, then calls `erased` for what is there afterwards;
            runs outside of a transaction.
        tidy: merges small files.
        alias: the name that it has once it is attached, quoted.
        stays: whether it stays attached between loads: attaching is slow, and it locks no reader out.
    """

    name: str
    target: Callable[[], str]
    prepare: Do = nothing
    make: Callable[[], None] = lambda: None
    widens: frozenset[ColumnType] = frozenset({ColumnType.FLOAT, ColumnType.VARCHAR})
    erase: Do = erased
    tidy: Do = nothing
    alias: str = CATALOG
    stays: bool = False


class Lane:
    """Loads batches into one attached database; see `contract.Warehouse`, whose methods these are.

    An entry of the shelf inherits from it and gives the catalog: what it promises is all here.
    """

    types: ClassVar[Mapping[ColumnType, str]] = {kind: kind.value for kind in ColumnType}
    dialect: ClassVar[str] = "duckdb"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._own: DuckDBPyConnection | None = None
        self._own_attached = False
        self._staging: DuckDBPyConnection | None = None  # the one that it stays attached to
        self._columns: dict[Table, dict[str, ColumnType]] | None = None
        self._loads = 0
        self._to_erase = False

    def check(self) -> None:
        """Attach the database and read from it, read-only where it is there."""
        with self._asked():
            pass

    def open(self) -> None:
        """Make what Headwater keeps of its own, and finish what a crash left half done."""
        with self._told():
            self._catalog.make()
        with self._asked() as connection, transaction(connection):
            connection.execute(f"create schema if not exists {BOOKKEEPING}")
            connection.execute(f"create table if not exists {STATE} (name varchar, value bigint)")
            connection.execute(f"create table if not exists {VIEWS} (place varchar, name varchar, query varchar)")
            for name in (CURSOR, ERASE):
                row = f"select {quote_text(name)}, 0 where not exists (from {STATE} where name = {quote_text(name)})"
                connection.execute(f"insert into {STATE} {row}")
            self._to_erase = bool(value_of(connection, ERASE))
        self._columns = None
        self._erase()

    def cursor(self) -> int:
        """Return what was committed with the newest batch."""
        with self._asked() as connection:
            return value_of(connection, CURSOR)

    def columns(self) -> Mapping[Table, Columns]:
        """Return every table, as the database has it now."""
        if self._columns is None:
            with self._asked() as connection:
                self._columns = tables_of(connection)
        return self._columns

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Make tables, columns and the views of what is newest, in one transaction."""
        if not added:
            return
        self._columns = None
        with self._asked() as connection, transaction(connection):
            there = tables_of(connection)
            for schema in {BOOKKEEPING, *(table.schema for table in added)}:
                connection.execute(f"create schema if not exists {quote_ident(schema)}")
            for table, columns in added.items():
                make(connection, table, columns, there.get(table))
            there = tables_of(connection)
            show(connection, there, added)
        self._columns = there

    def widen(self, wanted: Mapping[Table, Columns]) -> None:
        """Change types in place; a column whose numbers double cannot hold becomes varchar, in the whole schema."""
        known = self.columns()
        self._columns = None
        with self._asked() as connection, transaction(connection):
            wider = wider_types(connection, known, wanted, self._catalog.widens)
            for table, name, kind in wider:
                place = f"{stored(table)} alter column {quote_ident(name)}"
                connection.execute(f"alter table {place} set data type {kind.value}")
            if wider:
                show(connection, tables_of(connection), wanted)
                publish(connection, published(connection))

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Copy every table and move the cursor, in one transaction of the attached database."""
        with self._told(), self._attached(staging), transaction(staging):
            if not batch.reload:
                cursor = value_of(staging, CURSOR, f"{self._catalog.alias}.")
                if batch.next_cursor <= cursor:
                    return
                if batch.cursor < cursor:
                    raise RetryableError("Another process loads into this warehouse; stop one of the two.")
            for staged in batch.tables:
                self._copy(staging, staged, replace=bool(batch.reload))
            if not batch.reload:
                set_value(staging, CURSOR, batch.next_cursor, f"{self._catalog.alias}.")
        self._loads += 1

    def finish(self, reload: str) -> None:
        """Do nothing: rows of a reload are visible with their batch."""

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> Mapping[Table, int]:
        """Delete rows, then what is left of their bytes."""
        removed: dict[Table, int] = {}
        with self._asked() as connection, transaction(connection):
            for table, columns in tables_of(connection).items():
                where = condition(removal, columns)
                if where is None or (schemas is not None and table.schema not in schemas):
                    continue
                row = connection.execute(f"delete from {stored(table)} where {where}").fetchone()
                if row and row[0]:
                    removed[table] = int(row[0])
            if removed:
                set_value(connection, ERASE, 1)
                self._to_erase = True
        self._erase()
        return removed

    def publish(self, views: Sequence[View]) -> None:
        """Replace the views that were published before by these, in one transaction."""
        with self._asked() as connection, transaction(connection):
            before = published(connection)
            if before == list(views):
                return
            for view in before:
                if (view.schema, view.name) not in {(each.schema, each.name) for each in views}:
                    connection.execute(f"drop view if exists {qualified(Table(view.schema, view.name))}")
            publish(connection, views)
            connection.execute(f"delete from {VIEWS}")
            for view in views:
                connection.execute(f"insert into {VIEWS} values (?, ?, ?)", [view.schema, view.name, view.select])

    def tidy(self) -> None:
        """Let go of deleted bytes, and merge small files now and then."""
        self._erase()
        if self._loads >= TIDY_LOADS:
            self._loads = 0
            with self._asked() as connection:
                self._catalog.tidy(connection)

    def close(self) -> None:
        """Let go of the database."""
        if self._own is not None:
            self._own.close()
        self._own = self._staging = self._columns = None
        self._own_attached = False

    def _erase(self) -> None:
        """Make deleted rows vanish from the disk, if that is still to be done."""
        if self._to_erase:
            with self._asked() as connection:
                self._catalog.erase(connection)
            self._to_erase = False

    def _copy(self, staging: DuckDBPyConnection, staged: Staged, *, replace: bool) -> None:
        """Insert one table's rows.

        Raises:
            RefusedTableError: this table cannot take them.
        """
        table, target = staged.table, f"{self._catalog.alias}.{stored(staged.table)}"
        rows = staged.relation
        kept = "*" if table.name in ORIGINS else f"* exclude ({SEQ})"
        try:
            if replace:
                staging.execute(f"delete from {target} where {ID} in (select {ID} from {rows})")
            staging.execute(f"insert into {target} by name select {kept} from {rows}")
        except REFUSED as error:
            said = f"{table.schema}.{table.name} does not take its rows ({type(error).__name__})"
            raise RefusedTableError(
                f"{said}: a column was given another type or a constraint; drop what was added.",
                table=f"{table.schema}.{table.name}",
            ) from error
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            self._columns = None  # somebody dropped a table or a column: the next try makes it again
            raise RetryableError(
                f"{table.schema}.{table.name} was changed by another program meanwhile; it is made again."
            ) from error

    @contextmanager
    def _asked(self) -> Iterator[DuckDBPyConnection]:
        """Give a connection that has the database as its own catalog."""
        with self._told():
            if self._own is None:
                self._own = duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY})
                self._own.execute("set TimeZone = 'UTC'")
            if not self._own_attached:
                self._attach(self._own)
                self._own_attached = True
            try:
                self._own.execute(f"use {self._catalog.alias}")
                yield self._own
            finally:
                if not self._catalog.stays:
                    self._own.execute("use memory")
                    self._own.execute(f"detach {self._catalog.alias}")
                    self._own_attached = False

    @contextmanager
    def _attached(self, staging: DuckDBPyConnection) -> Iterator[None]:
        """Attach the database to the staging connection for a load."""
        if self._staging is not staging:
            self._attach(staging)
        if self._catalog.stays:
            self._staging = staging
        try:
            yield
        finally:
            if not self._catalog.stays:
                staging.execute(f"detach {self._catalog.alias}")

    def _attach(self, connection: DuckDBPyConnection) -> None:
        """Attach the database to a connection."""
        self._catalog.prepare(connection)
        connection.execute(f"attach {self._catalog.target()}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what DuckDB and the disk say into our errors, without paths, addresses and secrets."""
        try:
            yield
        except OSError as error:
            raise RetryableError(f"{self._catalog.name} cannot be written: {error.strerror}.") from error
        except duckdb.Error as error:
            raise told(self._catalog.name, error) from error
