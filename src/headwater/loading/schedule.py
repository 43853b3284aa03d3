"""When a warehouse is loaded: all the time, every so often, at times of day, or only when asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """The kinds of schedule."""

    CONTINUOUS = "continuous"
    INTERVAL = "interval"
    TIMES = "times"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a warehouse is loaded by itself.

    Attributes:
        minutes: between two loads; of `INTERVAL`.
        times: such as `06:30`, in `timezone`; of `TIMES`.
        timezone: an IANA name.
    """

    mode: Mode = Mode.CONTINUOUS
    minutes: int = 60
    times: tuple[str, ...] = ()
    timezone: str = "UTC"
