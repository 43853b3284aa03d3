"""Wider types for columns that exist, where it loses nothing, is quick, and nobody's view stands on the column.

`ALTER TABLE … ALTER COLUMN … TYPE` writes the table anew while readers wait: so only small tables are changed. In the
others the values that do not fit stay in `_overflow`.
Source: PostgreSQL documentation, ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import Columns, ColumnType, Table
from headwater.warehouses.postgres import latest as derived
from headwater.warehouses.postgres import tables, views
from headwater.warehouses.postgres.catalog import TYPES, Catalog, name_of
from headwater.warehouses.postgres.connection import driver
from headwater.warehouses.postgres.meaning import GONE, WITHOUT_RIGHTS, code_of

_EXACT_MAX: Final = 2**53  # every integer up to this is a double
_LOCKED: Final = "55P03"
_LEFT_ALONE: Final = ("0A000", "2BP01", _LOCKED, "42804", WITHOUT_RIGHTS, *GONE)  # a view of somebody's, a lock, rights


def run(connection: Any, catalog: Catalog, table: Table, wanted: Columns) -> bool:
    """Widen what can be and leave the rest as it is; False when others hold the table locked.

    Raises:
        psycopg.Error: the connection or the server is in trouble.
    """
    declared = catalog.declared(table) or {}
    columns = {name: kind for name, kind in wanted.items() if name in declared and _is_wider(declared[name], kind)}
    try:
        with connection.transaction():
            if columns and tables.is_small(connection, table):
                _alter(connection, catalog, table, columns)
    except driver().Error as error:
        if code_of(error) not in _LEFT_ALONE:
            raise
        return code_of(error) != _LOCKED
    finally:
        catalog.forget()
    return True


def _alter(connection: Any, catalog: Catalog, table: Table, columns: Columns) -> None:
    """Change the types in a table and in what is derived from it; the caller's transaction."""
    columns = {name: kind for name, kind in columns.items() if _is_exact(connection, table, name, kind)}
    latest = derived.of(table)
    changed = [table] if latest is None else [table, Table(table.schema, latest.table)]
    views.drop(connection)  # our own, which come back with the next `publish`
    for each in changed:
        declared = catalog.declared(each) or {}
        parts = [
            f"alter column {quote_ident(name)} type {TYPES[kind]} using {_cast(name, declared[name], kind)}"
            for name, kind in columns.items()
            if name in declared
        ]
        if parts:
            connection.execute(f"alter table {name_of(each)} {', '.join(parts)}")


def _is_wider(declared: str, kind: ColumnType) -> bool:
    """Return whether a type of ours can become another without loss."""
    ours: Mapping[str, ColumnType] = {name: each for each, name in TYPES.items()}
    present = ours.get(declared)
    if kind is ColumnType.FLOAT:
        return present is ColumnType.INTEGER
    return kind is ColumnType.VARCHAR and present not in (None, ColumnType.VARCHAR)


def _is_exact(connection: Any, table: Table, name: str, kind: ColumnType) -> bool:
    """Return whether no integer would lose digits."""
    if kind is not ColumnType.FLOAT:
        return True
    column = quote_ident(name)
    found = connection.execute(
        f"select 1 from {name_of(table)} where {column} > {_EXACT_MAX} or {column} < -{_EXACT_MAX} limit 1"
    )
    return found.fetchone() is None


def _cast(name: str, declared: str, kind: ColumnType) -> str:
    """Return the new value of a column; a time becomes the text that it has in the other warehouses."""
    column = quote_ident(name)
    if declared == TYPES[ColumnType.TIMESTAMP]:
        return f"({column} at time zone 'UTC')::{TYPES[kind]}"
    return f"{column}::{TYPES[kind]}"
