"""What an engine holds, and the statements that give it the tables and columns that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from headwater.errors import RefusedTableError
from headwater.warehouses._lanes.wide import statements
from headwater.warehouses._lanes.wide.engine import BOOKKEEPING, STAGE, Engine
from headwater.warehouses._lanes.wide.statements import TABLES, TABLES_COLUMNS, latest_columns, latest_of, order_of
from headwater.warehouses.contract import ID, LATEST, Columns, ColumnType, Table

_DERIVED: Final = frozenset(latest.table for latest in LATEST)
_OF_HEADWATER: Final = "headwater"  # the schema of the views for analysis


class Catalog:
    """Every table that is no view, as the engine had it when it was asked.

    Attributes:
        tables: ours, with their columns.
        foreign: the others.
        staged: what stands in the staging schema, as the engine spells it.
    """

    def __init__(self, engine: Engine, rows: Iterable[Sequence[str]]) -> None:
        """Take what `engine.columns` gave."""
        self._engine = engine
        self.tables: dict[Table, dict[str, ColumnType]] = {}
        self.foreign: set[Table] = set()
        self.schemas: set[str] = set()
        self.staged: list[tuple[str, str]] = []
        for schema, table, column, kind in rows:
            self._take(str(schema), str(table), str(column), str(kind))

    def keep(self, ours: Iterable[Table]) -> None:
        """Leave alone every table that is neither one of these nor of our bookkeeping."""
        kept = {*ours}
        self.foreign = {table for table in self.tables if table not in kept and table.schema != BOOKKEEPING}
        for table in self.foreign:
            del self.tables[table]

    def of_events(self) -> Mapping[Table, Columns]:
        """Return the tables that batches are loaded into."""
        return {
            table: columns
            for table, columns in self.tables.items()
            if table.schema not in {BOOKKEEPING, _OF_HEADWATER} and table.name not in _DERIVED and ID in columns
        }

    def missing(self, added: Mapping[Table, Columns]) -> dict[Table, dict[str, ColumnType]]:
        """Return what of these columns there is not, and what is derived from their tables.

        Raises:
            RefusedTableError: somebody else made a table of this name, or of that of what is derived from it.
        """
        wanted: dict[Table, dict[str, ColumnType]] = {}
        for table, columns in added.items():
            self._refuse_foreign(table, table)
            have = self.tables.get(table, {})
            for derived, needed in self._derived(table, {**columns, **have}):
                self._refuse_foreign(derived, table)
                there = self.tables.get(derived, {})
                wanted[derived] = {name: kind for name, kind in needed.items() if name not in there}
            # last: a table of events that is there has what is derived from it, whenever a crash came
            wanted[table] = {name: kind for name, kind in columns.items() if name not in have}
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

    def _refuse_foreign(self, table: Table, origin: Table) -> None:
        """Refuse the rows of a table of events where somebody else's table is in the way."""
        if table in self.foreign:
            raise RefusedTableError(
                f"There is a table {table.schema}.{table.name} that Headwater did not make; rename it, or give the "
                "source another schema.",
                table=f"{origin.schema}.{origin.name}",
            )

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
    """Ask an engine what it holds, and which of it is ours."""
    found = Catalog(engine, client.execute_sql(engine.columns) or [])
    listed: list[tuple[str, str]] = []
    if TABLES in found.tables:
        names = ", ".join(engine.named(name) for name in TABLES_COLUMNS)
        listed = client.execute_sql(f"select {names} from {engine.named(*TABLES)}") or []
    found.keep(Table(str(schema), str(name)) for schema, name in listed)
    return found
