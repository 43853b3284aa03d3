"""`users` and `accounts` as Delta tables: of each trait the last value that is not null, in log order.

Delta has no views, so they are tables that follow their origin: a batch of the main line is merged into them, what
comes later or goes is computed anew from the origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import duckdb

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import ID, LATEST, SEQ, Columns, ColumnType, Latest, Staged, Table
from headwater.warehouses.delta.store import Store, selected

ORIGINS: Final = frozenset(latest.origin for latest in LATEST)
_MEMORY: Final = "256MB"
_ROWS: Final = "origin_rows"
_KEYS: Final = "wanted_keys"


class Newest:
    """Keeps the tables of the newest state."""

    def __init__(self, store: Store, app: str) -> None:
        """Take the store and the name of the main line's application transactions."""
        self._store, self._app = store, app

    def follow(self, staging: duckdb.DuckDBPyConnection, staged: Staged, next_cursor: int) -> None:
        """Merge what a batch of the main line brings; once, however often it is repeated."""
        for latest in _latest(staged.table):
            columns = _columns(latest, staged.columns)
            if latest.key not in staged.columns:
                continue
            table = Table(staged.table.schema, latest.table)
            handle = self._store.made(table, columns)
            done, since = int(handle.transaction_version(self._app) or 0), handle.version()
            if done >= next_cursor:
                continue
            where = f"{SEQ} >= {done} and {quote_ident(latest.key)} is not null"
            rows = self._store.stream(staging, _select(latest, columns, staged.relation, where), columns)
            # a null of the batch changes nothing
            update = {
                f"t.{quote_ident(name)}": f"coalesce(s.{quote_ident(name)}, t.{quote_ident(name)})"
                for name in columns
                if name != ID
            }
            insert = {f"t.{quote_ident(name)}": f"s.{quote_ident(name)}" for name in columns}
            merge = handle.merge(
                rows,
                predicate=f"t.{ID} = s.{ID}",
                source_alias="s",
                target_alias="t",
                commit_properties=self._store.commit(self._app, next_cursor),
            )
            merge.when_matched_update(update).when_not_matched_insert(insert).execute()
            self._store.sync(table, handle, since)

    def refresh(self, origin: Table, columns: Columns, touched: Staged, staging: duckdb.DuckDBPyConnection) -> None:
        """Compute anew the rows whose origin a reload touched."""
        for latest in _latest(origin):
            if latest.key not in touched.columns:
                continue
            key = quote_ident(latest.key)
            keys = staging.sql(f"select distinct {key} as id from {touched.relation} where {key} is not null")
            self._compute(latest, origin, columns, keys.to_arrow_table())

    @staticmethod
    def tables(origins: Iterable[Table]) -> list[Table]:
        """Return the tables that follow from these."""
        return [Table(origin.schema, latest.table) for origin in origins for latest in _latest(origin)]

    def rebuild(self, origin: Table, columns: Columns) -> None:
        """Compute all rows anew, after some of the origin's went."""
        for latest in _latest(origin):
            if latest.key in columns:
                self._compute(latest, origin, columns, None)

    def _compute(self, latest: Latest, origin: Table, columns: Columns, keys: object | None) -> None:
        """Replace the rows of these keys, of all of them for None, by what the origin says."""
        source = self._store.opened(origin)
        if source is None:
            return
        made = _columns(latest, columns)
        table = Table(origin.schema, latest.table)
        handle = self._store.made(table, made)
        since = handle.version()
        with duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.register("stored", source.to_pyarrow_dataset())
            listed = selected(source, {**columns, SEQ: ColumnType.INTEGER})
            connection.execute(f"create temp view {_ROWS} as select {listed} from stored")
            where = f"{quote_ident(latest.key)} is not null"
            if keys is not None:
                connection.register(_KEYS, keys)
                where += f" and {quote_ident(latest.key)} in (select id from {_KEYS})"
            rows = self._store.stream(connection, _select(latest, made, _ROWS, where), made)
            if keys is None:
                self._store.delta.write_deltalake(handle, rows.read_all(), mode="overwrite", schema_mode="merge")
            else:
                merge = handle.merge(rows.read_all(), predicate=f"t.{ID} = s.{ID}", source_alias="s", target_alias="t")
                merge.when_matched_update_all().when_not_matched_insert_all().execute()
        self._store.sync(table, handle, since)


def _latest(origin: Table) -> list[Latest]:
    """Return what is derived from a table."""
    return [latest for latest in LATEST if latest.origin == origin.name]


def _columns(latest: Latest, origin: Columns) -> dict[str, ColumnType]:
    """Return the columns of the newest state."""
    return {ID: ColumnType.VARCHAR, **{name: kind for name, kind in origin.items() if name not in latest.hidden}}


def _select(latest: Latest, columns: Columns, rows: str, where: str) -> str:
    """Return the statement that gives the newest state of some rows."""
    key = quote_ident(latest.key)
    names = [quote_ident(name) for name in columns if name != ID]
    newest = "".join(f", arg_max({name}, {SEQ}) as {name}" for name in names)
    return f"select {key} as {ID}{newest} from {rows} where {where} group by {key}"
