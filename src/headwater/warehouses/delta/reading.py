"""Read-only SQL on Delta tables, by a locked DuckDB to which they are handed as Arrow datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection, StatementType

from headwater.errors import DeliveryError, QueryError
from headwater.spec.names import quote_ident
from headwater.warehouses._lanes.locked import LockedReading
from headwater.warehouses.contract import ID, LATEST, Columns, ColumnType, Format, Result, Table
from headwater.warehouses.delta.head import Head
from headwater.warehouses.delta.store import Settings, Store, selected, told


class Reading(LockedReading):
    """Opens the tables that a question names, each as its newest commit has it; the others have columns and no rows."""

    def __init__(self, settings: Settings, home: Path) -> None:
        super().__init__(self._show)
        self._settings, self._home = settings, home
        self._sql = ""

    def run(self, sql: str, *, rows_max: int, timeout_s: float) -> Result:
        """Return the rows of one SELECT."""
        self._sql = sql
        return super().run(sql, rows_max=rows_max, timeout_s=timeout_s)

    def export(self, sql: str, target: Path, file_format: Format, *, timeout_s: float) -> int:
        """Write all rows of one SELECT to `target`; return how many."""
        self._sql = sql
        return super().export(sql, target, file_format, timeout_s=timeout_s)

    def _show(self, connection: DuckDBPyConnection) -> None:
        """Make a view a table.

        Raises:
            QueryError: there is none yet, or they cannot be reached.
        """
        try:
            with told():
                store = Store(self._settings, self._home)
                tables = dict(Head(store).columns())
                if not tables:
                    raise QueryError(
                        "The warehouse has no tables yet; they appear with the first event that is loaded."
                    )
                asked = _asked(self._sql)
                for table, columns in (*tables.items(), *_newest(tables).items()):
                    handle = store.opened(table) if f"{table.schema}.{table.name}" in asked else None
                    _view(connection, table, columns, handle)
        except DeliveryError as error:
            raise QueryError(str(error)) from error


def _asked(sql: str) -> set[str]:
    """Return the tables that a question names, as `schema.table`; none when it is no question."""
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        try:
            statements = connection.extract_statements(sql)
            if [statement.type for statement in statements] != [StatementType.SELECT]:
                return set()
            return {name.replace('"', "").lower() for name in connection.get_table_names(sql, qualified=True)}
        except duckdb.Error:  # the answer to it will say why
            return set()


def _newest(tables: dict[Table, Columns]) -> dict[Table, Columns]:
    """Return the tables of the newest state, with their columns."""
    return {
        Table(origin.schema, latest.table): {
            ID: ColumnType.VARCHAR,
            **{name: kind for name, kind in columns.items() if name not in latest.hidden},
        }
        for origin, columns in tables.items()
        for latest in LATEST
        if latest.origin == origin.name and latest.key in columns
    }


def _view(connection: DuckDBPyConnection, table: Table, columns: Columns, handle: Any | None) -> None:
    """Show one table."""
    listed = ", ".join(f"null::{kind.value} as {quote_ident(name)}" for name, kind in columns.items())
    source = "(select 1) where false"
    if handle is not None:
        name = f"{table.schema}/{table.name}"
        connection.register(name, handle.to_pyarrow_dataset())
        listed, source = selected(handle, columns), quote_ident(name)
    schema = quote_ident(table.schema)
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(f"create view {schema}.{quote_ident(table.name)} as select {listed} from {source}")
