"""Whose call is next: one bound of calls, and one rate, for everything that goes to a connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

_LIVE_IN_A_ROW: Final = 2  # ours: of three turns new events take two, as long as somebody else waits
_BURST_S: Final = 0.1  # ours: what a quiet time saves up, in seconds of the rate


class Rank(IntEnum):
    """What a call carries; new events go first, the others take turns."""

    LIVE = 0
    RETRY = 1
    BACKLOG = 2
    REPLAY = 3


class Turns:
    """Lets calls through: at most `calls_max` at a time, and at most `rate_per_s` events a second on average.

    With more than one call at a time the last one is kept for new events, so that retries which hang delay none.
    """

    def __init__(
        self, calls_max: int, rate_per_s: float | None = None, *, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the bounds, None for no rate, and a clock that only goes forward."""
        self.calls_max = calls_max
        self._others_max = max(1, calls_max - 1)
        self._rate_per_s, self._seconds = rate_per_s, seconds
        self._burst = max(1.0, (rate_per_s or 0.0) * _BURST_S)
        self._tokens, self._filled_at = 1.0, seconds()
        self._queues: dict[Rank, deque[tuple[asyncio.Future[None], int]]] = {rank: deque() for rank in Rank}
        self._served = dict.fromkeys(Rank, 0)
        self._turn = self._in_a_row = self._busy = self._others = 0
        self._timer: asyncio.TimerHandle | None = None

    def turn(self, rank: Rank, events: int) -> _Turn:
        """Wait for a call that carries so many events; the call ends with the context."""
        return _Turn(self, rank, events)

    async def enter(self, rank: Rank, events: int) -> None:
        """Return when a call that carries so many events may begin; `leave` ends it."""
        if not any(self._queues.values()) and self._is_free(rank) and self._wait_s(events) <= 0:
            self._begin(rank, events)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues[rank].append((place, events))
        self._serve()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave(rank)
            raise

    def leave(self, rank: Rank) -> None:
        """End a call."""
        self._busy -= 1
        self._others -= rank is not Rank.LIVE
        self._serve()

    def _is_free(self, rank: Rank) -> bool:
        return self._busy < self.calls_max and (rank is Rank.LIVE or self._others < self._others_max)

    def _begin(self, rank: Rank, events: int) -> None:
        self._turn += 1
        self._served[rank] = self._turn
        self._in_a_row = self._in_a_row + 1 if rank is Rank.LIVE else 0
        self._busy += 1
        self._others += rank is not Rank.LIVE
        self._tokens -= events

    def _serve(self) -> None:
        while self._timer is None and (rank := self._next()) is not None:
            place, events = self._queues[rank][0]
            if (wait_s := self._wait_s(events)) > 0:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._again)
                return
            self._queues[rank].popleft()
            self._begin(rank, events)
            place.set_result(None)

    def _again(self) -> None:
        self._timer = None
        self._serve()

    def _next(self) -> Rank | None:
        """Return whose turn it is, None when no call is free or nobody waits."""
        if self._busy >= self.calls_max or not any(self._queues.values()):
            return None
        for queue in self._queues.values():
            while queue and queue[0][0].done():  # whoever waited has given up
                queue.popleft()
        others = [rank for rank in Rank if rank is not Rank.LIVE and self._queues[rank]]
        if self._others >= self._others_max:
            others = []
        if self._queues[Rank.LIVE] and (self._in_a_row < _LIVE_IN_A_ROW or not others):
            return Rank.LIVE
        return min(others, key=self._served.__getitem__, default=None)

    def _wait_s(self, events: int) -> float:
        """Return the seconds until this many events may go; a batch above the burst goes first and is paid after."""
        if self._rate_per_s is None:
            return 0.0
        now = self._seconds()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate_per_s)
        self._filled_at = now
        lacking = min(float(events), self._burst) - self._tokens
        # A hair of a token is no reason to wait: a timer may fire a little early.
        return lacking / self._rate_per_s if lacking > 1e-6 else 0.0  # noqa: PLR2004 - rounding


class _Turn:
    """The context of one call."""

    def __init__(self, turns: Turns, rank: Rank, events: int) -> None:
        self._turns, self._rank, self._events = turns, rank, events

    async def __aenter__(self) -> None:
        await self._turns.enter(self._rank, self._events)

    async def __aexit__(self, *_: object) -> None:
        self._turns.leave(self._rank)
