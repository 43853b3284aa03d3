"""How fast a connection may go: slower while everything fails, quickly up again once something succeeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from headwater.delivery.connection import Rules
from headwater.delivery.fate import Attempt, Held, HeldBack
from headwater.destinations.contract import Retry

_FAILED_ROUNDS_MAX: Final = 2  # ours: single poisoned events must not slow a connection down
_DOUBLINGS_MAX: Final = 16
_ROUND_S: Final = 2.0  # ours: what a round holds at a given rate


class Pace:
    """The pace of a connection's new events, or of its retries: each has one, so that neither starves the other.

    While rounds fail as a whole, one event at a time is tried with growing random waits, so that a dead destination
    costs a cursor that stands still and not a row for each event. After it, rounds double: a slow start.

    Attributes:
        window: events a round may hold.
    """

    def __init__(self, rules: Rules, monotonic: Callable[[], float], batch_max: int = 1) -> None:
        self._rules, self._monotonic = rules, monotonic
        # A round should fill the batches of every call that may be under way.
        self._window_max = max(rules.chunk_max, batch_max * rules.in_flight)
        if rules.rate_per_s is not None:
            # No round lasts long: what it holds is repeated after a crash, and what is new waits until it ends.
            self._window_max = max(1, min(self._window_max, int(rules.rate_per_s * _ROUND_S)))
        self.window = self._window_max
        self._failed = 0
        self._failing_until = 0.0
        self._asked_until = 0.0

    def wait_s(self) -> float:
        """Return the seconds until the next round may start."""
        return max(0.0, self._failing_until - self._monotonic(), self._asked_until - self._monotonic())

    def note(self, attempts: Sequence[Attempt]) -> bool:
        """Take in how a round went; return True when the destination took or judged at least one event."""
        kinds = Counter(type(attempt.outcome) for attempt in attempts)
        tried = len(attempts) - kinds[Held] - kinds[HeldBack]
        asked = max((_asked_s(attempt) for attempt in attempts), default=0.0) if kinds[Retry] else 0.0
        self._asked_until = self._monotonic() + min(asked, self._rules.retry_after_max_s)
        if not tried:
            return False
        if kinds[Retry] == tried:
            self._slow_down()
            return False
        self.recover()
        self.window = min(self._window_max, self.window * 2)
        return True

    @property
    def is_failing(self) -> bool:
        """The last round failed as a whole."""
        return self._failed > 0

    def start_small(self) -> None:
        """Try one event next, then ever more as long as it goes well."""
        self.window = 1

    def recover(self) -> None:
        """Forget the failures: the destination answers again."""
        self._failed = 0
        self._failing_until = 0.0

    def _slow_down(self) -> None:
        self._failed += 1
        self.start_small()
        doublings = self._failed - _FAILED_ROUNDS_MAX
        if doublings > 0:
            bound = min(self._rules.hold_max_s, self._rules.retry_first_s * 2.0 ** min(doublings, _DOUBLINGS_MAX))
            # At least half of the bound: chance alone could otherwise hammer a destination that refuses at once.
            self._failing_until = self._monotonic() + bound * (0.5 + 0.5 * self._rules.chance())


def _asked_s(attempt: Attempt) -> float:
    return (attempt.outcome.after_s or 0.0) if isinstance(attempt.outcome, Retry) else 0.0
