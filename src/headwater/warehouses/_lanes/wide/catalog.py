"""What an engine holds, and the statements that give it the tables and columns that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from headwater.warehouses._lanes.wide import statements
from headwater.warehouses._lanes.wide.engine import BOOKKEEPING, STAGE, Engine
from headwater.warehouses._lanes.wide.statements import latest_columns, latest_of, order_of
from headwater.warehouses.contract import ID, LATEST, Columns, ColumnType, Table

_DERIVED: Final = frozenset(latest.table for latest in LATEST)
_OF_HEADWATER: Final = "headwater"  # the schema of the views for analysis


class Catalog:
    """Every table that is no view, as the engine had it when it was asked."""

    def __init__(self, engine: Engine, rows: list[tuple[str, str, str, str]]) -> None:
        """Take what `engine.columns` gave."""
        self._engine = engine
        self.tables: dict[Table, dict[str, ColumnType]] = {}
        self.schemas: set[str] = set()
        self.staged: list[tuple[str, str]] = []
        for schema, table, column, kind in rows:
            self._take(str(schema), str(table), str(column), str(kind))

    def of_events(self) -> Mapping[Table, Columns]:
        """Return the tables that batches are loaded into."""
        return {
            table: columns
            for table, columns in self.tables.items()
            if table.schema not in {BOOKKEEPING, _OF_HEADWATER} and table.name not in _DERIVED and ID in columns
        }

    def missing(self, added: Mapping[Table, Columns]) -> dict[Table, dict[str, ColumnType]]:
        """Return what of these columns there is not, and what is derived from their tables."""
        wanted: dict[Table, dict[str, ColumnType]] = {}
        for table, columns in added.items():
            have = self.tables.get(table, {})
            wanted[table] = {name: kind for name, kind in columns.items() if name not in have}
            for derived, needed in self._derived(table, {**columns, **have}):
                there = self.tables.get(derived, {})
                wanted[derived] = {name: kind for name, kind in needed.items() if name not in there}
        return {table: columns for table, columns in wanted.items() if columns}

    def widened(self, table: Table, columns: Columns, *, of_events: bool = True) -> list[str]:
        """Return the statements that make a table or give it these columns."""
        if table in self.tables:
            return statements.add(self._engine, table, columns)
        made = [] if table.schema in self.schemas else [statements.create_schema(self._engine, table.schema)]
        return made + statements.create(self._engine, table, columns, of_events=of_events)

    def note(self, table: Table, columns: Columns) -> None:
        """Remember what was made."""
        self.schemas.add(table.schema)
        self.tables.setdefault(table, {}).update(columns)

    def _take(self, schema: str, table: str, column: str, kind: str) -> None:
        """Remember one column that the engine has."""
        named = Table(self._engine.unfold(schema), self._engine.unfold(table))
        self.schemas.add(named.schema)
        if named.schema == STAGE or named.name.startswith(f"{STAGE}___"):  # dlt's prefix where it uses no schemas
            if (schema, table) not in self.staged:
                self.staged.append((schema, table))
            return
        self.tables.setdefault(named, {})[self._engine.unfold(column)] = self._engine.kind_of(kind)

    def _derived(self, origin: Table, columns: Columns) -> Iterator[tuple[Table, Columns]]:
        """Yield the tables that stand beside one of events."""
        latest = latest_of(origin)
        if latest is None:
            return
        yield order_of(origin), statements.ORDER_COLUMNS
        if latest.key in columns and not self._engine.latest_value:
            yield Table(origin.schema, latest.table), latest_columns(latest, columns)


def is_derived(table: Table) -> bool:
    """Whether a table holds a newest state."""
    return table.name in _DERIVED and table.schema != BOOKKEEPING


def read(engine: Engine, client: Any) -> Catalog:
    """Ask an engine what it holds."""
    return Catalog(engine, client.execute_sql(engine.columns) or [])
