"""JSON Schema, draft 7: checked when a rule is saved, compiled when it is enforced; what it names, and what it refuses.

Patterns run on an engine whose time grows with the text only; nothing is ever fetched. Source: JSON Schema, draft 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import jsonschema_rs
import msgspec

from headwater.errors import InvalidRequestError
from headwater.limits import KIB, MIB
from headwater.protocols import references
from headwater.protocols.rules import Violation
from headwater.spec.event import Body
from headwater.spec.paths import Names

SCHEMA_BYTES_MAX: Final = 64 * KIB  # ours, a rule: twice the largest event
DEPTH_MAX: Final = 32  # ours: levels of a schema, as of an event
VIOLATIONS_MAX: Final = 50  # ours: that are told of one event
_TELLING_MAX: Final = 10_000  # ours: values times what is said of one; each takes up to 50 microseconds
_PATTERNS: Final = jsonschema_rs.RegexOptions(size_limit=1 * MIB, dfa_size_limit=1 * MIB)
_ITEM: Final = "$"
_ELSEWHERE: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "not", "dependencies"})
"""Keywords by which a schema may name members in another place than `properties`."""

_TYPES: Final = {
    "AdditionalProperties": "Unplanned Property",
    "Type": "Invalid Type",
    "Enum": "Invalid Value",
    "Constant": "Invalid Value",
}
_ABOUT: Final = {
    "Type": "does not have the type that the plan asks for",
    "Enum": "is none of the values that the plan lists",
    "Constant": "is not the value that the plan asks for",
    "Pattern": "does not match the plan's pattern",
    "Format": "does not have the format that the plan asks for",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What does not fit.

    Attributes:
        violations: the first of them.
        paths: of all values that do not fit; () for one that is missing.
        is_all: nothing else is wrong.
    """

    violations: Sequence[Violation] = ()
    paths: Sequence[Names] = ()
    is_all: bool = True


class Validator:
    """One compiled schema."""

    def __init__(self, schema: Any) -> None:
        """Compile it.

        Raises:
            InvalidRequestError: it is no schema of draft 7, or refers to what it does not hold.
        """
        self._schema = schema
        try:
            self._compiled = jsonschema_rs.Draft7Validator(
                schema, pattern_options=_PATTERNS, validate_formats=True, offline=True
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            at = ".".join(map(str, getattr(error, "instance_path", [])))
            where = f" at {at}" if at else ""
            told = str(error).partition("\n")[0][:200]
            raise InvalidRequestError(f"This is no JSON Schema of draft 7{where}: {told}", field=at) from None

    def accepts(self, value: Any) -> bool:
        """Return whether a value fits."""
        return bool(self._compiled.is_valid(value))

    def violations(self, body: Body) -> Found:
        """Return what does not fit.

        To tell all of it takes long where much is wrong with many values, so that events made for it would hold up all
        others: then only the first is told.
        """
        if self._compiled.is_valid(body):
            return Found()
        if _values(body) * self._width > _TELLING_MAX:
            try:
                self._compiled.validate(body)
            except jsonschema_rs.ValidationError as error:
                return Found([violation for violation, _ in _told(error)][:1], is_all=False)
        found = [each for error in self._compiled.iter_errors(body) for each in _told(error)]
        return Found([violation for violation, _ in found[:VIOLATIONS_MAX]], [names for _, names in found])

    @cached_property
    def _width(self) -> int:
        return references.width(self._schema)


def _values(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_values, inner))


def _told(error: jsonschema_rs.ValidationError) -> Iterator[tuple[Violation, Names]]:
    found: Any = error.kind
    kind = type(found).__name__
    path = tuple(str(step) if isinstance(step, str) else _ITEM for step in error.instance_path)
    if kind == "Required":
        field = shown((*path, str(found.property)))
        yield Violation("Required", field, f"{field} is required"), ()
    elif kind == "AdditionalProperties":
        for name in found.unexpected:
            field = shown((*path, name))
            yield Violation(_TYPES[kind], field, f"{field} is not in the plan"), (*path, name)
    else:
        field = shown(path)
        about = _ABOUT.get(kind, f"does not fit the plan ({kind})")
        yield Violation(_TYPES.get(kind, kind), field, f"{field or 'The event'} {about}"), path


def shown(names: Sequence[str]) -> str:
    """Return a path as text, `items.$.price`; a dot or backslash in a name gets a backslash before it."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


def checked(schema: Any, field: str) -> str:
    """Return a rule's schema as it is stored.

    Args:
        schema: as JSON gives it.
        field: where it stands in the request.

    Raises:
        InvalidRequestError: it is no schema of draft 7, or too large, as it is or once its references are written out.
    """
    if not isinstance(schema, dict):
        raise InvalidRequestError("jsonSchema is an object: a JSON Schema of draft 7.", field=field)
    text = msgspec.json.encode(schema)
    if len(text) > SCHEMA_BYTES_MAX:
        raise InvalidRequestError(f"A schema has at most {SCHEMA_BYTES_MAX // KIB} KiB.", field=field)
    if _depth(schema) > DEPTH_MAX * 2:  # a level of the event takes two of the schema
        raise InvalidRequestError(f"A schema describes at most {DEPTH_MAX} levels.", field=field)
    try:
        references.check(schema)
        Validator(schema)
    except InvalidRequestError as error:
        raise InvalidRequestError(str(error), field=f"{field}.{error.field}".rstrip(".")) from None
    return text.decode()


def _depth(value: Any) -> int:
    """Return how many levels a value has; the request's own bounds have kept them few enough to recurse."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


class Planned:
    """The members that a schema names, level by level.

    Attributes:
        is_hidden: it may name them where they cannot be listed: whatever stands there is planned.
        is_open: it is hidden, or names none; below the first level that means the same.
    """

    def __init__(self, schema: Any) -> None:
        """Read one level of a schema; the ones below are read as they are asked for."""
        whole: Mapping[str, Any] = schema if isinstance(schema, dict) else {}
        if isinstance(whole.get("items"), dict) and "properties" not in whole:
            whole = whole["items"]
        properties, patterns = whole.get("properties"), whole.get("patternProperties")
        self._names: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        self._patterns = [Validator({"pattern": each}) for each in patterns] if isinstance(patterns, dict) else []
        self._below: dict[str, Planned] = {}
        self.is_hidden = bool(_ELSEWHERE & whole.keys())
        self.is_open = self.is_hidden or not (self._names or self._patterns)

    def below(self, name: str) -> Planned | None:
        """Return what is planned below a member, None where the member is not planned."""
        if name in self._names:
            if name not in self._below:
                self._below[name] = Planned(self._names[name])
            return self._below[name]
        return ANYTHING if any(each.accepts(name) for each in self._patterns) else None


ANYTHING: Final = Planned({"allOf": []})
"""Whatever stands there is planned."""


def unplanned(value: Mapping[str, Any], plans: Sequence[Planned]) -> Iterator[Names]:
    """Yield the paths in an object that none of the plans names; () for the plans means that nothing is planned."""
    for name, inner in value.items():
        below = [found for plan in plans if (found := plan.below(name)) is not None]
        if not below:
            yield (name,)
        elif not any(each.is_open for each in below):
            for element in inner if isinstance(inner, list) else [inner]:
                if isinstance(element, dict):
                    for path in unplanned(element, below):
                        yield (name, *path)
