"""The words of a condition: what is written, without knowing what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from headwater.errors import InvalidRequestError
from headwater.spec.paths import names_of

KEYWORDS: Final = {"true": True, "false": False, "null": None}
OPERATORS: Final = frozenset({"=", "!=", ">", ">=", "<", "<=", "in"})

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.\\-])", re.ASCII)
_WORD: Final = re.compile(r"(?:[\w-]|\\.|\.)+", re.ASCII | re.DOTALL)
_SIGN: Final = re.compile(r"!=|>=|<=|[=><!(),\[\]]")
_STRING: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(['\"\\nrt])")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t"}


class Kind(Enum):
    """What a token is."""

    SIGN = "sign"
    VALUE = "value"
    PATH = "path"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    Attributes:
        text: as it is written; of a SIGN also its meaning (`and`, `or` and `in` are signs).
        at: where it begins, counted in characters from 0.
        value: of a VALUE, the string, number, boolean or null; of a PATH, its names.
    """

    kind: Kind
    text: str
    at: int
    value: Any = None


def refused(message: str, at: int) -> InvalidRequestError:
    """Return the error for a condition that cannot be read; `at` is counted from 0, people count from 1."""
    return InvalidRequestError(f"The condition is wrong at character {at + 1}: {message}", field="if")


def tokens(text: str) -> list[Token]:
    """Return the words of a condition, an END last.

    Raises:
        InvalidRequestError: something that is no word.
    """
    found, at = [], 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
            continue
        token = _token(text, at)
        found.append(token)
        at += len(token.text)
    return [*found, Token(Kind.END, "", len(text))]


def _token(text: str, at: int) -> Token:
    if text[at] in "'\"":
        return _string(text, at)
    if match := _SIGN.match(text, at):
        return Token(Kind.SIGN, match[0], at)
    if match := _NUMBER.match(text, at):
        return Token(Kind.VALUE, match[0], at, _number(match[0], at))
    if match := _WORD.match(text, at):
        return _word(match[0], at)
    raise refused(f"{text[at]!r} is unknown; in the name of a field, write a backslash before it.", at)


def _string(text: str, at: int) -> Token:
    match = _STRING.match(text, at)
    if match is None:
        raise refused(f"the text that begins here has no closing {text[at]}.", at)
    value = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), match[0][1:-1])
    return Token(Kind.VALUE, match[0], at, value)


def _number(text: str, at: int) -> int | float:
    try:
        value = float(text)
        exact = int(text) if re.fullmatch(r"-?\d+", text) else value
    except ValueError as error:
        raise refused("the number has too many digits.", at) from error
    if value in (float("inf"), float("-inf")):
        raise refused("the number is too large.", at)
    return exact


def _word(text: str, at: int) -> Token:
    if text in {"and", "or", "in"}:
        return Token(Kind.SIGN, text, at)
    if text in KEYWORDS:
        return Token(Kind.VALUE, text, at, KEYWORDS[text])
    try:
        return Token(Kind.PATH, text, at, names_of(text))
    except ValueError as error:
        raise refused(str(error), at) from error
