"""What differs between the engines of the lane, as data: names, types and a few forms of statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import ColumnType

BOOKKEEPING: Final = "_headwater"
"""The schema of the cursor and of what orders rows; no source's schema begins with `_headwater`."""

STAGE: Final = "_headwater_stage"
"""The schema that dlt loads into; whatever stands there may be dropped when no batch is under way."""

STATEMENT_S: Final = 900  # ours: the server gives up a statement then
LOCK_S: Final = 60  # ours: how long a statement waits for a table that somebody holds


class Commit(StrEnum):
    """How a batch becomes visible exactly once."""

    BATCH = "batch"
    """All tables and the cursor in one transaction: rows of the same `id` are deleted, then all are inserted."""
    STATEMENT = "statement"
    """A MERGE on `id` a table, the cursor last: a repeated batch changes nothing."""
    INSERT = "insert"
    """What is missing is inserted, the cursor last; for engines without transactions and without MERGE."""


@dataclass(frozen=True, slots=True)
class Adding:
    """How columns are added: one statement a table, or one a column where the engine wants it so."""

    statement: str = "alter table {table} {items}"
    item: str = "add column {column} {type}"
    many: bool = True


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    Attributes:
        name: what people call it, in sentences.
        extra: what `pip install "headwater[...]"` needs.
        dialect: its name in sqlglot.
        types: ours -> its SQL type; `key` is that of a messageId.
        stored: its catalog's names of types, in small letters and without their sizes -> ours.
        commit: how a batch becomes visible.
        columns: SQL that gives (schema, table, column, type) of every table that is no view, columns in their order.
        quote, fold: an identifier as SQL; how it spells what was not quoted.
        create, create_found: a table; one that rows are found in by {id} and {received_at}.
        create_schema: leaves one that is there alone: a crash may have left it without a table. {name} and {plainly}
            are texts: its name, and the statement that makes it.
        largest_boolean: an aggregate of a column that has one value that is not null.
        zoned: a timestamp of the staging tables has a zone (UTC).
        file_format: what dlt writes for it, "" for its own choice.
        session: statements for each new connection.
        reading: statements for one that only reads; {timeout_s}.
        rights: SQL that gives whether a schema may be made, "" where one only finds out by trying.
        widens: (from, to) -> the statement.
        exact: an id where it is compared: by its bytes, whatever the database's collation.
        index: made with each table that has an `id`, "" where nothing speeds up finding one.
        latest_value: aggregates {value} to the last one by {order} that is not null; where it is given, `users` and
            `accounts` are views.
        twin: the statement that makes {view} beside {table}, "" where tables need no twin.
    """

    name: str
    extra: str
    dialect: str
    types: Mapping[ColumnType, str]
    key: str
    stored: Mapping[str, ColumnType]
    commit: Commit
    columns: str
    quote: Callable[[str], str] = quote_ident
    fold: Callable[[str], str] = str
    create: str = "create table {table} ({columns})"
    create_found: str = "create table {table} ({columns})"
    create_schema: str = "create schema if not exists {schema}"
    adding: Adding = field(default_factory=Adding)
    largest_boolean: str = "max({})"
    zoned: bool = False
    file_format: str = "parquet"
    session: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    rights: str = ""
    widens: Mapping[tuple[ColumnType, ColumnType], str] = field(default_factory=dict)
    exact: str = "{}"
    index: str = ""
    latest_value: str = ""
    twin: str = ""

    def kind_of(self, stored: str) -> ColumnType:
        """Return our type of a column as the catalog spells it; text for what is not ours."""
        name = stored.lower().removeprefix("nullable(").partition("(")[0].rstrip(")")
        return self.stored.get(name, ColumnType.VARCHAR)

    def unfold(self, stored: str) -> str:
        """Return a name as we gave it."""
        return stored.lower() if self.fold("a") != "a" else stored

    def named(self, *parts: str) -> str:
        """Return a qualified name of ours as SQL."""
        return ".".join(self.quote(self.fold(part)) for part in parts)


def backticks(identifier: str) -> str:
    """Return an identifier as SQL where a backtick in it is doubled: Databricks."""
    return "`" + _whole(identifier).replace("`", "``") + "`"


def backticks_escaped(identifier: str) -> str:
    """Return an identifier as SQL where a backslash escapes: BigQuery, ClickHouse."""
    return "`" + _whole(identifier).replace("\\", "\\\\").replace("`", "\\`") + "`"


def _whole(identifier: str) -> str:
    """Return the identifier.

    Raises:
        ValueError: it holds a NUL, which no engine can keep.
    """
    if "\0" in identifier:
        raise ValueError("an identifier cannot hold a NUL")
    return identifier


def information_schema(extra: str = "", *, base: str = "'BASE TABLE'") -> str:
    """Return the SQL of `Engine.columns` for an engine with the standard's information schema.

    Args:
        extra: a condition more, on the alias `c`.
        base: the kinds of tables that are no views.
    """
    return (
        "select c.table_schema, c.table_name, c.column_name, c.data_type from information_schema.columns c "
        "join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name "
        f"where t.table_type in ({base}) and lower(c.table_schema) not in ('information_schema', 'pg_catalog', 'sys') "
        f"{extra} order by c.table_schema, c.table_name, c.ordinal_position"
    )
