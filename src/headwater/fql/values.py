"""What the operators and functions of FQL do with the values of an event.

Null goes through: of null, `contains` and `match` are false, `length` is 0, `typeof` is `null`, the others are null.
A value of a type that a function cannot take ends the evaluation. Nothing here changes its arguments.

Source: Segment, Destination Filter Query Language, functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from headwater.errors import HeadwaterError
from headwater.spec import casing


class EvaluationError(HeadwaterError):
    """The condition cannot be decided for this event: neither true nor false."""


def type_of(value: Any) -> str:
    """Return the name that FQL has for a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "object"


def equal(left: Any, right: Any) -> bool:
    """Tell whether two values are the same and of one type; whole and broken numbers are one type."""
    kind = type_of(left)
    if kind != type_of(right):
        return False
    if kind == "list":
        return len(left) == len(right) and all(map(equal, left, right))
    if kind == "object":
        return left.keys() == right.keys() and all(equal(value, right[name]) for name, value in left.items())
    return bool(left == right)


def _unequal(left: Any, right: Any) -> bool:
    return not equal(left, right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def decide(left: Any, right: Any) -> bool:
        kind = type_of(left)
        return kind in {"number", "string"} and kind == type_of(right) and compare(left, right)

    return decide


def _is_in(needle: Any, values: Any) -> bool:
    if values is None:
        return False
    if not isinstance(values, list):
        raise EvaluationError(f"`in` looks into a list, not into a {type_of(values)}.")
    return any(equal(needle, each) for each in values)


COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": equal,
    "!=": _unequal,
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    "in": _is_in,
}
"""Numbers are compared with numbers, texts with texts by code point; values of two types are never in an order."""


def truth(value: Any) -> bool:
    """Return a boolean as it is and null as false.

    Raises:
        EvaluationError: anything else.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise EvaluationError(f"A {type_of(value)} is neither true nor false; compare it with something.")


def text_of(function: str, value: Any) -> str | None:
    """Return a text or null.

    Raises:
        EvaluationError: anything else.
    """
    if value is None or isinstance(value, str):
        return value
    raise EvaluationError(f"`{function}` takes a text, not a {type_of(value)}; `string()` makes one.")


def _cased(name: str, change: Callable[[str], str]) -> Callable[[Any], str | None]:
    def apply(value: Any) -> str | None:
        text = text_of(name, value)
        return None if text is None else change(text)

    return apply


def _contains(value: Any, part: Any) -> bool:
    text, wanted = text_of("contains", value), text_of("contains", part)
    return text is not None and wanted is not None and wanted in text


def _length(value: Any) -> int:
    if isinstance(value, list):
        return len(value)
    text = text_of("length", value)
    return 0 if text is None else len(text.encode("utf-8", "surrogatepass"))


def _string(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - as JSON writes whole numbers
            return str(int(value))
        case int() | float():
            try:
                return str(value)
            except ValueError as error:
                raise EvaluationError("`string` cannot write a number of so many digits.") from error
    raise EvaluationError(f"`string` cannot write a {type_of(value)}.")


def _number(value: Any) -> int | float | None:
    match value:
        case None | float():
            return value
        case int():
            return int(value)
        case str():
            try:
                number = float(value)
            except ValueError as error:
                raise EvaluationError("`number` cannot read this text.") from error
            if math.isfinite(number):
                return int(number) if number.is_integer() and abs(number) < 1e15 else number  # noqa: PLR2004
    raise EvaluationError(f"`number` cannot read this {type_of(value)}.")


def _bool(value: Any) -> bool | None:
    match value:
        case None | bool():
            return value
        case int() | float():
            return bool(value != 0)
        case "true" | "false":
            return bool(value == "true")
    raise EvaluationError(f"`bool` cannot read this {type_of(value)}; of texts it knows `true` and `false`.")


FUNCTIONS: Final[dict[str, tuple[tuple[frozenset[str], ...], str, Callable[..., Any]]]] = {
    "contains": ((frozenset({"string"}), frozenset({"string"})), "boolean", _contains),
    "length": ((frozenset({"string", "list"}),), "number", _length),
    "lowercase": ((frozenset({"string"}),), "string", _cased("lowercase", str.lower)),
    "uppercase": ((frozenset({"string"}),), "string", _cased("uppercase", str.upper)),
    "snakecase": ((frozenset({"string"}),), "string", _cased("snakecase", casing.snake)),
    "kebabcase": ((frozenset({"string"}),), "string", _cased("kebabcase", casing.kebab)),
    "titlecase": ((frozenset({"string"}),), "string", _cased("titlecase", casing.title)),
    "typeof": ((frozenset({"string", "number", "boolean", "list"}),), "string", type_of),
    "bool": ((frozenset({"string", "number", "boolean"}),), "boolean", _bool),
    "string": ((frozenset({"string", "number", "boolean"}),), "string", _string),
    "number": ((frozenset({"string", "number", "boolean"}),), "number", _number),
}
"""For each function the types it takes, besides null, the type it gives, and what it does. `match` is compiled."""
