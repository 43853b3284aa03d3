"""The fields of one mapping: each a path in the event and the value that is set there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import UNSET

from headwater.limits import KIB
from headwater.mapping.compiler import Compiler, wrong
from headwater.mapping.directives import DIRECTIVES
from headwater.mapping.work import Evaluated, MappingError, Work
from headwater.spec import paths
from headwater.spec.event import Body
from headwater.spec.paths import Names

FIELDS_MAX: Final = 200  # ours
FIELDS_BYTES_MAX: Final = 32 * KIB  # ours: as JSON

OBJECTS: Final = frozenset({"properties", "traits", "context", "integrations"})
"""What may be set as a whole or member by member."""

MEMBERS: Final = frozenset({"userId", "anonymousId", "groupId", "previousId", "event", "name", "category", "timestamp"})
"""What may be set besides; `messageId`, `type` and the times of the server stay as they are."""

_REMOVE: Final = "@remove"


def compile_fields(fields: Mapping[str, Any]) -> Callable[[Body], Body]:
    """Return what sets the fields on a copy of an event; every value is read from the event as it was.

    A value that is not there leaves its path as it is; `{"@remove": true}` takes the path away. What is returned
    raises MissingFieldError for an event that lacks a required value, MappingError for one that cannot be mapped.

    Raises:
        InvalidRequestError: a path or directive is wrong; `field` is `fields.<path>` and where in its value.
    """
    if len(fields) > FIELDS_MAX:
        raise wrong(f"A mapping sets at most {FIELDS_MAX} fields.", "fields")
    if len(msgspec.json.encode(fields)) > FIELDS_BYTES_MAX:
        raise wrong(f"The fields of a mapping have at most {FIELDS_BYTES_MAX // KIB} KB.", "fields")
    targets = {path: _target(path) for path in fields}
    _must_be_apart(targets)
    compiler = Compiler(DIRECTIVES)
    steps = [(targets[path], _value(value, f"fields.{path}", compiler)) for path, value in fields.items()]

    def mapped(body: Body) -> Body:
        work, changed = Work(), body
        for names, value in steps:
            if value is None:
                changed = paths.without(changed, names)
            elif (found := value(body, work)) is not UNSET:
                changed = _set(changed, names, found)
        return changed

    return mapped


def _value(value: Any, at: str, compiler: Compiler) -> Evaluated | None:
    """Return what computes a field's value, None for one that is removed."""
    if not isinstance(value, Mapping) or _REMOVE not in value:
        return compiler.value(value, at)
    if dict(value) != {_REMOVE: True}:
        raise wrong("`@remove` stands alone, and is true.", at)
    return None


def _set(body: Body, names: Names, value: Any) -> Body:
    if len(names) == 1 and names[0] in OBJECTS and not isinstance(value, dict):
        raise MappingError(f"The mapping makes something of `{names[0]}` that is no object.")
    return paths.changed(body, names, value)


def _target(path: str) -> Names:
    try:
        names = paths.names_of(path)
    except ValueError as error:
        raise wrong(str(error), f"fields.{path}") from error
    if names[0] in OBJECTS or (len(names) == 1 and names[0] in MEMBERS):
        return names
    settable = ", ".join([*sorted(MEMBERS), *(f"{name}.…" for name in sorted(OBJECTS))])
    raise wrong(f"A mapping cannot set this; it sets {settable}.", f"fields.{path}")


def _must_be_apart(targets: Mapping[str, Names]) -> None:
    ordered = sorted(targets.items(), key=lambda each: each[1])
    for (_, outer), (path, inner) in pairwise(ordered):
        if inner[: len(outer)] == outer:
            raise wrong("Another field of the mapping sets this, or what is around it.", f"fields.{path}")
