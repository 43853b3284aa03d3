"""Latencies as counts in buckets that grow by a quarter: a percentile is at most that much too high."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

_GROWTH: Final = 1.25
_FIRST_S: Final = 0.001
_BUCKETS: Final = 100  # the last one holds everything above 45 days
_BOUNDS_S: Final = tuple(_FIRST_S * _GROWTH**bucket for bucket in range(_BUCKETS))


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency; 0 holds everything up to a millisecond."""
    return min(bisect_left(_BOUNDS_S, seconds), _BUCKETS - 1)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the upper bound in seconds of the bucket that holds the given share, None without any count."""
    wanted = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return _FIRST_S * _GROWTH**bucket
    return None
