"""Whether it makes sense to ask the account's API now, and to wait for its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

PAUSE_S: Final = 30.0
"""ours: how long nobody asks after a failure, and nobody waits after a wait that brought nothing."""


class Breaker:
    """One account's. A failure stops calls and waits for a while, a wait in vain stops waits; an answer ends both."""

    def __init__(self, seconds: Callable[[], float], pause_s: float = PAUSE_S) -> None:
        """Take a clock that only goes forward."""
        self._seconds, self._pause_s = seconds, pause_s
        self._calls_from = self._waits_from = seconds()
        self._answers = 0
        self.pauses = 0
        """How often calls were stopped."""

    @property
    def answers(self) -> int:
        """How many answers came."""
        return self._answers

    def pause_s(self) -> float:
        """Return the seconds until the next call may be made, 0 for now."""
        return max(self._calls_from - self._seconds(), 0.0)

    def is_worth_waiting(self) -> bool:
        """Say whether an answer can be expected in time."""
        return self._seconds() >= self._waits_from

    def answered(self) -> None:
        """Take note of an answer."""
        self._answers += 1
        self._calls_from = self._waits_from = self._seconds()

    def failed(self) -> None:
        """Take note of a call that failed for good."""
        self.pauses += 1
        self._calls_from = self._waits_from = self._seconds() + self._pause_s

    def waited(self, answers_before: int) -> None:
        """Take note of a wait that ran out: unless answers came meanwhile, the next one is spared."""
        if self._answers == answers_before:
            self._waits_from = self._seconds() + self._pause_s
