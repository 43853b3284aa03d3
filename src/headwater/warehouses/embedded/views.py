"""What readers open: a small DuckDB file of views over Parquet files, replaced by rename and never changed in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import LATEST, SEQ, Columns, Latest, Table, View
from headwater.warehouses.embedded.layout import Layout

# Every DuckDB since 1.0 reads this; what 2.0 writes by itself, no 1.x client opens.
STORAGE_VERSION: Final = "v1.0.0"

Scan = Callable[[Table, Columns], str]
"""Gives a FROM item with every row of a table, once, and `_seq` beside its columns."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Which parts count: every row before sequence `before` stands in one of `parts`.

    Attributes:
        generation: counts the changes; views of a generation work while its file exists.
    """

    generation: int = 0
    before: int = 0
    parts: tuple[str, ...] = ()


def write(
    connection: DuckDBPyConnection, file: Path, tables: Mapping[Table, Columns], scan: Scan, models: Sequence[View]
) -> list[str]:
    """Make a file of views: one a table, `users` and `accounts` on top, and those for analysis.

    Returns:
        What DuckDB said of the views for analysis that it did not take; the others are there.
    """
    file.unlink(missing_ok=True)
    connection.execute(f"attach {quote_text(str(file))} as made (storage_version '{STORAGE_VERSION}')")
    try:
        connection.execute("use made")
        for schema in sorted({table.schema for table in tables}):
            connection.execute(f"create schema if not exists {quote_ident(schema)}")
        for table, columns in tables.items():
            rows = scan(table, columns)
            connection.execute(f"create view {_name(table)} as select {_cast(columns)} from {rows}")
            for latest in LATEST:
                if latest.origin == table.name:
                    connection.execute(_latest(latest, table, columns, rows))
        refused = _analysis(connection, models)
    finally:
        connection.execute("use memory")
        connection.execute("detach made")
    return refused


def scan_of(layout: Layout, merged: Merged) -> Scan:
    """Return how the files of a directory are read.

    The live folder is listed by the reader at each query, so new batches need no new views. Batches that were merged
    stay in it for a while for those who hold older views; here `_seq` leaves them out.
    """

    def scan(table: Table, columns: Columns) -> str:
        generation = layout.generation(merged.generation)  # first: what is gone with it is missed by this name
        live = [generation, layout.live / "*" / table.schema / f"{table.name}.parquet"]
        wanted = f"select {listed(columns)}, {SEQ} from"
        if not merged.before:
            return f"({wanted} {read(live)})"
        files = [generation, layout.marker(table), *files_in(layout, table, merged.parts)]
        return f"({wanted} {read(files)} union all {wanted} {read(live)} where {SEQ} >= {merged.before})"

    return scan


def files_in(layout: Layout, table: Table, parts: Iterable[str]) -> list[Path]:
    """Return the files of a table in these parts."""
    files = [layout.merged / name / table.schema / f"{table.name}.parquet" for name in parts]
    return [file for file in files if file.exists()]


def read(files: Iterable[Path | str]) -> str:
    """Return the call that reads Parquet files as one table, each file with the columns that it has."""
    return f"read_parquet([{', '.join(quote_text(str(file)) for file in files)}], union_by_name = true)"


def listed(columns: Columns) -> str:
    """Return column names for a SELECT."""
    return ", ".join(quote_ident(column) for column in columns)


def _cast(columns: Columns) -> str:
    """Return columns for a SELECT, in their types whatever types the files have.

    A view whose columns change their type under it fails (DuckDB: "Contents of view were altered"), and who opened it
    before a column became wider still reads the files that have it as text.
    """
    return ", ".join(
        f"try_cast({quote_ident(name)} as {kind.value}) as {quote_ident(name)}" for name, kind in columns.items()
    )


def _latest(latest: Latest, origin: Table, columns: Columns, rows: str) -> str:
    """Return the view of the newest state: of each column the last value that is not null, as an upsert leaves it."""
    key = quote_ident(latest.key)
    kept = {name: kind for name, kind in columns.items() if name not in latest.hidden}
    newest = "".join(
        f", arg_max(try_cast({quote_ident(name)} as {kind.value}), {SEQ}) as {quote_ident(name)}"
        for name, kind in kept.items()
    )
    name = _name(Table(origin.schema, latest.table))
    return f"create view {name} as select {key} as id{newest} from {rows} where {key} is not null group by {key}"


def _analysis(connection: DuckDBPyConnection, models: Sequence[View]) -> list[str]:
    """Make the views for analysis; return what DuckDB said of those it did not take."""
    refused: list[str] = []
    for view in models:
        try:
            connection.execute(f"create schema if not exists {quote_ident(view.schema)}")
            connection.execute(f"create view {_name(Table(view.schema, view.name))} as {view.select}")
        except duckdb.Error as error:
            said = str(error).partition("\n")[0]
            refused.append(f"{view.schema}.{view.name}: {said}")
    return refused


def _name(table: Table) -> str:
    """Return a table's qualified name."""
    return f"{quote_ident(table.schema)}.{quote_ident(table.name)}"
