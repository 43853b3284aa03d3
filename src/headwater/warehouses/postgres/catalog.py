"""What Headwater has made in the database: its bookkeeping, its tables, their columns as they are now.

Only tables that Headwater made are ever written to or deleted from: `_headwater.tables` names them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import ID, LATEST, SEQ, Columns, ColumnType, Table
from headwater.warehouses.postgres import latest as derived

SCHEMA: Final = "_headwater"
TYPES: Final[Mapping[ColumnType, str]] = {
    ColumnType.TIMESTAMP: "timestamp with time zone",
    ColumnType.INTEGER: "bigint",
    ColumnType.FLOAT: "double precision",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.VARCHAR: "character varying",
}
_MAX_AGE_S: Final = 60.0  # ours: so long a type that a user changed may go unnoticed where no statement fails
_INDEXED: Final = ("received_at", "user_id")

_BOOKKEEPING: Final = f"""
    create table if not exists {SCHEMA}.cursor (
        one boolean primary key default true check (one), position bigint not null, loaded_at timestamptz not null
    );
    create table if not exists {SCHEMA}.tables (
        schema_name text, table_name text, primary key (schema_name, table_name)
    );
    create table if not exists {SCHEMA}.views (
        schema_name text, view_name text, place int not null, definition text not null,
        primary key (schema_name, view_name)
    )"""
_READ: Final = f"""
    select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    from {SCHEMA}.tables t
    join pg_namespace n on n.nspname = t.schema_name
    join pg_class c on c.relnamespace = n.oid and c.relname = t.table_name and c.relkind in ('r', 'p')
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    order by n.nspname, c.relname, a.attnum"""

# What users made of a column and still holds every value of ours, or refuses it aloud.
_ALSO: Final = {
    "timestamp without time zone": ColumnType.TIMESTAMP,
    "integer": ColumnType.INTEGER,
    "smallint": ColumnType.INTEGER,
    "numeric": ColumnType.FLOAT,
    **dict.fromkeys(("text", "citext", "json", "jsonb", "uuid", "inet"), ColumnType.VARCHAR),
}
_KINDS: Final = _ALSO | {name: kind for kind, name in TYPES.items()}
_BOUNDED_TEXT: Final = re.compile(r"character( varying)?\(\d+\)")


def kind_of(declared: str) -> ColumnType | None:
    """Return which of our types a column can take, None when it would lose values without a word, as `date` does."""
    return ColumnType.VARCHAR if _BOUNDED_TEXT.fullmatch(declared) else _KINDS.get(declared)


def name_of(table: Table) -> str:
    """Return a table's qualified name as SQL."""
    return f"{quote_ident(table.schema)}.{quote_ident(table.name)}"


class Catalog:
    """Tables and columns of one connection's database, asked for when they may have changed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._tables: dict[Table, dict[str, str]] | None = None
        self._read_at = 0.0

    def make(self) -> None:
        """Make the bookkeeping where it is missing; the caller is alone."""
        if not self._has_schema(SCHEMA):
            self._connection.execute(f"create schema {SCHEMA}")
        self._connection.execute(_BOOKKEEPING)
        self._connection.execute(f"insert into {SCHEMA}.cursor values (true, 0, now()) on conflict do nothing")

    def forget(self) -> None:
        """Ask again at the next question."""
        self._tables = None

    def declared(self, table: Table) -> dict[str, str] | None:
        """Return the columns of a table of ours with PostgreSQL's types, None when there is no such table."""
        if self._tables is None or time.monotonic() - self._read_at > _MAX_AGE_S:
            self._tables = {}
            for schema, name, column, kind in self._connection.execute(_READ).fetchall():
                columns = self._tables.setdefault(Table(schema, name), {})
                if column is not None:
                    columns[column] = kind
            self._read_at = time.monotonic()
        return self._tables.get(table)

    def columns(self) -> dict[Table, dict[str, ColumnType]]:
        """Return the tables that batches go to."""
        self.declared(Table("", ""))
        names = {each.table for each in LATEST}
        return {
            table: {name: kind_of(declared) or ColumnType.VARCHAR for name, declared in columns.items() if name != SEQ}
            for table, columns in (self._tables or {}).items()
            if table.name not in names
        }

    def misfits(self, table: Table, wanted: Columns) -> list[str]:
        """Return what was made of columns that would lose values now: "day is date"."""
        declared = self.declared(table) or {}
        return [
            f"{name} is {declared[name]}" for name in wanted if name in declared and kind_of(declared[name]) is None
        ]

    def create(self, table: Table, columns: Columns) -> None:
        """Make a table with its indexes; the caller's transaction."""
        self._create_schema(table.schema)
        parts = [f"{quote_ident(name)} {TYPES[kind]}" for name, kind in columns.items()]
        parts += [f"{SEQ} bigint"] * (derived.of(table) is not None)
        parts += [f"primary key ({quote_ident(ID)})"] * (ID in columns)
        self._connection.execute(f"create table {name_of(table)} ({', '.join(parts)})")
        self.index(table, columns)
        self._register(table)

    def create_latest(self, table: Table, columns: Mapping[str, str]) -> None:
        """Make a table of the newest state; a hash keeps its ids unique: a user's id may be too long for a tree."""
        self._create_schema(table.schema)
        parts = [f'"id" {TYPES[ColumnType.VARCHAR]} not null']
        parts += [f"{quote_ident(name)} {kind}" for name, kind in columns.items()]
        self._connection.execute(
            f'create table {name_of(table)} ({", ".join(parts)}, exclude using hash ("id" with =))'
        )
        self._register(table)

    def add(self, table: Table, columns: Mapping[str, str]) -> None:
        """Add columns by PostgreSQL's types; the caller's transaction."""
        added = ", ".join(f"add column if not exists {quote_ident(name)} {kind}" for name, kind in columns.items())
        self._connection.execute(f"alter table {name_of(table)} {added}")
        self.forget()

    def index(self, table: Table, columns: Columns) -> None:
        """Index columns that are asked for most, of those that are named here."""
        latest = derived.of(table)
        for name in dict.fromkeys((*_INDEXED, latest.key if latest else "user_id")):
            if name in columns:
                self._connection.execute(f"create index on {name_of(table)} ({quote_ident(name)})")

    def drop_trees(self, table: Table, *, rebuild: bool) -> None:
        """Drop indexes that cannot hold a value of more than some 2,700 bytes; `rebuild` them as hashes, which can."""
        found = self._connection.execute(
            """select i.indexrelid::regclass::text, a.attname from pg_index i
            join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam and m.amname = 'btree'
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
            where i.indrelid = to_regclass(%s) and i.indnatts = 1 and not i.indisunique and a.attname = any(%s)""",
            [name_of(table), ["user_id", "group_id"]],
        ).fetchall()
        for index, column in found:
            self._connection.execute(f"drop index {index}")
            if rebuild:
                self._connection.execute(f"create index on {name_of(table)} using hash ({quote_ident(column)})")

    def _create_schema(self, name: str) -> None:
        # `if not exists` asks for the right to make schemas even where there is nothing to make
        if not self._has_schema(name):
            self._connection.execute(f"create schema if not exists {quote_ident(name)}")

    def _has_schema(self, name: str) -> bool:
        found = self._connection.execute("select 1 from pg_namespace where nspname = %s", [name])
        return found.fetchone() is not None

    def _register(self, table: Table) -> None:
        self._connection.execute(
            f"insert into {SCHEMA}.tables (schema_name, table_name) values (%s, %s) on conflict do nothing", list(table)
        )
        self.forget()
