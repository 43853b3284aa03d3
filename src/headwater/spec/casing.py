"""How text is spelled in other cases: `Order Completed` as `order_completed`, `order-completed`, `Order Completed`.

Words end at anything but a letter or a digit, and before a capital that follows a small letter or begins a new word
(`HTTPServer` is two). Source: Segment, Destination Filter Query Language, the functions of case.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")


def _words(text: str) -> list[str]:
    return [word for run in _WORD.findall(text) for word in _split(run)]


def _split(run: str) -> list[str]:
    words, start = [], 0
    for place in range(1, len(run)):
        begins = run[place].isupper() and (
            not run[place - 1].isupper() or (place + 1 < len(run) and run[place + 1].islower())
        )
        if begins:
            words.append(run[start:place])
            start = place
    return [*words, run[start:]]


def snake(text: str) -> str:
    """Return the words in small letters, joined by `_`."""
    return "_".join(_words(text)).lower()


def kebab(text: str) -> str:
    """Return the words in small letters, joined by `-`."""
    return "-".join(_words(text)).lower()


def title(text: str) -> str:
    """Return the words with a capital each, apart by one space."""
    return " ".join(word.capitalize() for word in _words(text))
