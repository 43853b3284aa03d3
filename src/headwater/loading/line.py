"""One warehouse in the engine: its loader, its own thread, its task, and how it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from headwater.clock import Clock, SteadyClock
from headwater.errors import ConflictError
from headwater.loading.loader import Loader
from headwater.loading.reloads import Reason, Reload
from headwater.loading.schedule import Mode, Pace
from headwater.loading.target import Target

INTERVAL_S_MAX: Final = 5.0
BUSY_SHARE: Final = 0.3  # ours: what of the time trickling loads may take, so that many tables mean fewer loads
RETRY_S: Final = 1.0
RETRY_S_MAX: Final = 300.0
UNAUTHORIZED_S: Final = 60.0
UNAUTHORIZED_S_MAX: Final = 3_600.0
EXPIRE_EVERY_S: Final = 3_600.0  # ours: as the log's own retention

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Past:
    """How a warehouse did before this process: when a load ended last, one of its schedule, and its failures."""

    last_sync: datetime | None = None
    synced_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    error: str = ""


class Line:
    """What the engine knows of one warehouse between two loads.

    Attributes:
        after: the end of the line that this one replaces: both use one scratch directory.
        failures: in a row; of the line of new events, not of reloads.
        first_failure: when they began.
        unauthorized: the last one was one of credentials.
        is_changed: it is configured anew, and no load has seen that yet.
        is_stale: the views for analysis are configured anew, or a reload has ended before its time.
        turns: full batches of new events since a reload had its turn.
    """

    def __init__(self, loader: Loader, past: Past, clock: Clock, after: asyncio.Task[None] | None = None) -> None:
        self.loader = loader
        self.after = after
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        self.woken = asyncio.Event()
        self.failures = past.failures
        self.failing_since = past.failing_since
        self.error = past.error
        self.unauthorized = False
        self.last_sync = past.last_sync
        self.is_changed = False
        self.is_stale = False
        self.turns = 0
        self._durations_s = (0.0, 0.0)
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._expire_at_s = time.monotonic() + EXPIRE_EVERY_S
        self._retries: dict[str, tuple[int, float]] = {}  # reload: failures in a row, and when the next try may be
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"loading {loader.target.id}")
        self.pace = Pace(loader.target.schedule, past.synced_at, clock)

    @property
    def target(self) -> Target:
        """The warehouse as it is configured now."""
        return self.loader.target

    @property
    def is_scheduled(self) -> bool:
        """Whether it is loaded at certain times only."""
        return self.target.schedule.mode is not Mode.CONTINUOUS

    def use(self, target: Target) -> None:
        """Take another configuration of the same place."""
        if target.schedule != self.pace.schedule:
            self.pace = Pace(target.schedule, self.last_sync, self._clock)
        self.is_stale |= (target.models, target.email) != (self.target.models, self.target.email)
        is_another = target != self.target
        self.loader.target = target
        self.is_changed |= is_another
        self.woken.set()

    async def in_thread(self, work: Callable[[], Done]) -> Done:
        """Do what blocks, after everything that was asked before, in this warehouse's own thread.

        Raises:
            ConflictError: the line was closed meanwhile.
        """
        if self.after is not None:
            await asyncio.wait({self.after})
        async with self.lock:
            if self._is_closed:
                raise ConflictError("The warehouse was changed or the server stops; try again.")
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def pause_s(self, every_s: float) -> float:
        """How long to wait between two loads of a few events; one slow load, such as a first one, changes nothing."""
        return max(every_s, min(min(self._durations_s) / BUSY_SHARE, INTERVAL_S_MAX))

    def took(self, seconds: float) -> None:
        """Note how long a load took."""
        self._durations_s = (self._durations_s[1], seconds)

    @property
    def retry_s(self) -> float:
        """How long to wait after a failure: doubled each time."""
        if self.unauthorized:  # some services lock an account after a few wrong passwords
            return _backoff_s(self.failures, UNAUTHORIZED_S, UNAUTHORIZED_S_MAX)
        return _backoff_s(self.failures, RETRY_S, RETRY_S_MAX)

    def next_reload(self, reason: Reason | None = None) -> Reload | None:
        """Return the oldest reload that may be worked on now; only one of this reason if there is one."""
        cursor, now_s = self.loader.cursor, time.monotonic()
        reloads = self.loader.book.open_reloads()
        self._retries = {each.id: self._retries[each.id] for each in reloads if each.id in self._retries}
        for reload in reloads:
            is_behind = cursor is None or reload.position < cursor or reload.position >= reload.next
            is_wanted = is_behind and reason in {None, reload.reason}
            if is_wanted and self._retries.get(reload.id, (0, 0.0))[1] <= now_s:
                return reload
        return None

    def reload_failed(self, reload: Reload) -> int:
        """Note that a reload's try failed; return how many did in a row."""
        failures = self._retries.get(reload.id, (0, 0.0))[0] + 1
        self._retries[reload.id] = failures, time.monotonic() + _backoff_s(failures, RETRY_S, RETRY_S_MAX)
        return failures

    def reload_worked(self, reload: Reload) -> None:
        """Forget its failures."""
        self._retries.pop(reload.id, None)

    def expiry(self) -> datetime | None:
        """Return before when rows are to go, once an hour; None when it is not time, or the clock was set."""
        days = self.target.keep_days
        if days is None or time.monotonic() < self._expire_at_s:
            return None
        self._expire_at_s = time.monotonic() + EXPIRE_EVERY_S
        moment = self._steady.moment()
        return None if moment is None else moment - timedelta(days=days)

    async def close(self) -> None:
        """Wait for the line's task and give the warehouse free."""
        if self.task is not None:
            await asyncio.gather(self.task, return_exceptions=True)
        await self.in_thread(self.loader.close)
        self._is_closed = True
        self._thread.shutdown(wait=False)


def _backoff_s(failures: int, first_s: float, most_s: float) -> float:
    return float(min(first_s * 2 ** min(max(failures, 1) - 1, 16), most_s))
