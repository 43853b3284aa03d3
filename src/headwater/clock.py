"""The one place that knows what time it is; everything else is handed a `Clock`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_DRIFT_MAX: Final = timedelta(hours=1)

Clock = Callable[[], datetime]
"""Returns the present instant, with zone UTC."""


def now() -> datetime:
    """Return the wall clock's instant in UTC. A label only: order comes from the log's sequence."""
    return datetime.now(UTC)


class SteadyClock:
    """Tells whether the wall clock has run beside the monotonic one since this was made."""

    def __init__(self, clock: Clock = now, seconds: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._seconds = clock, seconds
        self._began, self._began_s = clock(), seconds()

    def moment(self) -> datetime | None:
        """Return the present instant; None when somebody has set the clock by more than an hour meanwhile."""
        found = self._clock()
        passed = timedelta(seconds=self._seconds() - self._began_s)
        return found if abs(found - self._began - passed) <= _DRIFT_MAX else None
