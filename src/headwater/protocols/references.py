"""What a JSON Schema refers to inside itself, and how large it is once everything is written out. Pure.

A few references that each lead to two others make billions of checks of one event, so that one plan would hold up
every reader; a schema that is small when it is written out cannot.

Source: JSON Schema, draft 7, `$ref` and `$id`; RFC 6901 (JSON Pointer).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from headwater.errors import InvalidRequestError

WRITTEN_OUT_MAX: Final = 50_000  # ours, values: checked within milliseconds; 64 KiB without references have fewer


def check(schema: Any) -> None:
    """Return when a schema is small enough once each of its references is replaced by what it leads to.

    Raises:
        InvalidRequestError: it is too large then, has no end, or a reference leads elsewhere than into the schema.
    """
    if not any("$ref" in each for each in _objects(schema)):
        return
    if any("$id" in each for each in _objects(schema) if each is not schema):
        raise InvalidRequestError("A schema with $ref has no $id further inside: write #/definitions/… without it.")
    _Sizes(schema).of(schema, ())


class _Sizes:
    """How many values each part of a schema has, written out; each reference is followed once."""

    def __init__(self, schema: Any, passed_over: frozenset[str] = frozenset()) -> None:
        self._schema, self._passed_over, self._known = schema, passed_over, dict[str, int]()

    def of(self, part: Any, way: tuple[str, ...]) -> int:
        """Return the size of a part that was reached by the references `way`."""
        if isinstance(part, list):
            return sum(self.of(each, way) for each in part)
        if not isinstance(part, dict):
            return 1
        size = 1 + sum(self.of(each, way) for name, each in part.items() if name not in self._passed_over)
        reference = part.get("$ref")
        if isinstance(reference, str):
            size += self._referred(reference, way)
        if size > WRITTEN_OUT_MAX:
            raise InvalidRequestError(f"Its references make it larger than {WRITTEN_OUT_MAX:,} parts; use fewer.")
        return size

    def _referred(self, reference: str, way: tuple[str, ...]) -> int:
        if reference in way:
            raise InvalidRequestError(f"{reference[:60]!r} leads back to itself; write the levels that you need out.")
        if reference not in self._known:
            self._known[reference] = self.of(_at(self._schema, reference), (*way, reference))
        return self._known[reference]


def width(schema: Any) -> int:
    """Return how many things a checked schema says of one value at most: of its own, not of what is inside it."""
    sizes = _Sizes(schema, passed_over=_BELOW)
    return max((sizes.of(each, ()) for each in _schemas(schema)), default=1)


_BELOW: Final = frozenset(
    {"properties", "patternProperties", "additionalProperties", "items", "additionalItems", "definitions"}
)
"""Keywords whose schemas are about other values than the one that the schema itself is about."""
_NAMED: Final = frozenset({"properties", "patternProperties", "definitions"})
"""Keywords that hold schemas by name."""


def _schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and every one inside it; a list of members by name is none itself."""
    if isinstance(part, list):
        for each in part:
            yield from _schemas(each)
    elif isinstance(part, dict):
        yield part
        for name, each in part.items():
            yield from _schemas([*each.values()] if name in _NAMED and isinstance(each, dict) else each)


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _objects(each)


def _at(schema: Any, reference: str) -> Any:
    """Return what a reference leads to; what is not there is refused when the schema is compiled."""
    if reference != "#" and not reference.startswith("#/"):
        raise InvalidRequestError(f"$ref stays inside the schema, as #/definitions/a does; not {reference[:60]!r}.")
    part = schema
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list) and name.isdecimal() and int(name) < len(part):
            part = part[int(name)]
        else:
            part = part.get(name) if isinstance(part, dict) else None
    return part
