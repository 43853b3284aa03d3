"""Selective sync: which collections and properties of which source stay out of a warehouse.

Source: Segment, warehouse syncs; Public API, Selective Sync.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from headwater.control.database import warehouse_exclusions as exclusions
from headwater.control.loads import column_of, table_of
from headwater.errors import ConflictError, InvalidRequestError
from headwater.loading.selection import Excluded
from headwater.loading.tables import common_columns
from headwater.warehouses.contract import LATEST

EXCLUDED_MAX: Final = 10_000  # ours, a warehouse; Segment shows 5,000 collections a source
OVERRIDES_MAX: Final = 1_000  # ours, a request
REQUIRED: Final = ("id", "received_at", "uuid_ts")
"""Columns of every table without which a row is not found again: neither once, nor in time."""

_KEYS: Final[Mapping[str, str]] = {each.origin: each.key for each in LATEST}
DERIVED: Final[Mapping[str, str]] = {each.table: each.origin for each in LATEST}
"""Tables that are made of others, and of which."""


@dataclass(frozen=True, slots=True)
class Override:
    """A change of what is loaded.

    Attributes:
        collection: a table, or the name of its event; "" for the whole source.
        property: a column, or the name of its property; "" for the whole table.
    """

    source_id: str
    collection: str
    property: str
    enabled: bool


def required(collection: str) -> frozenset[str]:
    """Return the columns of a table that cannot be left out."""
    return frozenset({*REQUIRED, *filter(None, [_KEYS.get(collection)])})


def checked(override: Override, field: str, engine: str = "") -> Override:
    """Return the override in the warehouse's own names.

    Args:
        override: as the request has it.
        field: where it stands there, for the error.
        engine: the warehouse's type, for the words that it alone reserves.

    Raises:
        InvalidRequestError: it cannot be left out, or is no name; the message says what can be done.
    """
    if override.property and not override.collection:
        raise InvalidRequestError("a property needs its collection", field=f"{field}.collection")
    if not override.collection:
        return override
    collection = table_of(override.collection, engine)
    if collection in DERIVED:
        told = f"{collection} is made of {DERIVED[collection]}: choose that, or its properties"
        raise InvalidRequestError(told, field=f"{field}.collection")
    column = override.property
    if column and column not in common_columns(collection):
        column = column_of(column, engine)
    if not override.enabled and column in required(collection):
        told = f"{column} of {collection} cannot be left out: without it no row is found again"
        raise InvalidRequestError(told, field=f"{field}.property")
    return Override(override.source_id, collection, column, override.enabled)


def read(connection: Connection, warehouse_id: str | None = None) -> dict[str, frozenset[Excluded]]:
    """Return what every warehouse, or one, leaves out, by its id."""
    found: dict[str, list[Excluded]] = {}
    wanted = select(exclusions)
    if warehouse_id is not None:
        wanted = wanted.filter_by(warehouse_id=warehouse_id)
    for row in connection.execute(wanted):
        found.setdefault(row.warehouse_id, []).append(Excluded(row.source_id, row.collection, row.property))
    return {warehouse_id: frozenset(each) for warehouse_id, each in found.items()}


def apply(connection: Connection, warehouse_id: str, overrides: Sequence[Override]) -> bool:
    """Store checked overrides of collections and properties in their order; return whether anything changed.

    Raises:
        ConflictError: the warehouse would leave out more than it may.
    """
    present = read(connection, warehouse_id).get(warehouse_id, frozenset())
    wanted = _after(present, overrides)
    if len(wanted) > max(EXCLUDED_MAX, len(present)):
        raise ConflictError(f"A warehouse leaves out at most {EXCLUDED_MAX:,} collections and properties.")
    for gone in present - wanted:
        connection.execute(delete(exclusions).filter_by(**_row(warehouse_id, gone)))
    if added := [_row(warehouse_id, each) for each in wanted - present]:
        connection.execute(insert(exclusions), added)
    return wanted != present


def _after(present: Iterable[Excluded], overrides: Sequence[Override]) -> frozenset[Excluded]:
    wanted = set(present)
    for each in overrides:
        if not each.collection:
            continue
        one = Excluded(each.source_id, each.collection, each.property)
        if each.enabled:
            wanted.discard(one)
        else:
            wanted.add(one)
    return frozenset(wanted)


def _row(warehouse_id: str, excluded: Excluded) -> dict[str, str]:
    return {
        "warehouse_id": warehouse_id,
        "source_id": excluded.source_id,
        "collection": excluded.collection,
        "property": excluded.property,
    }
