"""How commands print: tables for people, JSON for programs; nothing from an event reaches the terminal as a command."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

_CELL_CHARS_MAX: Final = 60
_WRAPPED_CHARS_MIN: Final = 20  # a narrower last column is harder to read than one that runs over the edge


def as_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, whole: bool = False) -> None:
    """Print rows under their columns, numbers to the right; `empty` on stderr when there are none.

    On a terminal that is too narrow the last column goes on in further lines.

    Args:
        columns: the heads.
        rows: the values, as many as columns.
        empty: the sentence for no rows.
        whole: print long values whole instead of cutting them.
    """
    values = list(rows)
    if not values:
        click.echo(empty, err=True)
        return
    texts = [[text_of(value, _CELL_CHARS_MAX if not whole else None) for value in row] for row in values]
    widths = [max(len(text) for text in column) for column in zip(columns, *texts, strict=True)]
    right = [all(_is_number(row[at]) for row in values) for at in range(len(columns))]
    click.echo(click.style(_line(columns, widths, right), bold=True))
    last = _room_of_last(widths)
    for row in texts:
        first, *further = textwrap.wrap(row[-1], last) if len(row[-1]) > last else [row[-1]]
        click.echo(_line([*row[:-1], first], widths, right))
        for text in further:
            click.echo(" " * (sum(widths[:-1]) + 2 * (len(widths) - 1)) + text)


def _room_of_last(widths: Sequence[int]) -> int:
    """Return how wide the last column may be: as it is, unless a terminal is narrower."""
    if not sys.stdout.isatty():
        return widths[-1]
    room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    return max(_WRAPPED_CHARS_MIN, room)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one a line."""
    values = [(name, value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in values), default=0)
    for name, value in values:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {text_of(value, None)}")


def block(text: str, *, indent: int = 2) -> None:
    """Print a text of several lines, indented; JSON readably."""
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    lines(text, indent=indent)


def lines(text: str, *, indent: int = 0) -> None:
    """Print a text of several lines as it is, tabs as blanks."""
    for line in text.splitlines():
        click.echo(" " * indent + text_of(line.expandtabs(4), None))


def text_of(value: Any, chars_max: int | None = _CELL_CHARS_MAX) -> str:
    """Return a value as one line without control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    safe = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return safe if chars_max is None or len(safe) <= chars_max else safe[: chars_max - 1] + "…"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = (
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(texts, widths, right, strict=True)
    )
    return "  ".join(cells).rstrip()
