"""What the lane says to an attached database: its bookkeeping, its tables, and the views on them. SQL and no state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import ID, LATEST, SEQ, Columns, ColumnType, Latest, Table, View

BOOKKEEPING: Final = "_headwater"
"""The schema of what users need not see; no source's schema is called so."""

STATE: Final = f"{BOOKKEEPING}.state"
VIEWS: Final = f"{BOOKKEEPING}.views"
CURSOR: Final = "cursor"
ERASE: Final = "erase"
WIDEN_ROWS_MAX: Final = 20_000_000  # ours: some seconds in which a table's column is written anew
ORIGINS: Final = frozenset(latest.origin for latest in LATEST)


@contextmanager
def transaction(connection: DuckDBPyConnection) -> Iterator[None]:
    """Commit what was done, or nothing of it."""
    connection.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise
    commit(connection)


def commit(connection: DuckDBPyConnection) -> None:
    """Make it count; durable on return."""
    connection.execute("commit")


def value_of(connection: DuckDBPyConnection, name: str, catalog: str = "") -> int:
    """Return a value of the bookkeeping."""
    row = connection.execute(f"select value from {catalog}{STATE} where name = {quote_text(name)}").fetchone()
    return int(row[0]) if row else 0


def set_value(connection: DuckDBPyConnection, name: str, value: int, catalog: str = "") -> None:
    """Change a value of the bookkeeping."""
    connection.execute(f"update {catalog}{STATE} set value = {value} where name = {quote_text(name)}")


def stored(table: Table) -> str:
    """Return the qualified name under which a table's rows lie."""
    if table.name in ORIGINS:
        return qualified(Table(BOOKKEEPING, f"{table.schema}.{table.name}"))
    return qualified(table)


def qualified(table: Table) -> str:
    """Return a qualified name."""
    return f"{quote_ident(table.schema)}.{quote_ident(table.name)}"


def tables_of(connection: DuckDBPyConnection) -> dict[Table, dict[str, ColumnType]]:
    """Return the columns of every table of a source, without what is ours."""
    rows = connection.execute(
        "select c.schema_name, c.table_name, c.column_name, c.data_type from duckdb_columns() c "
        "semi join duckdb_tables() t using (database_name, schema_name, table_name) "
        "where c.database_name = current_database() and not c.internal order by c.schema_name, c.table_name, "
        "c.column_index"
    ).fetchall()
    found: dict[Table, dict[str, ColumnType]] = {}
    for schema, table, column, kind in rows:
        place = Table(schema, table)
        if schema == BOOKKEEPING:
            place = Table(*table.rsplit(".", 1)) if "." in table else place
        if place.schema != BOOKKEEPING and not (schema == BOOKKEEPING and column == SEQ):
            found.setdefault(place, {})[column] = _type(kind)
    return found


def _type(kind: str) -> ColumnType:
    """Return our type for one of DuckDB's; users may have changed it."""
    name = kind.lower()
    if name in set(ColumnType):
        return ColumnType(name)
    if name.startswith("timestamp") or name == "date":
        return ColumnType.TIMESTAMP
    if name.startswith(("decimal", "float")):
        return ColumnType.FLOAT
    return ColumnType.INTEGER if name.endswith("int") or name == "integer" else ColumnType.VARCHAR


def make(connection: DuckDBPyConnection, table: Table, columns: Columns, there: Columns | None) -> None:
    """Make a table that is missing (`there` is None), or the columns that one has not got (`there` are what it has)."""
    kinds: dict[str, str] = {name: kind.value for name, kind in columns.items()}
    if table.name in ORIGINS:
        kinds[SEQ] = ColumnType.INTEGER.value
    listed = {name: f"{quote_ident(name)} {kind}" for name, kind in kinds.items()}
    if there is None:
        connection.execute(f"create table if not exists {stored(table)} ({', '.join(listed.values())})")
        return
    for name, column in listed.items():
        if name not in there and name != SEQ:
            connection.execute(f"alter table {stored(table)} add column if not exists {column}")


def show(connection: DuckDBPyConnection, tables: Mapping[Table, Columns], changed: Mapping[Table, Any]) -> None:
    """Make the views of changed tables that are stored elsewhere, and of what is newest in them."""
    for table in changed:
        for latest in LATEST:
            if latest.origin == table.name and table in tables:
                listed = ", ".join(quote_ident(column) for column in tables[table])
                connection.execute(f"create or replace view {qualified(table)} as select {listed} from {stored(table)}")
                connection.execute(_latest(latest, table, tables[table]))


def _latest(latest: Latest, origin: Table, columns: Columns) -> str:
    """Return the view of the newest state: of each column the last value that is not null, in log order."""
    key = quote_ident(latest.key)
    kept = [quote_ident(column) for column in columns if column not in latest.hidden]
    newest = "".join(f", arg_max({column}, {SEQ}) as {column}" for column in kept)
    view = qualified(Table(origin.schema, latest.table))
    rows = f"from {stored(origin)} where {key} is not null group by {key}"
    return f"create or replace view {view} as select {key} as {ID}{newest} {rows}"


def published(connection: DuckDBPyConnection) -> list[View]:
    """Return the views that were published last."""
    rows = connection.execute(f"select place, name, query from {VIEWS} order by rowid").fetchall()
    return [View(*row) for row in rows]


def publish(connection: DuckDBPyConnection, views: Sequence[View]) -> None:
    """Make views.

    Raises:
        DeliveryError: one does not work here.
    """
    for view in views:
        place = Table(view.schema, view.name)
        try:
            connection.execute(f"create schema if not exists {quote_ident(view.schema)}")
            connection.execute(f"create or replace view {qualified(place)} as {view.select}")
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise DeliveryError(
                f"The view {view.schema}.{view.name} cannot be made: something of another kind or "
                "shape is in its way; rename that."
            ) from error


def wider_types(
    connection: DuckDBPyConnection,
    known: Mapping[Table, Columns],
    wanted: Mapping[Table, Columns],
    possible: frozenset[ColumnType],
) -> list[tuple[Table, str, ColumnType]]:
    """Return the columns that are to be changed, and to what.

    A column with an integer that double does not hold exactly becomes varchar, in every table of its schema: a field
    of `context` has one type in all of them. Tables of more than `WIDEN_ROWS_MAX` rows stay as they are.
    """
    asked = [
        (table, name, now, kind)
        for table, columns in wanted.items()
        for name, kind in columns.items()
        if (now := known.get(table, {}).get(name)) is not None
    ]
    lossy = {
        (table.schema, name)
        for table, name, now, kind in asked
        if (now, kind) == (ColumnType.INTEGER, ColumnType.FLOAT) and _is_lossy(connection, table, name)
    }
    changes = [
        (table, name, now, ColumnType.VARCHAR if (table.schema, name) in lossy else kind)
        for table, name, now, kind in asked
    ]
    return [
        (table, name, kind)
        for table, name, now, kind in changes
        if kind in possible and _is_wider(now, kind) and not _is_large(connection, table)
    ]


def _is_wider(now: ColumnType, to: ColumnType) -> bool:
    """Return whether every value of a type has a place in another one."""
    if to is ColumnType.FLOAT:
        return now is ColumnType.INTEGER
    return to is ColumnType.VARCHAR is not now


def _is_lossy(connection: DuckDBPyConnection, table: Table, name: str) -> bool:
    """Return whether a column has an integer that double does not hold exactly."""
    column = quote_ident(name)
    exact = f"{column}::double::hugeint = {column}::hugeint"
    found = connection.execute(f"from {stored(table)} where {column} is not null and not {exact} limit 1")
    return bool(found.fetchall())


def _is_large(connection: DuckDBPyConnection, table: Table) -> bool:
    """Return whether writing a column of a table anew would take long."""
    row = connection.execute(f"select count(*) from {stored(table)}").fetchone()
    return bool(row and row[0] > WIDEN_ROWS_MAX)
