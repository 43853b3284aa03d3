"""A plain subset of JSONPath: `$.properties.items[0]['unit price']`, and `[*]` for every element of a list."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

PATH_STEPS_MAX: Final = 32  # ours

_STEP: Final = re.compile(r"\.([\w$-]+)|\[(-?\d{1,6})\]|\[(\*)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_EVERY: Final = object()


def compiled(path: str) -> Callable[[Any], Any]:
    """Return a reader of the path; it gives UNSET when nothing stands there.

    Raises:
        ValueError: it cannot be read; the message is a sentence.
    """
    if not path.startswith("$"):
        raise ValueError("A path begins at `$`, the event: `$.properties.plan`.")
    steps, at = [], 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"The path is wrong at character {at + 1}: expected `.name`, `[0]`, `[*]` or `['name']`.")
        steps.append(_step(match))
        at = match.end()
    if len(steps) > PATH_STEPS_MAX:
        raise ValueError(f"A path has at most {PATH_STEPS_MAX} steps.")
    return lambda scope: _read(scope, steps)


def _step(match: re.Match[str]) -> Any:
    name, index, every, single, double = match.groups()
    if index is not None:
        return int(index)
    if every is not None:
        return _EVERY
    return name if name is not None else re.sub(r"\\(.)", r"\1", single if single is not None else double)


def _read(found: Any, steps: list[Any]) -> Any:
    for place, step in enumerate(steps):
        if step is _EVERY:
            if not isinstance(found, list):
                return UNSET
            inner = (_read(each, steps[place + 1 :]) for each in found)
            return [each for each in inner if each is not UNSET]
        if isinstance(step, int):
            if not isinstance(found, list) or not -len(found) <= step < len(found):
                return UNSET
            found = found[step]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return UNSET
    return found
