"""How much each measurement does: enough for figures, or just enough to see that it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from headwater.limits import MIB

Say = Callable[[str], None]
"""Told what is being measured."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of one run.

    Attributes:
        accept_rounds, accept_s: of each mode, alternating with the others; the median counts.
        load_events: stored, then loaded.
        throughput_s: how long batches are sent at full speed.
        latency_s: how long single calls and webhooks are sent at a steady rate.
        idle_s: how long nothing happens.
        disk_bytes: free space that all of it needs.
    """

    accept_rounds: int
    accept_s: float
    load_events: int
    throughput_s: float
    latency_s: float
    idle_s: float
    disk_bytes: int


FULL: Final = Scale(3, 1.5, 1_000_000, 12.0, 12.0, 8.0, 6_000 * MIB)
QUICK: Final = Scale(1, 0.4, 100_000, 2.0, 3.0, 1.0, 1_000 * MIB)
