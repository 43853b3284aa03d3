"""What a warehouse promises: say where it stands, widen its tables, take a batch whole or not at all.

A warehouse is one module (or folder) with a frozen dataclass `Settings`, a class `Warehouse` and a `CARD`. It neither
retries nor sleeps, names or types columns: the loading engine has all of that. The engine builds each table of a batch
in an in-process DuckDB and hands over the names of those tables; the warehouse copies from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from duckdb import DuckDBPyConnection


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
    """What one batch brings: the events of the log range `cursor .. next_cursor - 1`, each table at most once."""

    cursor: int
    next_cursor: int
    tables: tuple[Staged, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """How a warehouse presents itself in the catalog."""

    name: str
    description: str
    categories: tuple[str, ...] = ("Warehouses",)


class Warehouse(Protocol):
    """What the engine calls, from one thread at a time. `Warehouse(settings, home)` does no I/O yet.

    `home` is a directory of its own for a warehouse that keeps files and was given no other place.
    """

    types: ClassVar[Mapping[ColumnType, str]]

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

    def load(self, staging: DuckDBPyConnection, batch: Load) -> None:
        """Store every row of the batch and the new cursor in one commit; nothing of it is visible before.

        A batch that ends at or before the cursor was loaded already and changes nothing.

        Raises:
            RetryableError: nothing was stored, or it is not known; ask `cursor` before the next try.
        """
        ...

    def tidy(self) -> None:
        """Do what keeps reading fast and space small; called after loads, may do nothing."""
        ...

    def close(self) -> None:
        """Give the warehouse free for another process."""
        ...
