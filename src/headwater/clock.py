"""The one place that knows what time it is; everything else is handed a `Clock`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, with zone UTC."""


def now() -> datetime:
    """Return the wall clock's instant in UTC. A label only: order comes from the log's sequence."""
    return datetime.now(UTC)
