"""What a JSON object is made of: its structure as DuckDB tells it, read once per distinct shape. Pure.

A structure is what `json_structure` gives, or, for a flat object without nulls and arrays, the list of its keys: that
takes a quarter of the time, and leaves only open which kind of scalar a key has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from headwater.warehouses.contract import ColumnType

Path = tuple[str, ...]
"""The keys from the outside in."""


class Kind(Enum):
    """What JSON has at a path, as far as columns care."""

    BOOLEAN = auto()
    INTEGER = auto()
    FLOAT = auto()
    TEXT = auto()
    SCALAR = auto()  # one of the four above: of a flat object only the keys are looked at
    ARRAY = auto()
    OBJECT = auto()  # its members are leaves of their own
    ANY = auto()  # an empty object, or a key that stands twice with different types


class Leaf(NamedTuple):
    """One value that is not null."""

    path: Path
    kind: Kind


_KINDS: Final = {
    "VARCHAR": Kind.TEXT,
    "BIGINT": Kind.INTEGER,
    "UBIGINT": Kind.INTEGER,
    "HUGEINT": Kind.INTEGER,
    "DOUBLE": Kind.FLOAT,
    "BOOLEAN": Kind.BOOLEAN,
}
_KIND_OF: Final[dict[type, Kind]] = {bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.FLOAT}
_TYPES: Final = {
    Kind.BOOLEAN: ColumnType.BOOLEAN,
    Kind.FLOAT: ColumnType.FLOAT,
    Kind.ARRAY: ColumnType.VARCHAR,
}

NO_OBJECT: Final = '"VARCHAR"'
"""The structure of everything that is no object where one is expected: it has no members, and yet a value."""

STRUCTURE: Final = f"""
    case when not starts_with({{document}}, '{{{{') then if({{document}} = 'null', null, '{NO_OBJECT}')
    when contains(substr({{document}}, 2), '{{{{') or contains({{document}}, '[') or contains({{document}}, ':null')
    then json_structure({{document}})::varchar else to_json(json_keys({{document}}))::varchar end
"""
"""SQL of the structure of a JSON column; a brace inside a string only costs time."""

# A date without a time stays text when it makes a column: codes and versions look like it too. A year below 1000 is a
# mistake, and engines differ in what they make of it.
MOMENT: Final = r"[1-9]\d{3}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)?"
_MOMENT: Final = re.compile(MOMENT, re.ASCII)
_INTEGERS: Final = range(-(2**63), 2**63)


@lru_cache(maxsize=20_000)
def leaves(structure: str) -> tuple[Leaf, ...]:
    """Return the values of a shape, nested objects before their members; nulls are none.

    Args:
        structure: "" and what is no object has no leaves.
    """
    shape = msgspec.json.decode(structure) if structure else None
    if isinstance(shape, list):
        return tuple(Leaf((key,), Kind.SCALAR) for key in shape)
    return tuple(_leaves(shape, ())) if isinstance(shape, dict) else ()


@lru_cache(maxsize=20_000)
def leaf_set(structure: str) -> frozenset[Leaf]:
    """Return the values of a shape as a set, whose members' hashes are kept."""
    return frozenset(leaves(structure))


def _leaves(shape: Mapping[str, Any], above: Path) -> Iterator[Leaf]:
    """Yield the leaves of one level and below."""
    for key, below in shape.items():
        path = (*above, key)
        if isinstance(below, dict):
            yield Leaf(path, Kind.OBJECT)
            yield from _leaves(below, path)
        elif isinstance(below, list):
            yield Leaf(path, Kind.ARRAY)
        elif below != "NULL":
            yield Leaf(path, _KINDS.get(below, Kind.ANY))


def column_type(kind: Kind, value: Any) -> ColumnType | None:
    """Return the type of a column whose first value is `value`, None when the value makes no column.

    Source: Segment, warehouse schemas: timestamp, integer, float, boolean, varchar by the first value.
    """
    if kind is Kind.SCALAR:
        kind = _KIND_OF.get(type(value), Kind.TEXT)
    if kind is Kind.FLOAT and isinstance(value, int):  # DuckDB calls an integer of more than 64 bits so
        kind = Kind.INTEGER
    if kind in _TYPES:
        return _TYPES[kind]
    if kind is Kind.INTEGER:
        return ColumnType.INTEGER if isinstance(value, int) and value in _INTEGERS else ColumnType.VARCHAR
    if kind is Kind.TEXT and isinstance(value, str) and is_moment(value):
        return ColumnType.TIMESTAMP
    return None if value == {} else ColumnType.VARCHAR


def is_moment(text: str) -> bool:
    """Return whether a string is an ISO-8601 date and time that exists."""
    if not _MOMENT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def value_at(document: Any, path: Path) -> Any:
    """Return the value at a path of a decoded document, None when there is none."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document
