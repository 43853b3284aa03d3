"""The shape of a condition: read from its words, written back as text.

From loose to tight: `or`, `and`, a comparison, `!`. Comparisons are not chained, and `!` stands before parentheses, a
function or a field alone, so that nothing has to be remembered to read a condition.

Source: Segment, Destination Filter Query Language, operators.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from headwater.fql.tokens import OPERATORS, Kind, Token, refused, tokens
from headwater.spec.paths import Names

DEPTH_MAX: Final = 32  # ours: levels of parentheses, `!` and calls inside each other
_PLAIN_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_WORDS: Final = frozenset({"and", "or", "in", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Value:
    """A text, a number, a boolean, null, or a list of those."""

    value: Any
    at: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """What stands at a path of the event."""

    names: Names
    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it is given."""

    name: str
    arguments: tuple[Node, ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and what is said of them, one of OPERATORS."""

    operator: str
    left: Node
    right: Node
    at: int = 0


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite."""

    operand: Node
    at: int = 0


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more conditions that hold together, or one of which does."""

    word: Literal["and", "or"]
    parts: tuple[Node, ...]
    at: int = 0


Node = Value | Field | Call | Comparison | Negation | Junction


def read(text: str) -> Node:
    """Return what a condition says.

    Raises:
        InvalidRequestError: it is not written as conditions are; the message has the place and what was expected.
    """
    parser = _Parser(tokens(text))
    node = parser.junction("or")
    parser.end()
    return node


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self._words, self._place, self._depth = words, 0, 0

    @property
    def _next(self) -> Token:
        return self._words[self._place]

    def junction(self, word: Literal["and", "or"]) -> Node:
        at = self._next.at
        parts = [self._part(word)]
        while self._takes(word):
            parts.append(self._part(word))
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts), at)

    def end(self) -> None:
        if self._next.kind is not Kind.END:
            raise self._unexpected("`and`, `or`, a comparison such as `=`, or the end")

    def _part(self, word: Literal["and", "or"]) -> Node:
        return self.junction("and") if word == "or" else self._comparison()

    def _comparison(self) -> Node:
        first = self._next
        left, sign = self._operand(), self._next
        if sign.kind is not Kind.SIGN or sign.text not in OPERATORS:
            return left
        if first.kind is Kind.SIGN and first.text == "!":
            raise refused(f"put the comparison in parentheses: `!( … {sign.text} … )`.", first.at)
        self._place += 1
        if self._next.text == "=" and self._next.at == sign.at + 1:
            raise refused("one `=` is enough.", self._next.at)
        right = self._operand()
        if self._next.kind is Kind.SIGN and self._next.text in OPERATORS:
            raise refused("one comparison follows another; join them with `and`.", self._next.at)
        return Comparison(sign.text, left, right, sign.at)

    def _operand(self) -> Node:
        token = self._next
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise refused(f"there are more than {DEPTH_MAX} levels; make two filters of it.", token.at)
        try:
            return self._inner(token)
        finally:
            self._depth -= 1

    def _inner(self, token: Token) -> Node:
        if token.kind is Kind.VALUE:
            self._place += 1
            return Value(token.value, token.at)
        if token.kind is Kind.PATH:
            self._place += 1
            return self._call(token) if self._takes("(") else Field(token.value, token.at)
        if self._takes("!"):
            return Negation(self._operand(), token.at)
        if self._takes("("):
            node = self.junction("or")
            self._close(")", "`and`, `or`, a comparison or `)`")
            return node
        if self._takes("["):
            return self._list(token)
        raise self._unexpected("a field, a value, a function, `!` or `(`")

    def _call(self, token: Token) -> Node:
        arguments: list[Node] = []
        while not self._takes(")"):
            if arguments:
                self._close(",", "`,` or `)`")
            arguments.append(self.junction("or"))
        return Call(token.text, tuple(arguments), token.at)

    def _list(self, token: Token) -> Node:
        values: list[Any] = []
        while not self._takes("]"):
            if values:
                self._close(",", "`,` or `]`")
            if self._next.kind is not Kind.VALUE:
                raise self._unexpected("a text, a number, `true`, `false` or `null`")
            values.append(self._next.value)
            self._place += 1
        return Value(values, token.at)

    def _takes(self, sign: str) -> bool:
        if self._next.kind is Kind.SIGN and self._next.text == sign:
            self._place += 1
            return True
        return False

    def _close(self, sign: str, expected: str) -> None:
        if not self._takes(sign):
            raise self._unexpected(expected)

    def _unexpected(self, expected: str) -> Exception:
        token = self._next
        found = "it ends here" if token.kind is Kind.END else f"found `{token.text[:40]}`"
        return refused(f"expected {expected}, {found}.", token.at)


def written(node: Node) -> str:
    """Return a condition that `read` reads as this one."""
    match node:
        case Value(value):
            return f"[{', '.join(map(_literal, value))}]" if isinstance(value, list) else _literal(value)
        case Field(names):
            path = ".".join(_PLAIN_NAME.sub(lambda each: f"\\{each[0]}", name) for name in names)
            return f"\\{path}" if path in _WORDS or path[0] in "-0123456789" else path
        case Call(name, arguments):
            return f"{name}({', '.join(map(written, arguments))})"
        case Negation(operand):
            return f"!{_inside(operand)}"
        case Comparison(operator, left, right):
            return f"{_inside(left)} {operator} {_inside(right)}"
        case Junction(word, parts):
            return f" {word} ".join(map(_inside_junction, parts))


def _inside(node: Node) -> str:
    return written(node) if isinstance(node, Value | Field | Call) else f"({written(node)})"


def _inside_junction(node: Node) -> str:
    return f"({written(node)})" if isinstance(node, Junction) else written(node)


def _literal(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
