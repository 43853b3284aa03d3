"""What readers open: a small DuckDB file of views over Parquet files, replaced by rename and never changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import LATEST, SEQ, Columns, Latest, Table
from headwater.warehouses.embedded.layout import Layout, Stretch, publish

# Every DuckDB since 1.0 reads this; what 2.0 writes by itself, no 1.x client opens.
STORAGE_VERSION: Final = "v1.0.0"


@dataclass(frozen=True, slots=True)
class Merged:
    """Which batches stand in merged files: everything before sequence `before`, in `stretches`.

    Attributes:
        generation: counts the merges; views of a generation work while its file exists.
    """

    generation: int = 0
    before: int = 0
    stretches: tuple[Stretch, ...] = ()


def build(layout: Layout, tables: Mapping[Table, Columns], merged: Merged) -> None:
    """Replace `views.duckdb`: a view a table, and `users` and `accounts` on top; durable on return."""
    staged = layout.staging / "views.duckdb"
    staged.unlink(missing_ok=True)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"attach {quote_text(str(staged))} as made (storage_version '{STORAGE_VERSION}')")
        connection.execute("use made")
        for schema in sorted({table.schema for table in tables}):
            connection.execute(f"create schema if not exists {quote_ident(schema)}")
        for table, columns in tables.items():
            rows = scan(layout, table, columns, merged)
            connection.execute(f"create view {_name(table)} as select {_list(columns)} from {rows}")
            for latest in LATEST:
                if latest.origin == table.name:
                    connection.execute(_latest(latest, table, columns, rows))
        connection.execute("use memory")
        connection.execute("detach made")
    publish(staged, layout.views)


def scan(layout: Layout, table: Table, columns: Columns, merged: Merged) -> str:
    """Return a FROM item with every row of a table, once, and `_seq` beside its columns.

    The live folder is listed by the reader at each query, so new batches need no new views. Batches that were merged
    stay in it for a while for those who hold older views; here `_seq` leaves them out.
    """
    live = [layout.generation(merged.generation), layout.live / "*" / table.schema / f"{table.name}.parquet"]
    wanted = f"select {_list(columns)}, {SEQ} from"
    if not merged.stretches:
        return f"({wanted} {_read(live)})"
    files = [layout.marker(table), *merged_files(layout, table, merged.stretches)]
    return f"({wanted} {_read(files)} union all {wanted} {_read(live)} where {SEQ} >= {merged.before})"


def merged_files(layout: Layout, table: Table, stretches: tuple[Stretch, ...]) -> list[Path]:
    """Return the merged files of a table in log order."""
    files = [layout.merged / stretch.name / table.schema / f"{table.name}.parquet" for stretch in stretches]
    return [file for file in files if file.exists()]


def _latest(latest: Latest, origin: Table, columns: Columns, rows: str) -> str:
    """Return the view of the newest state: of each column the last value that is not null, as an upsert leaves it."""
    key = quote_ident(latest.key)
    kept = [quote_ident(column) for column in columns if column not in latest.hidden]
    newest = "".join(f", arg_max({column}, {SEQ}) as {column}" for column in kept)
    name = _name(Table(origin.schema, latest.table))
    return f"create view {name} as select {key} as id{newest} from {rows} where {key} is not null group by {key}"


def _read(files: list[Path]) -> str:
    """Return the call that reads Parquet files as one table, each file with the columns that it has."""
    return f"read_parquet([{', '.join(quote_text(str(file)) for file in files)}], union_by_name = true)"


def _list(columns: Columns) -> str:
    """Return column names for a SELECT."""
    return ", ".join(quote_ident(column) for column in columns)


def _name(table: Table) -> str:
    """Return a table's qualified name."""
    return f"{quote_ident(table.schema)}.{quote_ident(table.name)}"
