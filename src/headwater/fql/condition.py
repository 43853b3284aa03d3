"""A condition, checked and compiled to closures: read once, asked for every event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.errors import InvalidRequestError
from headwater.fql.glob import Glob
from headwater.fql.grammar import Call, Comparison, Field, Junction, Negation, Node, Value, read
from headwater.fql.tokens import refused
from headwater.fql.values import COMPARISONS, FUNCTIONS, text_of, truth, type_of
from headwater.spec import paths
from headwater.spec.event import Body
from headwater.spec.paths import Names

CONDITION_BYTES_MAX: Final = 5 * 1024  # Segment Public API: the `if` of a destination filter

_Evaluated = Callable[[Body], Any]
_ALWAYS: Final = "all"  # Segment Public API, preview of a destination filter: this literal stands for every event
_ANY: Final = "any"  # the type of a field, which only an event knows


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one event.

    Attributes:
        text: as it was written.
    """

    text: str
    _decide: _Evaluated = field(repr=False, compare=False)

    def __call__(self, body: Body) -> bool:
        """Tell whether it is true for an event, which is not changed.

        Raises:
            EvaluationError: it is neither true nor false.
        """
        return truth(self._decide(body))


def parse(text: str) -> Condition:
    """Return the condition that a text says.

    Raises:
        InvalidRequestError: it cannot be read, or can never be true or false; the message has the place.
    """
    if len(text.encode("utf-8", "surrogatepass")) > CONDITION_BYTES_MAX:
        raise InvalidRequestError(f"A condition has at most {CONDITION_BYTES_MAX} bytes.", field="if")
    if not text.strip():
        raise InvalidRequestError("The condition is empty; write one such as `type = 'track'`.", field="if")
    if text.strip() == _ALWAYS:
        return Condition(text, lambda _: True)
    node = read(text)
    _must_be_condition(node)
    return Condition(text, _compiled(node))


def _must_be_condition(node: Node) -> None:
    kind = _type(node)
    if kind not in {"boolean", _ANY}:
        raise refused(f"a {kind} is neither true nor false; compare it with something.", node.at)


def _type(node: Node) -> str:
    match node:
        case Value(value):
            return type_of(value)
        case Field():
            return _ANY
        case Call(name):
            return FUNCTIONS[name][1] if name in FUNCTIONS else "boolean"
        case _:
            return "boolean"


def _compiled(node: Node) -> _Evaluated:
    match node:
        case Value(value):
            return lambda _: value
        case Field(names):
            return _field(names)
        case Call():
            return _call(node)
        case Comparison():
            return _comparison(node)
        case Negation(operand):
            _must_be_condition(operand)
            inner = _compiled(operand)
            return lambda body: not truth(inner(body))
        case Junction(word, parts):
            return _junction(word, parts)


def _field(names: Names) -> _Evaluated:
    if len(names) == 1:
        only = names[0]
        return lambda body: body.get(only)
    return lambda body: paths.read(body, names)


def _junction(word: str, parts: tuple[Node, ...]) -> _Evaluated:
    for part in parts:
        _must_be_condition(part)
    inner = tuple(map(_compiled, parts))
    if word == "and":
        return lambda body: all(truth(each(body)) for each in inner)
    return lambda body: any(truth(each(body)) for each in inner)


def _comparison(node: Comparison) -> _Evaluated:
    kinds = _type(node.left), _type(node.right)
    if node.operator == "in":
        if kinds[1] not in {"list", _ANY}:
            raise refused("`in` is followed by a list such as `['a', 'b']` or by a field.", node.right.at)
    elif node.operator not in {"=", "!="}:
        for operand, kind in zip((node.left, node.right), kinds, strict=True):
            if kind not in {"number", "string", _ANY}:
                raise refused(f"`{node.operator}` compares numbers or texts, not a {kind}.", operand.at)
    compare, left, right = COMPARISONS[node.operator], _compiled(node.left), _compiled(node.right)
    return lambda body: compare(left(body), right(body))


def _call(node: Call) -> _Evaluated:
    if node.name == "match":
        return _match(node)
    if node.name not in FUNCTIONS:
        known = ", ".join(sorted([*FUNCTIONS, "match"]))
        raise refused(f"there is no function `{node.name[:40]}`; there are {known}.", node.at)
    takes, _, apply = FUNCTIONS[node.name]
    _must_take(node, len(takes))
    for argument, kinds in zip(node.arguments, takes, strict=True):
        if (kind := _type(argument)) not in {*kinds, "null", _ANY}:
            raise refused(f"`{node.name}` takes a {' or '.join(sorted(kinds))}, not a {kind}.", argument.at)
    first, *others = map(_compiled, node.arguments)
    if not others:
        return lambda body: apply(first(body))
    return lambda body: apply(first(body), *(each(body) for each in others))


def _match(node: Call) -> _Evaluated:
    _must_take(node, 2)
    pattern = node.arguments[1]
    if not isinstance(pattern, Value) or not isinstance(pattern.value, str):
        raise refused("the pattern of `match` is a text, such as `'Order *'`.", pattern.at)
    if _type(node.arguments[0]) not in {"string", "null", _ANY}:
        raise refused("`match` takes a text first.", node.arguments[0].at)
    try:
        glob = Glob(pattern.value)
    except ValueError as error:
        raise refused(str(error), pattern.at) from error
    value = _compiled(node.arguments[0])

    def decide(body: Body) -> bool:
        text = text_of("match", value(body))
        return text is not None and glob(text)

    return decide


def _must_take(node: Call, count: int) -> None:
    if len(node.arguments) != count:
        many = f"{count} values" if count > 1 else "one value"
        raise refused(f"`{node.name}` takes {many}, not {len(node.arguments)}.", node.at)
