"""Which properties an event's shape has, and of which types. Pure.

A shape is what DuckDB's `json_structure` gives: `{"price":"DOUBLE","items":[{"sku":"VARCHAR"}]}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from headwater.protocols.schemas import shown

NAME_CHARS_MAX: Final = 200  # ours; what is longer is cut
DEPTH_MAX: Final = 8  # ours: levels that are shown; deeper ones are seen as objects
ADDRESS: Final = "(e-mail address)"
"""Stands for every name that holds an e-mail address: nothing personal is kept here."""

_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]")
_TYPES: Final = {
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "DOUBLE": "number",
    "BIGINT": "integer",
    "UBIGINT": "integer",
    "HUGEINT": "integer",
    "NULL": "null",
}

Field = tuple[str, str]
"""Dotted path and type, as JSON Schema names types."""


def cleaned(name: str) -> str:
    """Return a name as it is kept: without addresses, and of bounded length."""
    return ADDRESS if "@" in name and _ADDRESS.search(name) else name[:NAME_CHARS_MAX]


@lru_cache(maxsize=10_000)
def fields(structure: str) -> tuple[Field, ...]:
    """Return every property of a shape, outer ones first; items of a list as `prop.$`."""
    shape = msgspec.json.decode(structure) if structure else None
    return tuple(dict.fromkeys(_below(shape, ()))) if isinstance(shape, dict) else ()


def _below(shape: dict[str, Any], above: tuple[str, ...]) -> Iterator[Field]:
    for name, inner in shape.items():
        if name:
            yield from _at((*above, cleaned(name)), inner)


def _at(path: tuple[str, ...], inner: Any) -> Iterator[Field]:
    if isinstance(inner, dict):
        yield shown(path), "object"
        if len(path) < DEPTH_MAX:
            yield from _below(inner, path)
    elif isinstance(inner, list):
        yield shown(path), "array"
        if len(path) < DEPTH_MAX and inner and inner != ["NULL"]:
            yield from _at((*path, "$"), inner[0])
    else:
        yield shown(path), _TYPES.get(str(inner), "any")
