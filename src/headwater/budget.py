"""How many requests an account may still make: one bucket for everybody who calls the same service with it.

Sources and destinations that call one account share its bucket by name, so that together they stay below the limit
which the service sets for the account, whatever key or worker is used.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_MINUTE_S: Final = 60.0
_LIVE_IN_A_ROW: Final = 2  # ours: live look-ups still take three of five requests, in batches of up to 100 contacts
_WINDOW_S: Final = 1.02  # ours: requests may be quicker on their way than the one a second before


class Priority(IntEnum):
    """Who goes first when several wait: people and live events before what can take its time."""

    LIVE = 0
    NORMAL = 1
    BACKGROUND = 2


@dataclass(frozen=True, slots=True)
class Use:
    """How a bucket is used.

    Attributes:
        per_s: the limit.
        last_minute: requests in the last 60 seconds.
        total: requests since the start.
        throttled: how often the service said that it was too many.
        waiting: callers that wait for their turn now.
        paused_s: seconds until the next request may go out because the service asked for a pause, 0 for none.
    """

    per_s: int
    last_minute: int
    total: int
    throttled: int
    waiting: int
    paused_s: float


class Budget:
    """A sliding window with a queue: `turn` returns when the caller may send one request.

    In no second do more than `per_s` requests leave, also after a quiet time: a service that counts by the second,
    whenever its seconds begin, never counts too many.
    """

    def __init__(
        self,
        per_s: int,
        *,
        seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the limit in requests a second, a clock that only goes forward, and how to wait by it."""
        self._per_s, self._seconds, self._sleep = per_s, seconds, sleep
        self._window: deque[float] = deque(maxlen=per_s)
        self._paused_until = 0.0
        self._queues: dict[Priority, deque[asyncio.Future[None]]] = {priority: deque() for priority in Priority}
        self._in_a_row = 0
        self._serving: asyncio.Task[None] | None = None
        self._recent: deque[float] = deque()
        self._total = self._throttled = 0

    async def turn(self, priority: Priority = Priority.NORMAL) -> None:
        """Return when one request may be sent: higher priorities first, but every third turn is for somebody else."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues[priority].append(place)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        try:
            await place
        except asyncio.CancelledError:
            with suppress(ValueError):  # in a long pause those who gave up would pile up
                self._queues[priority].remove(place)
            raise

    def pause(self, seconds: float) -> None:
        """Let nobody send for a while: the service said that it was too much."""
        self._throttled += 1
        self._paused_until = max(self._paused_until, self._seconds() + seconds)

    def use(self) -> Use:
        """Return how much is used."""
        self._forget()
        waiting = sum(len(queue) for queue in self._queues.values())
        paused_s = max(self._paused_until - self._seconds(), 0.0)
        return Use(self._per_s, len(self._recent), self._total, self._throttled, waiting, paused_s)

    async def _serve(self) -> None:
        while (priority := self._next()) is not None:
            if (wait_s := self._wait_s(priority)) > 0:
                await self._sleep(wait_s)
                continue
            place = self._queues[priority].popleft()
            if place.done():  # whoever waited has given up
                continue
            others_wait = any(queue for each, queue in self._queues.items() if each != priority)
            self._in_a_row = self._in_a_row + 1 if others_wait and priority is Priority.LIVE else 0
            self._total += 1
            self._window.append(self._seconds())
            self._recent.append(self._seconds())
            self._forget()
            place.set_result(None)

    def _next(self) -> Priority | None:
        """Return whose turn it is, None when nobody waits: without a share of their own, others would wait for ever."""
        waiting = [priority for priority, queue in self._queues.items() if queue]
        if self._in_a_row >= _LIVE_IN_A_ROW and len(waiting) > 1:
            return waiting[1]
        return waiting[0] if waiting else None

    def _wait_s(self, priority: Priority) -> float:
        full = len(self._window) == self._per_s
        free_at = self._window[0] + _WINDOW_S if full else 0.0
        if self._window and priority is Priority.BACKGROUND:
            # spread over the second: after a burst a live call would wait for a whole window
            free_at = max(free_at, self._window[-1] + _WINDOW_S / self._per_s)
        return max(free_at, self._paused_until) - self._seconds()

    def _forget(self) -> None:
        oldest = self._seconds() - _MINUTE_S
        while self._recent and self._recent[0] < oldest:
            self._recent.popleft()


class Budgets:
    """The buckets of one process, by the name of the account they belong to."""

    def __init__(self) -> None:
        self._known: dict[str, Budget] = {}

    def of(self, account: str, per_s: int) -> Budget:
        """Return the bucket of an account, the same for everybody who asks; the first who asks sets the limit."""
        if account not in self._known:
            self._known[account] = Budget(per_s)
        return self._known[account]
