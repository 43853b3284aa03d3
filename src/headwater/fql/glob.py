r"""`match`: a whole text against `*`, `?`, `[abc]`, `[a-z]` and `\x`, in time that does not explode.

Between two stars a pattern has a fixed length, so the first place where a piece fits is as good as any later one:
nothing is ever tried again, and `*a*a*a*…` costs what one search costs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PATTERN_CHARS_MAX: Final = 512  # ours: bounds the time of one match to text length times pattern length


@dataclass(slots=True)
class _Piece:
    """What stands between two stars.

    Attributes:
        expression: as a regular expression, which always takes `chars` characters.
        plain: the text itself, where nothing in it has a meaning.
    """

    expression: str = ""
    plain: str | None = ""
    chars: int = 0

    def add(self, expression: str, plain: str | None = None) -> None:
        self.expression += expression
        self.plain = None if plain is None or self.plain is None else self.plain + plain
        self.chars += 1


class Glob:
    """A pattern, ready to be matched.

    Raises:
        ValueError: it is longer than PATTERN_CHARS_MAX or cannot be read; the message is a sentence.
    """

    def __init__(self, pattern: str) -> None:
        """Read the pattern."""
        if len(pattern) > PATTERN_CHARS_MAX:
            raise ValueError(f"A pattern has at most {PATTERN_CHARS_MAX} characters.")
        pieces = _pieces(pattern)
        compiled = [(piece, re.compile(piece.expression, re.DOTALL)) for piece in pieces]
        self._has_star = len(pieces) > 1
        self._head, self._tail = compiled[0][1], compiled[-1][1]
        self._tail_chars = pieces[-1].chars
        self._middle = [each for each in compiled[1:-1] if each[0].chars]

    def __call__(self, text: str) -> bool:
        """Tell whether the whole text fits."""
        if not self._has_star:
            return self._head.fullmatch(text) is not None
        head = self._head.match(text)
        if head is None:
            return False
        at = head.end()
        for piece, expression in self._middle:
            if piece.plain is not None:  # the search for plain text is linear whatever it is
                at = text.find(piece.plain, at)
            else:
                found = expression.search(text, at)
                at = found.start() if found else -1
            if at < 0:
                return False
            at += piece.chars
        last = len(text) - self._tail_chars
        return last >= at and self._tail.fullmatch(text, last) is not None


def _pieces(pattern: str) -> list[_Piece]:
    pieces, at = [_Piece()], 0
    while at < len(pattern):
        character = pattern[at]
        if character == "*":
            pieces.append(_Piece())
            at += 1
        elif character == "?":
            pieces[-1].add(".")
            at += 1
        elif character == "[":
            expression, at = _class(pattern, at + 1)
            pieces[-1].add(expression)
        else:
            literal, at = _literal(pattern, at)
            pieces[-1].add(re.escape(literal), literal)
    return pieces


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Return a class as a regular expression and the place after its `]`."""
    members = ""
    while at < len(pattern) and pattern[at] != "]":
        first, at = _literal(pattern, at)
        last = first
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"]", ""}:
            last, at = _literal(pattern, at + 1)
        if last < first:
            raise ValueError("In a pattern, `[a-z]` goes from the lower character to the higher one.")
        members += f"{_code(first)}-{_code(last)}"
    if at >= len(pattern):
        raise ValueError("In a pattern, `[` needs a `]`; write `\\[` for the character itself.")
    if not members:
        raise ValueError("In a pattern, `[]` is empty; name the characters that fit, such as `[abc]`.")
    return f"[{members}]", at + 1


def _literal(pattern: str, at: int) -> tuple[str, int]:
    """Return the character that stands here, without its backslash, and the place after it."""
    if pattern[at] != "\\":
        return pattern[at], at + 1
    if at + 1 == len(pattern):
        raise ValueError("A pattern cannot end with a backslash.")
    return pattern[at + 1], at + 2


def _code(character: str) -> str:
    return f"\\U{ord(character):08x}"
