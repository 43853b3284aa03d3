"""Latencies as counts in buckets that grow by a quarter: percentiles within 12 %, a few numbers an hour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

_GROWTH: Final = 1.25
_FIRST_S: Final = 0.001


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency; 0 holds everything up to a millisecond."""
    return max(0, math.ceil(math.log(max(seconds, _FIRST_S) / _FIRST_S, _GROWTH)))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the upper bound in seconds of the bucket that holds the given share, None without any count."""
    wanted = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return _FIRST_S * _GROWTH**bucket
    return None
