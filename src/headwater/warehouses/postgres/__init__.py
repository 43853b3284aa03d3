"""PostgreSQL: Segment's tables in a database of the user's own; rows and cursor in one transaction.

A table has what follows the log once because the cursor stands in the same database and moves in the same commit; the
cursor's row is locked while a batch goes in, so that two loaders take turns and the second finds the work done. Rows
that could be there already (a reload, an event that was sent again after weeks) replace those of their `id`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError, RefusedTableError, RetryableError
from headwater.privacy.person import Person
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses.contract import Card, Columns, ColumnType, Load, Removal, Table, View
from headwater.warehouses.postgres import catalog, check, tables, views, widening
from headwater.warehouses.postgres.catalog import Catalog, name_of
from headwater.warehouses.postgres.connection import connect, driver, within
from headwater.warehouses.postgres.copying import Copying
from headwater.warehouses.postgres.meaning import GONE, TOO_LARGE, UNIQUE_VIOLATION, code_of, refused
from headwater.warehouses.postgres.reading import Reading
from headwater.warehouses.postgres.settings import Settings
from headwater.warehouses.postgres.tables import AtTableError, at

__all__ = ["CARD", "Reading", "Settings", "Warehouse"]

CARD: Final = Card(
    name="PostgreSQL",
    description="Tables in a PostgreSQL database, loaded by COPY; each row once, indexed, seconds after its event.",
    categories=("Warehouses", "Databases"),
    extra="postgres",
    notes=(
        "PostgreSQL 14 or later, a database in UTF8, and a user with CREATE and TEMPORARY on it.",
        "Schemas and tables are made by Headwater and belong to that user.",
        "Connect to the server itself, or to a pool of sessions; a pool of transactions keeps no second loader out.",
        "For queries, enter a reader: a user that may only read. A superuser's questions are refused.",
        "`verify-full` checks the server's certificate and name; `require` encrypts and checks neither.",
    ),
)

_LOAD_S: Final = 300.0  # ours: one batch; 48 MB of events take some seconds
_DDL_S: Final = 300.0  # ours: a change of one table; `users` that somebody dropped is filled from all calls
_REMOVE_S: Final = 1_800.0  # ours: one table is read as a whole
_LOCK_S: Final = 10.0  # ours: for rows
_DDL_LOCK_S: Final = 3.0  # ours: who waits to change a table makes all who come after it wait too
_POLITE_LOCK_S: Final = 1.0  # ours: as above, for what can wait until a later batch
_BUSY_S: Final = 300.0  # ours: a table that was locked is not asked for again so soon
_SHORT_S: Final = 10.0  # ours: a question of one row
_OWN_LOCK_S: Final = 2.0  # ours: a loader that was killed is noticed by the server within a second
_TEACHING: Final = frozenset({UNIQUE_VIOLATION, TOO_LARGE, *GONE})  # errors after which another try can succeed
_LOADER: Final = 0x6865_6164_7761_7465  # the advisory lock of whoever loads: "headwate"


class Warehouse:
    """Loads batches into one database over one connection, which is made anew after an error.

    Raises:
        ConfigError: the driver is not installed.
    """

    types: ClassVar[Mapping[ColumnType, str]] = catalog.TYPES
    dialect: ClassVar[str] = "postgres"

    def __init__(self, settings: Settings, home: Path) -> None:
        driver()
        self._settings, self._home = settings, home
        self._copying = Copying(home / "scratch")
        self._connection: Any = None
        self._catalog: Any = None
        self._busy: dict[Table, float] = {}
        self._stuck: tuple[View, ...] | None = None

    def check(self) -> None:
        """Try to log in, as the reader too, and ask for the rights that loading needs."""
        check.run(self._settings, self._home)

    def open(self) -> None:
        """Connect, take the loader's lock and make the bookkeeping."""
        self.close()
        settings = self._settings
        connection = connect(settings, self._home, settings.user, settings.password)
        try:
            with within(connection, _SHORT_S, _OWN_LOCK_S):
                self._take_lock(connection)
            made = Catalog(connection)
            with within(connection, _DDL_S, _DDL_LOCK_S):
                made.make()
        except BaseException:
            connection.close()
            raise
        self._connection, self._catalog = connection, made

    def cursor(self) -> int:
        """Return the position that was committed with the newest batch."""
        with within(self._connected(), _SHORT_S, _LOCK_S):
            row = self._connection.execute(f"select position from {catalog.SCHEMA}.cursor").fetchone()
        return int(row[0]) if row else 0

    def columns(self) -> Mapping[Table, Columns]:
        """Return the tables as the database has them now."""
        with within(self._connected(), _DDL_S, _LOCK_S):
            found: Mapping[Table, Columns] = self._catalog.columns()
        return found

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Change each table in a transaction of its own, so that a thousand new ones need no thousand locks at once."""
        with within(self._connected(), _DDL_S * max(1, len(added)), _DDL_LOCK_S):
            for table, columns in added.items():
                if tables.fits(self._catalog, table, columns):
                    continue
                with self._refusing(), at(table), self._connection.transaction():
                    tables.ensure(self._connection, self._catalog, table, columns)

    def widen(self, wanted: Mapping[Table, Columns]) -> None:
        """Change types where the table is small enough, nobody reads it for long and nobody's view depends on it."""
        asked = {table: columns for table, columns in wanted.items() if time.monotonic() >= self._busy.get(table, 0.0)}
        with within(self._connected(), _DDL_S * max(1, len(asked)), _POLITE_LOCK_S):
            for table, columns in asked.items():
                if not widening.run(self._connection, self._catalog, table, columns):
                    self._busy[table] = time.monotonic() + _BUSY_S

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Copy the batch and move the cursor in one transaction, again with what the first try has taught."""
        mended: set[tuple[Table, str]] = set()
        replaced = {part.table for part in batch.tables} if batch.reload else set()
        while True:
            with self._refusing(), within(self._connected(), _LOAD_S, _LOCK_S):
                try:
                    self._load(staging, batch, replaced)
                except AtTableError as failure:
                    lesson = (failure.table, code_of(failure.error))
                    if lesson in mended or lesson[1] not in _TEACHING:
                        raise
                    mended.add(lesson)
                else:
                    return
            self._mend(*lesson, next(part.columns for part in batch.tables if part.table == lesson[0]), replaced)

    def finish(self, reload: str) -> None:
        """Do nothing: each batch of a reload is visible with its commit."""

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> Mapping[Table, int]:
        """Delete table by table, compute users and accounts anew, and free the space for new rows."""
        if isinstance(removal, Person):
            removal = _storable(removal)
        removed: dict[Table, int] = {}
        left: list[DeliveryError] = []
        for table, columns in self.columns().items():
            asked = condition(removal, columns)
            if asked is None or (schemas is not None and table.schema not in schemas):
                continue
            try:
                if count := self._delete(table, asked):
                    removed[table] = count
            except RefusedTableError as error:  # the others are still to be done
                left.append(error)
        if left:
            raise left[0]
        return removed

    def publish(self, wanted: Sequence[View]) -> None:
        """Keep exactly these views; those that views of the user's own stand on are changed only where that is safe.

        Raises:
            DeliveryError: some stay as they were; said once, until others are wanted.
        """
        if self._stuck == tuple(wanted):
            return
        with within(self._connected(), _DDL_S, _POLITE_LOCK_S):
            left = views.publish(self._connection, wanted)
        self._stuck = tuple(wanted) if left else None
        if left:
            raise DeliveryError(
                f"The views {', '.join(left)} stay as they were: views or tables of your own stand in the way. Drop "
                "or rename those; the views follow when a column is added, or at the next start."
            )

    def tidy(self) -> None:
        """Do nothing: the server's autovacuum does it."""

    def close(self) -> None:
        """Give the database free for another loader."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> Any:
        """Return the connection, a new one where the last broke."""
        if self._connection is None or self._connection.closed:
            self.open()
        return self._connection

    def _delete(self, table: Table, asked: str) -> int:
        """Delete rows of one table, and free their space for new ones."""
        with self._refusing(), within(self._connected(), _REMOVE_S, _LOCK_S):
            with at(table), self._connection.transaction():
                count = tables.delete(self._connection, self._catalog, table, asked)
            if count:
                with suppress(driver().Error):  # autovacuum does it later
                    self._connection.execute(f"vacuum {name_of(table)}")
        return count

    def _take_lock(self, connection: Any) -> None:
        """Take the lock of the one who loads, for as long as the connection lives."""
        try:
            connection.execute("select pg_advisory_lock(%s)", [_LOADER])
        except driver().errors.LockNotAvailable as error:
            raise RetryableError(
                "Another process loads into this database; stop one of the two. After a lost connection the server "
                "notices within two minutes that it is gone."
            ) from error

    def _load(self, staging: DuckDBPyConnection, batch: Load, replaced: AbstractSet[Table]) -> None:
        """Try the batch once.

        Raises:
            AtTableError: PostgreSQL refused something at one table; nothing was stored.
        """
        loading = tables.Loading(self._connection, staging, self._catalog, self._copying)
        for part in batch.tables:
            with at(part.table):
                loading.prepare(part, replaces=part.table in replaced)
        with self._connection.transaction():
            if not batch.reload and not self._takes(batch):
                return
            for part in batch.tables:
                with at(part.table):
                    loading.take(part, replaces=part.table in replaced)
            if not batch.reload:
                self._connection.execute(
                    f"update {catalog.SCHEMA}.cursor set position = %s, loaded_at = now()", [batch.next_cursor]
                )

    def _takes(self, batch: Load) -> bool:
        """Lock the cursor; whether the batch is still to be loaded.

        Raises:
            RetryableError: another loader is in the middle of this range.
        """
        found = self._connection.execute(f"select position from {catalog.SCHEMA}.cursor for update").fetchone()
        if found is None:
            raise RetryableError("The row that says how far the warehouse was loaded is gone; it is loaded again.")
        position = int(found[0])
        if batch.cursor < position < batch.next_cursor:
            raise RetryableError(f"The warehouse was loaded up to {position} meanwhile; the rest follows.")
        return position < batch.next_cursor

    def _mend(self, table: Table, code: str, columns: Columns, replaced: set[Table]) -> None:
        """Do what an error at a table teaches, before the next try."""
        if code == UNIQUE_VIOLATION:  # an event that was sent again after the log had forgotten its id
            replaced.add(table)
        elif code in GONE:
            self._catalog.forget()
            self.add_columns({table: columns})
        else:
            with (
                self._refusing(),
                within(self._connected(), _DDL_S, _DDL_LOCK_S),
                at(table),
                self._connection.transaction(),
            ):
                self._catalog.drop_trees(table, rebuild=tables.is_small(self._connection, table))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn an error at one table into what the engine acts on."""
        try:
            yield
        except AtTableError as failure:
            self._catalog.forget()  # what somebody changed is seen at the next question
            raise refused(failure.error, failure.table) from failure.error


def _storable(person: Person) -> Person:
    """Return the ids as they stand in the database."""
    return replace(
        person,
        user_ids=frozenset(each.replace("\0", "\ufffd") for each in person.user_ids),
        anonymous_ids=frozenset(each.replace("\0", "\ufffd") for each in person.anonymous_ids),
    )
