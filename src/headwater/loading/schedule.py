"""When a warehouse is loaded: all the time, every so often, at times of day, or only when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headwater.clock import Clock

_STEP_MAX: Final = timedelta(hours=1)  # ours: a clock that is set back by less makes no time of day come twice


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


def next_time(times: Sequence[str], timezone: str, after: datetime) -> datetime | None:
    """Return the first of these times of day after an instant, in UTC; None when there are no times.

    A time that a change of clocks skips is meant as the instant at which it would have been; one that comes twice
    counts the first time. So each time of day comes once a day.

    Source: Python, datetime, `fold`; PEP 495.
    """
    zone = _zone(timezone)
    today = after.astimezone(zone).date()
    instants = [
        datetime.combine(today + timedelta(days=day), datetime.strptime(text, "%H:%M").time(), zone).astimezone(UTC)  # noqa: DTZ007 - the zone is given beside it
        for day in (-1, 0, 1, 2)
        for text in times
    ]
    return min((instant for instant in instants if instant > after), default=None)


class Pace:
    """Says when the next load is due; made anew when the schedule changes.

    Waiting is measured on a clock that nobody sets. The wall clock only says which time of day it is: set forward, it
    lets a load come early; set back, the load comes when it would have.
    """

    def __init__(
        self,
        schedule: Schedule,
        last: datetime | None,
        clock: Clock,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin after the load at `last`; what was due since is due now, as is the first load ever."""
        self.schedule, self._clock, self._seconds = schedule, clock, seconds
        self._due_at: datetime | None = None
        self._due_s = seconds()
        if last is not None:
            self._plan(last)

    def wait_s(self) -> float | None:
        """Return how long to wait, 0 when it is time, None when it is never time by itself."""
        if self.schedule.mode is Mode.CONTINUOUS:
            return 0.0
        if self._is_never:
            return None
        if self._due_at is not None and self._clock() >= self._due_at:
            return 0.0
        return max(0.0, self._due_s - self._seconds())

    def next_at(self) -> datetime | None:
        """Return about when the next load comes by itself; None for all the time, and for never."""
        wait_s = self.wait_s()
        if wait_s is None or self.schedule.mode is Mode.CONTINUOUS:
            return None
        return self._clock() + timedelta(seconds=wait_s)

    def done(self) -> None:
        """Plan the next one: a load has just ended."""
        now = self._clock()
        is_step = self._due_at is not None and timedelta(0) < self._due_at - now < _STEP_MAX
        self._plan(self._due_at if is_step and self._due_at is not None else now)

    @property
    def _is_never(self) -> bool:
        mode = self.schedule.mode
        return mode is Mode.MANUAL or (mode is Mode.TIMES and not self.schedule.times)

    def _plan(self, last: datetime) -> None:
        """Plan the first load after the one at `last`."""
        now = self._clock()
        if self.schedule.mode is Mode.INTERVAL:
            period = timedelta(minutes=self.schedule.minutes)
            passed = min(max(now - last, timedelta(0)), period)
            self._due_s = self._seconds() + (period - passed).total_seconds()
        elif self.schedule.mode is Mode.TIMES:
            self._due_at = next_time(self.schedule.times, self.schedule.timezone, min(last, now + _STEP_MAX))
            left_s = (self._due_at - now).total_seconds() if self._due_at else 0.0
            self._due_s = self._seconds() + max(0.0, left_s)


def _zone(name: str) -> ZoneInfo:
    """Return a zone; UTC when this machine does not know it (any more): late is better than never."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
