"""The middle and the slow end of many durations."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.app.bench.parts import Figures


def percentiles_ms(seconds: Sequence[float]) -> Figures:
    """Return p50, p99 and the longest of some durations in milliseconds; zeros when there are none."""
    ordered = sorted(seconds) or [0.0]
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)] * 1000, 2),
        "max_ms": round(ordered[-1] * 1000, 2),
    }
