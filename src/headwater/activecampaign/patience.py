"""How long one call is tried again: each kind of trouble has its own bound and its own growth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from headwater.errors import RetryableError, UnauthorizedError
from headwater.limits import RETRY_AFTER_S_MAX

FAILURES_MAX: Final = 3  # ours: repeats after a 5xx, a cut connection, an answer that is no JSON
FAILURE_WAIT_S: Final = 0.5  # ours: bound of the first wait, doubled each time
FAILURE_WAIT_S_MAX: Final = 8.0  # ours

REFUSALS_MAX: Final = 3  # ours: a 403 that is transient goes away within seconds
REFUSAL_WAIT_S: Final = 0.5  # ours: doubled each time
REFUSAL_WAIT_S_MAX: Final = 8.0  # ours

PAUSES_MAX: Final = 12  # ours: 429s of one call
PAUSE_S: Final = 1.0  # ActiveCampaign counts requests by the second; doubled while it says no more than "429"
PAUSE_S_MIN: Final = 0.2  # ours: a service that asks for 0 has just said that it was too much
PAUSE_S_MAX: Final = 30.0  # ours: without a word of the service
PAUSED_S_MAX: Final = 120.0  # ours: pauses of one call altogether; who waits longer is told to come back


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much trouble one call bears before it raises.

    Attributes:
        failures, refusals, pauses: repeats after each kind.
        paused_s: pauses altogether.
    """

    failures: int = FAILURES_MAX
    refusals: int = REFUSALS_MAX
    pauses: int = PAUSES_MAX
    paused_s: float = PAUSED_S_MAX


PATIENT: Final = Bounds()
"""For who would have to begin a long reading again."""
BRIEF: Final = Bounds(failures=0, refusals=2, pauses=1, paused_s=2.0)
"""For who is tried again by somebody else: a bad moment is waited for, no longer."""


class ThrottledError(RetryableError):
    """The service said that it was too much; nothing was done."""


class Patience:
    """What one call has been through; every method returns the seconds to wait, or raises what it was given."""

    def __init__(self, chance: Callable[[], float] = random.random, bounds: Bounds = PATIENT) -> None:
        """Take the source of chance: from 0 up to, not including, 1; and how much is borne."""
        self._chance, self._bounds = chance, bounds
        self._failures = self._refusals = self._pauses = 0
        self._paused_s = 0.0

    def failed(self, error: RetryableError) -> float:
        """Return the wait after no answer or a useless one: full jitter, so that many callers do not come at once."""
        self._failures += 1
        asked_s = error.after_s or 0.0
        if self._failures > self._bounds.failures or asked_s > FAILURE_WAIT_S_MAX:
            raise error
        return max(asked_s, self._chance() * _grown(FAILURE_WAIT_S, self._failures, FAILURE_WAIT_S_MAX))

    def refused(self, error: UnauthorizedError) -> float:
        """Return the wait after a 403: a wrong key and a passing disorder are told apart by nothing but time."""
        self._refusals += 1
        if self._refusals > self._bounds.refusals:
            raise error
        return _grown(REFUSAL_WAIT_S, self._refusals, REFUSAL_WAIT_S_MAX)

    def throttled(self, error: ThrottledError) -> tuple[float, bool]:
        """Return the pause for the whole account after a 429, and whether this call shall wait for its end."""
        self._pauses += 1
        if error.after_s is None:
            pause_s = _grown(PAUSE_S, self._pauses, PAUSE_S_MAX)
        else:
            pause_s = min(max(error.after_s, PAUSE_S_MIN), float(RETRY_AFTER_S_MAX))
        self._paused_s += pause_s
        return pause_s, self._pauses <= self._bounds.pauses and self._paused_s <= self._bounds.paused_s


def _grown(first_s: float, times: int, most_s: float) -> float:
    """Return a wait that is doubled each time after the first."""
    return min(first_s * (1 << (times - 1)), most_s)
