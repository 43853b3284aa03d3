"""What the Delta lane knows of itself: a table of columns, and numbers that its commits carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.warehouses.contract import Columns, ColumnType, Table
from headwater.warehouses.delta.store import Store

BOOKKEEPING: Final = "_headwater"
PLACE: Final = Table(BOOKKEEPING, "columns")
_CURSOR: Final = "headwater-cursor"
_ERASE: Final = "headwater-erase"
_COLUMNS: Final[Columns] = {
    "position": ColumnType.INTEGER,
    "place": ColumnType.VARCHAR,
    "table": ColumnType.VARCHAR,
    "column": ColumnType.VARCHAR,
    "kind": ColumnType.VARCHAR,
}


class Head:
    """The table `_headwater/columns`: one row a column, in the order in which they came to be.

    The cursor, and whether deleted bytes are still to be removed, are application transactions of its commits: numbers
    that Delta's protocol keeps beside the rows.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._columns: dict[Table, dict[str, ColumnType]] | None = None

    def make(self) -> None:
        """Make it where it is missing."""
        self._store.sync(PLACE, self._store.made(PLACE, _COLUMNS), -1)
        self._columns = None

    def cursor(self) -> int:
        """Return the cursor as it is committed now."""
        return self._number(_CURSOR)

    def move(self, cursor: int) -> None:
        """Commit a cursor."""
        self._commit(_CURSOR, cursor)

    @property
    def is_to_erase(self) -> bool:
        """Whether the bytes of deleted rows may still be there."""
        return bool(self._number(_ERASE) % 2)

    def erase(self, *, wanted: bool) -> None:
        """Commit whether they may; an odd number says so."""
        now = self._number(_ERASE)
        if bool(now % 2) is not wanted:
            self._commit(_ERASE, now + 1)

    def columns(self) -> Mapping[Table, Columns]:
        """Return every table with its columns."""
        if self._columns is None:
            self._columns = {}
            table = self._store.opened(PLACE)
            rows = [] if table is None else table.to_pyarrow_table().to_pylist()
            for row in sorted(rows, key=lambda each: int(each["position"])):
                columns = self._columns.setdefault(Table(row["place"], row["table"]), {})
                columns.setdefault(row["column"], ColumnType(row["kind"]))
        return self._columns

    def add(self, added: Mapping[Table, Columns]) -> None:
        """Note columns that are new."""
        known = self.columns()
        position = sum(len(columns) for columns in known.values())
        new = [
            (table.schema, table.name, name, kind.value)
            for table, columns in added.items()
            for name, kind in columns.items()
            if name not in known.get(table, {})
        ]
        if not new:
            return
        self._columns = None
        handle = self._store.made(PLACE, _COLUMNS)
        since = handle.version()
        values = [list(range(position, position + len(new))), *map(list, zip(*new, strict=True))]
        rows = self._store.arrow.table(dict(zip(_COLUMNS, values, strict=True)), schema=self._store.schema(_COLUMNS))
        self._store.delta.write_deltalake(handle, rows, mode="append")
        self._store.sync(PLACE, handle, since)

    def _number(self, name: str) -> int:
        """Return a number of the commits; 0 at first."""
        handle = self._store.opened(PLACE)
        return 0 if handle is None else int(handle.transaction_version(name) or 0)

    def _commit(self, name: str, value: int) -> None:
        """Commit a number and no row."""
        handle: Any = self._store.made(PLACE, _COLUMNS)
        since = handle.version()
        handle.create_write_transaction(
            actions=[], mode="append", schema=handle.schema(), commit_properties=self._store.commit(name, value)
        )
        handle.update_incremental()
        self._store.sync(PLACE, handle, since)
