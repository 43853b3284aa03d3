"""How many requests a second a source may make: a token bucket each, in memory."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

_SECONDS_SAVED = 2  # a quiet source may catch up with this much of its rate at once


class Rates:
    """Buckets by source; there are as many as there are sources, never more."""

    def __init__(self, per_second: float | None, seconds: Callable[[], float]) -> None:
        """Allow `per_second` requests a source, None for any number; `seconds` is a clock that never goes back."""
        self._per_second = per_second
        self._seconds = seconds
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, source_id: str) -> int:
        """Return 0 and take one request, or the whole seconds after which there is room again."""
        if self._per_second is None:
            return 0
        now, full = self._seconds(), max(self._per_second * _SECONDS_SAVED, 1)
        tokens, since = self._buckets.get(source_id, (full, now))
        tokens = min(full, tokens + (now - since) * self._per_second)
        if tokens < 1:
            self._buckets[source_id] = (tokens, now)
            return ceil((1 - tokens) / self._per_second)
        self._buckets[source_id] = (tokens - 1, now)
        return 0
