"""What a warehouse promises: say where it stands, widen its tables, take a batch whole or not at all, be asked.

A warehouse is one module (or folder) with a frozen dataclass `Settings`, a class `Warehouse`, a class `Reading` and a
`CARD`. It neither retries nor sleeps, names or types columns: the loading engine has all of that. The engine builds
each table of a batch in an in-process DuckDB and hands over the names of those tables; the warehouse copies from there.
What several of them share stands beside them in modules whose names begin with `_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from duckdb import DuckDBPyConnection

from headwater.privacy.person import Person


class ColumnType(StrEnum):
    """Segment's five types, as DuckDB spells them in staging; a timestamp is UTC without a zone."""

    TIMESTAMP = "timestamp"
    INTEGER = "bigint"
    FLOAT = "double"
    BOOLEAN = "boolean"
    VARCHAR = "varchar"


Columns = Mapping[str, ColumnType]
"""Column types by name, in the order in which the columns came to be."""

SEQ: Final = "_seq"
"""A bigint column of each staged table: the log sequence of its event. For order and clean-up; users do not see it."""

ID: Final = "id"
"""The column that is unique in each table: the event's messageId."""


class Table(NamedTuple):
    """Where rows go: a source's schema and a table in it."""

    schema: str
    name: str


class Latest(NamedTuple):
    """A table of the newest state, derived from another one: one row per `key`.

    Attributes:
        table: what users see, such as `users`.
        origin: the table that holds the history, such as `identifies`.
        key: the origin's column that becomes `id`.
        hidden: the origin's columns that it does not have.
    """

    table: str
    origin: str
    key: str
    hidden: frozenset[str]


_OF_THE_CALL: Final = frozenset(
    {"id", "anonymous_id", "user_id", "group_id", "sent_at", "original_timestamp", "timestamp", "_overflow"}
)
LATEST: Final = (
    Latest("users", "identifies", "user_id", _OF_THE_CALL),
    Latest("accounts", "groups", "group_id", _OF_THE_CALL),
)


@dataclass(frozen=True, slots=True)
class Staged:
    """One table of a batch, ready to copy.

    Attributes:
        columns: what the staged relation holds, without `_seq`: columns that are null in the whole batch are missing.
        relation: its quoted name in the staging connection; rows in log order.
        rows: how many rows it has.
    """

    table: Table
    columns: Columns
    relation: str
    rows: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one batch brings: the events of the log range `cursor .. next_cursor - 1`, each table at most once.

    Attributes:
        reload: "" for what follows the warehouse's cursor; else the name of a reload, whose ranges lie before the
            cursor and leave it alone. Rows of a reload replace those of the same `id` that are there already.
    """

    cursor: int
    next_cursor: int
    tables: tuple[Staged, ...]
    reload: str = ""


@dataclass(frozen=True, slots=True)
class Expired:
    """Rows that were received before an instant, in UTC."""

    before: datetime


Removal = Person | Expired


@dataclass(frozen=True, slots=True)
class View:
    """A view for analysis that Headwater keeps in the warehouse: `select` is in the warehouse's dialect."""

    schema: str
    name: str
    select: str


@dataclass(frozen=True, slots=True)
class Card:
    """How a warehouse presents itself in the catalog.

    Attributes:
        extra: what `pip install "headwater[...]"` needs, "" when the base has everything.
        notes: what an administrator should know before connecting it, as short paragraphs for its page.
    """

    name: str
    description: str
    categories: tuple[str, ...] = ("Warehouses",)
    extra: str = ""
    notes: tuple[str, ...] = ()


class Format(StrEnum):
    """What a result can be saved as."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave.

    Attributes:
        types: the database's names, one a column.
        truncated: there are more rows than were asked for, or than fit.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    duration_ms: int


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table or view that can be asked; columns as (name, type)."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]


class Reading(Protocol):
    """Read-only SQL on a warehouse while it is loaded: by a role that may only read, or locked away from the rest.

    One object a question. `Reading(settings, home)` does no I/O yet. Every method blocks; errors are `QueryError`, a
    sentence for people without addresses, paths or secrets.
    """

    def __init__(self, settings: Any, home: Path) -> None:
        """Take what `Warehouse` takes."""
        ...

    def run(self, sql: str, *, rows_max: int, timeout_s: float) -> Result:
        """Return the rows of one SELECT; tables are named `schema.table`.

        Raises:
            QueryError: it is no single SELECT, it is wrong, it tried to leave the warehouse, it took too long, or it
                was cancelled.
        """
        ...

    def export(self, sql: str, target: Path, file_format: Format, *, timeout_s: float) -> int:
        """Write all rows of one SELECT to `target`; return how many. On an error nothing is left there."""
        ...

    def catalog(self) -> list[CatalogTable]:
        """Return every table and view with its columns, by schema and name."""
        ...

    def cancel(self) -> None:
        """End what another thread is running with this object; does nothing when nothing runs."""
        ...


class Warehouse(Protocol):
    """What the engine calls, from one thread at a time. `Warehouse(settings, home)` does no I/O yet.

    `home` is a directory of its own for a warehouse that keeps files and was given no other place.
    """

    types: ClassVar[Mapping[ColumnType, str]]
    dialect: ClassVar[str]  # of its views: "duckdb", "postgres", or "" for one that keeps none

    def __init__(self, settings: Any, home: Path) -> None:
        """Take the settings and the place for files."""
        ...

    def check(self) -> None:
        """Try the credentials and the rights; change nothing.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not work, as a sentence for people.
        """
        ...

    def open(self) -> None:
        """Take the warehouse for this process and clear away what a crash left behind.

        Raises:
            RetryableError: another process loads into it, or it cannot be reached.
        """
        ...

    def cursor(self) -> int:
        """Return the log sequence that is not loaded yet, as committed with the newest batch; 0 at first."""
        ...

    def columns(self) -> Mapping[Table, Columns]:
        """Return every table and column there is."""
        ...

    def add_columns(self, added: Mapping[Table, Columns]) -> None:
        """Make the tables and columns that are missing; durable on return. Columns that exist are left alone."""
        ...

    def widen(self, wanted: Mapping[Table, Columns]) -> None:
        """Give existing columns these wider types where that loses no value and is quick enough; leave the others.

        bigint -> double, and anything -> varchar. The engine asks `columns` afterwards what became of it: what kept
        its type gets the values that do not fit in `_overflow`.
        """
        ...

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Store every row of the batch and the new cursor in one commit; nothing of it is visible before.

        A batch that ends at or before the cursor was loaded already and changes nothing. One of a reload replaces
        rows of the same ids, and is visible at the latest after `finish`.

        Raises:
            RefusedTableError: this table cannot take its rows, the others could; nothing was stored.
            RetryableError: nothing was stored, or it is not known; ask `cursor` before the next try.
        """
        ...

    def finish(self, reload: str) -> None:
        """Make a reload visible whose batches are all loaded; doing it twice changes nothing."""
        ...

    def remove(self, removal: Removal, schemas: frozenset[str] | None = None) -> Mapping[Table, int]:
        """Delete rows for good and return how many of each table; done twice, the second finds nothing.

        Args:
            removal: which rows.
            schemas: in these only; None for all.
        """
        ...

    def publish(self, views: Sequence[View]) -> None:
        """Keep exactly these views for analysis; called where `dialect` is not "", after the tables changed."""
        ...

    def tidy(self) -> None:
        """Do what keeps reading fast and space small; called after loads, may do nothing."""
        ...

    def close(self) -> None:
        """Give the warehouse free for another process."""
        ...
