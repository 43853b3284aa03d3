"""A warehouse of the lane: what `contract.Warehouse` promises, kept by the engine's data and dlt.

The engines differ in data and in how dlt is told their settings; each inherits the rest, since twelve methods that
only hand on would say less.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError, RetryableError
from headwater.warehouses._lanes.wide import catalog, statements
from headwater.warehouses._lanes.wide.catalog import Catalog
from headwater.warehouses._lanes.wide.engine import BOOKKEEPING, Commit, Engine
from headwater.warehouses._lanes.wide.faults import told
from headwater.warehouses._lanes.wide.parts import ORDER, Part, events, newest
from headwater.warehouses._lanes.wide.removing import removals, text
from headwater.warehouses._lanes.wide.shipping import Shipping, ShippingError
from headwater.warehouses._lanes.wide.statements import (
    CURSOR_COLUMNS,
    CURSORS,
    TABLES,
    TABLES_COLUMNS,
    Shipped,
    latest_of,
    order_of,
)
from headwater.warehouses.contract import ID, Columns, ColumnType, Latest, Load, Removal, Table, View

_TIDY_LOADS: Final = 50  # ours: dlt leaves a few rows a load in its own tables
_EXACT_INTEGER: Final = 2**53  # beyond it a double loses digits


class Lane(ABC):
    """Loads through dlt into an engine."""

    engine: Engine
    types: ClassVar[Mapping[ColumnType, str]]
    dialect: ClassVar[str] = ""

    def __init__(self, settings: Any, home: Path) -> None:
        self.settings, self._home = settings, home
        self._shipping = Shipping(self.engine, self.destination, home / "work")
        self._catalog: Catalog | None = None
        self._lock: int | None = None
        self._loads = 0

    @abstractmethod
    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the settings."""

    def check(self) -> None:
        """Connect and look around; make nothing."""
        with self._told():
            client = self._shipping.client()
            catalog.read(self.engine, client)
            found = client.execute_sql(self.engine.rights) if self.engine.rights else [(1,)]
        if self._lock is None:
            self._shipping.close()
        if not found or not found[0][0]:
            raise DeliveryError(
                f"{self.engine.name}: the user may not make schemas; grant it CREATE on the database, see this "
                "warehouse's documentation."
            )

    def open(self) -> None:
        """Take the work directory, connect, and clear away what a crash left in both places."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._shipping.sweep()
        with self._told():
            self._catalog = None
            for table, columns in ((TABLES, TABLES_COLUMNS), (CURSORS, CURSOR_COLUMNS)):
                if table not in self._known().tables:
                    self._add(table, columns)
            if not self._ask(f"select count(*) from {self.engine.named(*CURSORS)}"):
                self._do(*statements.move_cursor(self._inserting(), 0, ""))
            self._drop_staged()
        self._repair()

    def cursor(self) -> int:
        """Return what the table of cursors says."""
        with self._told():
            following = self.engine.named("next")
            return self._ask(f"select max({following}) from {self.engine.named(*CURSORS)}")

    def columns(self) -> Mapping[Table, Columns]:
        """Return what the engine's catalog said when it was last asked."""
        with self._told():
            return self._known().of_events()

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Make tables and columns, and what is derived from them."""
        with self._told():
            missing = self._known().missing(added)
        for table, columns in missing.items():
            with self._told(), self._blamed(table):
                self._add(table, columns)
        for table in {*added} & {*missing}:
            with self._told(), self._blamed(table):
                self._show(table)

    def widen(self, wanted: Mapping[Table, Columns]) -> None:
        """Change the types that the engine can change in place, and make anew what is derived from them."""
        with self._told():
            known = self._known()
            for table, columns in wanted.items():
                changed = [self._retype(table, name, kind) for name, kind in columns.items()]
                latest = latest_of(table)
                if any(changed) and latest is not None:
                    self._derive(table, latest, known.tables[table])

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Ship the batch's tables aside, then take all of them over; the cursor moves with them or after them."""
        if not batch.reload and batch.next_cursor <= self.cursor():
            return
        with self._told():
            parts = list(self._parts(staging, batch))
            try:
                stages = self._shipping.ship(staging, [part.parcel for part in parts]) if parts else []
            except ShippingError as error:
                raise told(self.engine.name, error, error.table) from error
            self._take_over(batch, parts, stages)
            self._loads += 1
            self._drop(stages)

    def finish(self, reload: str) -> None:
        """Make each newest state anew: a reload brought older values and newer ones in any order."""
        del reload
        with self._told():
            self._renew({table.schema for table in self._known().tables})

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> Mapping[Table, int]:
        """Delete rows, and make each newest state anew that they were part of."""
        removed: dict[Table, int] = {}
        with self._told():
            for table, columns in self._known().of_events().items():
                if schemas is not None and table.schema not in schemas:
                    continue
                target = self.engine.named(*table)
                for where in removals(self.engine, removal, target, columns, self._shipping.client().execute_query):
                    count = self._ask(f"select count(*) from {target} where {where}")
                    if count:
                        self._do(f"delete from {target} where {where}")
                        removed[table] = removed.get(table, 0) + count
            self._renew({table.schema for table in removed if latest_of(table) is not None})
        return removed

    def publish(self, views: Sequence[View]) -> None:
        """Keep no views: `dialect` says so."""
        del views

    def tidy(self) -> None:
        """Drop what dlt notes down of each load."""
        if self._loads < _TIDY_LOADS:
            return
        with self._told():
            self._loads = 0
            self._drop_staged()
            if self.engine.commit is not Commit.BATCH:
                following, name = self.engine.named("next"), self.engine.named(*CURSORS)
                self._do(f"delete from {name} where {following} < {self.cursor()}")

    def close(self) -> None:
        """Disconnect and give the work directory back."""
        self._shipping.close()
        self._catalog = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _repair(self) -> None:
        """Make what is derived from tables of events, where a crash or somebody took it away."""
        origins = {table: columns for table, columns in self.columns().items() if latest_of(table) is not None}
        self.add_columns(origins)
        for table in origins if self.engine.latest_value else ():
            with self._told(), self._blamed(table):
                self._show(table)

    def _take_lock(self) -> None:
        """Refuse a second loader on this machine; one elsewhere is harmless, see `statements.move_cursor`."""
        if self._lock is not None:
            return
        descriptor = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise RetryableError("Another process loads into this warehouse; stop one of the two.") from error
        self._lock = descriptor

    def _parts(self, staging: DuckDBPyConnection, batch: Load) -> Iterator[Part]:
        """Yield what is to be shipped: each table, and beside it the newest state that it brings."""
        known = self._known().tables
        for staged in batch.tables:
            yield events(staging, staged)
            latest = latest_of(staged.table)
            wanted = known.get(Table(staged.table.schema, latest.table)) if latest else None
            if latest and wanted and latest.key in staged.columns and not batch.reload:
                yield newest(staged, latest, wanted)

    def _take_over(self, batch: Load, parts: Sequence[Part], stages: Sequence[str]) -> None:
        """Carry the staged rows into the tables that users see."""
        token = secrets.token_hex(8)
        with self._transaction():
            if not batch.reload and self.engine.commit is Commit.BATCH:
                self._move(batch, token)
            for part, stage in zip(parts, stages, strict=True):
                with self._blamed(part.of):
                    self._do(*self._statements(part, stage, replacing=bool(batch.reload)))
        if not batch.reload and self.engine.commit is not Commit.BATCH:
            self._do(*statements.move_cursor(self.engine, batch.next_cursor, token))

    def _statements(self, part: Part, stage: str, *, replacing: bool) -> list[str]:
        """Return what takes one part over."""
        rows = Shipped(part.parcel.table, stage, part.slots, part.received)
        if part.is_latest:
            return statements.update_latest(self.engine, rows)
        made = statements.merge(self.engine, rows, self._known().tables[part.of], replacing=replacing)
        if latest_of(part.of) is not None:
            order = Shipped(order_of(part.of), stage, {ID: part.slots[ID], "seq": ORDER})
            made += statements.merge(self.engine, order, statements.ORDER_COLUMNS, replacing=replacing)
        return made

    def _move(self, batch: Load, token: str) -> None:
        """Move the cursor to the batch's end; whoever moved it there meanwhile has loaded it."""
        self._do(*statements.move_cursor(self.engine, batch.next_cursor, token))
        mine = f"{self.engine.named('token')} = '{token}'"
        if not self._ask(f"select count(*) from {self.engine.named(*CURSORS)} where {mine}"):
            raise RetryableError("Another process loads into this warehouse; stop one of the two.")

    def _add(self, table: Table, columns: Columns) -> None:
        """Make a table or give it columns."""
        known = self._known()
        is_new, is_newest = table not in known.tables, catalog.is_derived(table)
        made = known.widened(table, columns, of_events=not is_newest)
        if is_new and table.schema != BOOKKEEPING:  # noted first: what a crash leaves in between is ours
            values = ", ".join(text(self.engine, part) for part in table)
            self._do(f"insert into {self.engine.named(*TABLES)} values ({values})")
        self._do(*made)
        known.note(table, columns)
        if is_new and is_newest:
            self._renew({table.schema})

    def _show(self, table: Table) -> None:
        """Make anew the views that stand beside a table: they have the columns that it had."""
        known, latest = self._known().tables, latest_of(table)
        if self.engine.latest_value and latest is not None and latest.key in known[table]:
            columns = statements.latest_columns(latest, known[table])
            self._do(statements.latest_view(self.engine, latest, table, columns))
        if self.engine.twin and Table(table.schema, f"{table.name}_view") not in known:
            self._do(statements.twin_of(self.engine, table))

    def _retype(self, table: Table, name: str, kind: ColumnType) -> bool:
        """Give a column a wider type if the engine can and no value is lost; return whether it has it now."""
        columns = self._known().tables.get(table, {})
        form = self.engine.widens.get((columns.get(name, kind), kind))
        if form is None:
            return False
        target, column = self.engine.named(*table), self.engine.named(name)
        if kind is ColumnType.FLOAT:
            beyond = f"{column} > {_EXACT_INTEGER} or {column} < -{_EXACT_INTEGER}"
            if self._ask(f"select count(*) from {target} where {beyond}"):
                return False
        self._do(form.format(table=target, column=column, type=self.engine.types[kind]))
        columns[name] = kind
        return True

    def _derive(self, table: Table, latest: Latest, columns: Columns) -> None:
        """Make the newest state of a table anew, with the types that its columns have now."""
        derived = Table(table.schema, latest.table)
        if self._known().tables.pop(derived, None) is not None:
            self._do(f"drop table {self.engine.named(*derived)}")
        if latest.key in columns and not self.engine.latest_value:
            self._add(derived, statements.latest_columns(latest, columns))
        self._show(table)

    def _renew(self, schemas: set[str]) -> None:
        """Fill the newest states of these schemas anew."""
        known = self._known().tables
        for table in [each for each in known if each.schema in schemas]:
            latest = latest_of(table)
            columns = known.get(Table(table.schema, latest.table)) if latest else None
            if latest is None or columns is None:
                continue
            orphans = (
                f"{self.engine.named(ID)} not in (select {self.engine.named(ID)} from {self.engine.named(*table)})"
            )
            with self._transaction():
                self._do(f"delete from {self.engine.named(*order_of(table))} where {orphans}")
                self._do(*statements.rebuild_latest(self.engine, latest, table, columns))

    def _known(self) -> Catalog:
        """Return what the engine holds; asked once, and again after something failed."""
        if self._catalog is None:
            self._catalog = catalog.read(self.engine, self._shipping.client())
        return self._catalog

    def _forget(self) -> None:
        """Trust neither the connection nor what is known of the engine any more."""
        self._catalog = None
        self._shipping.close()

    def _inserting(self) -> Engine:
        """Return the engine as one whose cursor is inserted: for its first row."""
        return replace(self.engine, commit=Commit.INSERT)

    def _drop_staged(self) -> None:
        """Drop all that stands in the staging schema; nothing is under way."""
        found = catalog.read(self.engine, self._shipping.client()).staged
        self._drop([f"{self.engine.quote(schema)}.{self.engine.quote(name)}" for schema, name in found])

    def _drop(self, stages: Sequence[str]) -> None:
        """Drop staging tables; what is left over goes with the next tidying."""
        for stage in stages:
            self._do(f"drop table if exists {stage}")

    def _ask(self, sql: str) -> int:
        """Return a number."""
        rows = self._shipping.client().execute_sql(sql)
        return int(rows[0][0] or 0) if rows else 0

    def _do(self, *sql: str) -> None:
        """Execute statements one by one."""
        client = self._shipping.client()
        for statement in sql:
            client.execute_sql(statement)

    def _transaction(self) -> AbstractContextManager[Any]:
        """Return a transaction where the engine commits batches by one."""
        if self.engine.commit is not Commit.BATCH:
            return nullcontext()
        transaction: AbstractContextManager[Any] = self._shipping.client().begin_transaction()
        return transaction

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever dlt and its drivers raise into one of our errors, and connect anew after it."""
        try:
            yield
        except Exception as error:
            self._forget()
            if isinstance(error, DeliveryError):
                raise
            raise told(self.engine.name, error) from error

    @contextmanager
    def _blamed(self, table: Table) -> Iterator[None]:
        """Name the table whose rows were refused; whoever holds a transaction ends it."""
        try:
            yield
        except Exception as error:
            raise told(self.engine.name, error, table) from error
