"""A warehouse as a store: rows are removed by the loading engine, which owns it, and counted by a question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater import shelf
from headwater.errors import QueryError, RetryableError
from headwater.loading.orders import Removed
from headwater.privacy.person import Person
from headwater.regulations.stores import Reach
from headwater.spec.names import quote_ident
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses.contract import CatalogTable, ColumnType, Reading

_SHELF: Final = "headwater.warehouses"
_TEXTS: Final = ("VARCHAR", "TEXT", "CHARACTER VARYING", "STRING")
_COUNTS_IN: Final = frozenset({"duckdb", "postgres"})  # dialects that read the condition as it is written
_QUESTION_S: Final = 600.0  # ours: one table, read through
_TABLES_AT_ONCE: Final = 50  # ours: counted in one statement
_LATEST: Final = frozenset({"users", "accounts"})  # made of other tables, whose rows are counted

Remove = Callable[[Person, str, frozenset[str] | None], Awaitable[Sequence[Removed]]]
"""Deletes a person's rows from the warehouse of this id, in some schemas or in all."""


@dataclass(frozen=True, slots=True)
class Place:
    """A warehouse: settings are open."""

    id: str
    name: str
    type: str
    settings: Mapping[str, Any] = field(repr=False)
    home: Path = Path()


class WarehouseStore:
    """One warehouse."""

    def __init__(self, place: Place, remove: Remove) -> None:
        self._place, self._remove = place, remove

    @property
    def name(self) -> str:
        """What the receipt calls it."""
        return f"warehouse.{self._place.name}"

    async def count(self, person: Person, reach: Reach) -> int:
        """Return how many rows are theirs; where its SQL is not known here, what a removal leaves: none."""
        return await asyncio.to_thread(self._count, person, reach)

    async def erase(self, person: Person, reach: Reach) -> int:
        """Remove the rows for good.

        Raises:
            DeliveryError: it did not do it.
        """
        schemas = None if reach.is_whole else frozenset(reach.sources.values())
        removed = await self._remove(person, self._place.id, schemas)
        for each in removed:
            if each.error:
                raise RetryableError(each.error)
        return sum(rows for each in removed for table, rows in each.rows.items() if _is_counted(table))

    def _count(self, person: Person, reach: Reach) -> int:
        if not can_be_asked(self._place.type):
            return 0
        module = shelf.take(_SHELF, self._place.type)
        settings = msgspec.convert(dict(self._place.settings), module.Settings)
        asking: Reading = module.Reading(settings, self._place.home)
        try:
            statements = list(_statements(asking.catalog(), person, reach))
            count = 0
            for start in range(0, len(statements), _TABLES_AT_ONCE):
                sql = " union all ".join(statements[start : start + _TABLES_AT_ONCE])
                question = f"select sum(n) from ({sql}) as each_table"  # noqa: S608 - of quoted names and texts
                rows = asking.run(question, rows_max=1, timeout_s=_QUESTION_S).rows
                count += int(rows[0][0] or 0)
        except QueryError as error:
            raise RetryableError(f"It could not be asked: {error}") from error
        return count


def can_be_asked(warehouse_type: str) -> bool:
    """Tell whether a warehouse of this type reads the conditions of `rows_of`."""
    return shelf.take(_SHELF, warehouse_type).Warehouse.dialect in _COUNTS_IN


def _statements(tables: Sequence[CatalogTable], person: Person, reach: Reach) -> list[str]:
    found = rows_of(tables, person, reach)
    return [f"select count(*) as n from {rows}" for _, rows in found]  # noqa: S608 - of quoted names and texts


def rows_of(tables: Sequence[CatalogTable], person: Person, reach: Reach) -> list[tuple[str, str]]:
    """Return each table that may hold rows of theirs: `schema.table`, and the table with its condition, as SQL."""
    schemas = frozenset(reach.sources.values())
    found = []
    for table in tables:
        if table.name in _LATEST or (not reach.is_whole and table.schema not in schemas):
            continue
        columns = {name: _type(kind) for name, kind in table.columns}
        if "id" not in columns or "received_at" not in columns:  # a view for analysis, or a table of the user's own
            continue
        if where := condition(person, columns):
            named = f"{quote_ident(table.schema)}.{quote_ident(table.name)}"
            found.append((f"{table.schema}.{table.name}", f"{named} where {where}"))
    return found


def _type(kind: str) -> ColumnType:
    return ColumnType.VARCHAR if kind.upper().startswith(_TEXTS) else ColumnType.INTEGER


def _is_counted(table: str) -> bool:
    return table.rpartition(".")[2] not in _LATEST
