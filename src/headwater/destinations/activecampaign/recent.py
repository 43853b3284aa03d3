"""Texts that count for a while, in bounded number."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import Final

AGE_S: Final = 900.0
"""ours: after that an import is done, or nobody knows what became of it."""
COUNT_MAX: Final = 100_000
"""ours: two hours of imports at full rate are more than wait at any time."""


class Recent:
    """A set that forgets what is older than `AGE_S`, and the oldest where there are too many."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        """Take a clock that only goes forward."""
        self._seconds = seconds
        self._added: dict[str, float] = {}

    def __contains__(self, text: str) -> bool:
        """Tell whether it was added lately."""
        return self._seconds() - self._added.get(text, -AGE_S) < AGE_S

    def add(self, text: str) -> None:
        """Count it from now on."""
        self._added.pop(text, None)
        self._added[text] = self._seconds()
        if len(self._added) > COUNT_MAX:
            for oldest in list(islice(self._added, COUNT_MAX // 10)):
                del self._added[oldest]
