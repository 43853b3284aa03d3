"""Runs functions in processes that have no way to the outside but a pipe to this one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from headwater.errors import ConfigError, RetryableError
from headwater.functions.child import Child, GoneError
from headwater.functions.contract import Ended, Function
from headwater.functions.frames import SLOTS
from headwater.limits import MIB
from headwater.outgoing import Http

PROCESSES_MAX: Final = 4  # ours: functions that run at the same time; each takes about 15 MB at rest
TIME_S: Final = 5.0  # Segment: what a function may take for one event
MEMORY_BYTES: Final = 64 * MIB  # ours: of one function at work on one event
WAITING_MAX: Final = 256  # ours: calls that wait for a process
WAIT_S: Final = 20.0  # ours
_CALLS_MAX: Final = 10_000  # ours: then a process is replaced, and what it may have lost with it
_AGE_S_MAX: Final = 900.0  # ours: likewise
_IDLE_S: Final = 300.0  # ours: a process without work ends
_TURN_S: Final = 1.0  # ours: how long a function keeps a process that another waits for
_BROKEN_S: Final = 60.0  # ours: how long code that cannot be read is not tried again
_BROKEN_MAX: Final = 256
_GONE_MAX: Final = 2  # ours: processes that one call may cost
_FRAME_BYTES: Final = MIB  # ours: arguments of one frame

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_Key = tuple[str, str, bytes]


@dataclass(slots=True)
class _Place:
    """One of the processes, starting or at work.

    Attributes:
        active: calls that it works on.
        is_leaving: it takes no more.
    """

    starting: asyncio.Task[Child]
    began_at: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)
    calls: int = 0
    active: int = 0
    is_leaving: bool = False

    @property
    def is_worn(self) -> bool:
        return self.calls >= _CALLS_MAX or time.monotonic() - self.began_at > _AGE_S_MAX


class Processes:
    """Implements `contract.Runtime`: a process for each function with its settings, at most so many at a time.

    When all are taken, the one that has had no work for the longest time makes room; where all have work, the oldest
    finishes what it has and makes room then.
    """

    def __init__(
        self, *, processes_max: int = PROCESSES_MAX, time_s: float = TIME_S, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        """Take the bounds; no process is started before the first call."""
        self._processes_max, self._time_s, self._memory_bytes = processes_max, time_s, memory_bytes
        self._places: OrderedDict[_Key, _Place] = OrderedDict()
        self._leaving: list[_Place] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._broken: OrderedDict[_Key, tuple[float, str]] = OrderedDict()
        self._waiting = 0
        self._news = asyncio.Event()
        self._reaper: asyncio.TimerHandle | None = None

    async def run(self, function: Function, handler: str, arguments: Sequence[Any], http: Http) -> list[Ended]:
        """See `contract.Runtime`."""
        lines = [msgspec.json.encode(argument) for argument in arguments]
        ended: list[Ended] = []
        gone = 0
        while len(ended) < len(lines):
            rest = lines[len(ended) :]
            count = 1 if gone else _fitting(rest)
            try:
                ended += await self._once(function, handler, rest[:count], http)
            except GoneError as error:
                ended += error.ended
                gone += 1
                if count == 1 or gone > _GONE_MAX:  # it is known which one ended the process, or enough is enough
                    ended.append(Ended("retry", message="Its process ended; it took too much time or memory."))
                if gone > _GONE_MAX:
                    ended += [Ended("retry", message="Its process ended.")] * (len(lines) - len(ended))
        return ended

    async def handlers(self, function: Function) -> frozenset[str]:
        """See `contract.Runtime`."""
        place = await self._place(function)
        try:
            return (await asyncio.shield(place.starting)).handlers
        finally:
            self._release(place)

    async def close(self) -> None:
        """End every process; what is under way comes back as "again later"."""
        if self._reaper is not None:
            self._reaper.cancel()
        for key in list(self._places):
            self._leave(key)
        for place in list(self._leaving):
            self._end(place)
        while self._ending:
            await asyncio.gather(*self._ending)

    async def _once(self, function: Function, handler: str, lines: Sequence[bytes], http: Http) -> list[Ended]:
        place = await self._place(function)
        try:
            child = await asyncio.shield(place.starting)
            return await child.run(handler, lines, http)
        finally:
            self._release(place)

    async def _place(self, function: Function) -> _Place:
        """Return a process of the function, counted as at work for the caller.

        Raises:
            ConfigError: its code was found unreadable a moment ago.
            RetryableError: none can be had.
        """
        key = function.id, function.code, _encode(function.settings)
        self._look_up_broken(key)
        if (place := self._find(key, function)) is None:
            place = await self._wait(key, function)
        place.active += 1
        place.calls += 1
        return place

    async def _wait(self, key: _Key, function: Function) -> _Place:
        if self._waiting >= WAITING_MAX:
            raise RetryableError("Too many events wait for a function's process; try again later.")
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                while (place := self._find(key, function)) is None:
                    self._news.clear()
                    try:
                        await asyncio.wait_for(self._news.wait(), _TURN_S)
                    except TimeoutError:
                        self._make_room()
        except TimeoutError:
            raise RetryableError("No process could be had for a function in time; try again later.") from None
        finally:
            self._waiting -= 1
        return place

    def _find(self, key: _Key, function: Function) -> _Place | None:
        """Return the function's process, a new one where there is room, None where there is none now."""
        place = self._places.get(key)
        if place is not None and (place.is_worn or _is_gone(place)):
            self._leave(key)
            place = None
        if place is not None:
            return place if place.active < SLOTS else None
        if len(self._places) + len(self._leaving) >= self._processes_max and not self._end_idle():
            return None
        task = asyncio.create_task(Child.start(function, self._time_s, self._memory_bytes, self._tell))
        self._places[key] = place = _Place(task)
        task.add_done_callback(lambda done: self._started(key, place, done))
        return place

    def _started(self, key: _Key, place: _Place, done: asyncio.Task[Child]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is None and not done.cancelled():
            return
        if isinstance(error, ConfigError):
            self._broken[key] = time.monotonic() + _BROKEN_S, str(error)
            if len(self._broken) > _BROKEN_MAX:
                self._broken.popitem(last=False)
        if self._places.get(key) is place:
            del self._places[key]
        self._tell()

    def _look_up_broken(self, key: _Key) -> None:
        until, message = self._broken.get(key, (0.0, ""))
        if time.monotonic() < until:
            raise ConfigError(message)
        self._broken.pop(key, None)

    def _release(self, place: _Place) -> None:
        place.active -= 1
        place.used_at = time.monotonic()
        if place.is_leaving and not place.active:
            self._end(place)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(_IDLE_S, self._reap)
        self._tell()

    def _end_idle(self) -> bool:
        """Let the process go that has had no work for the longest time; False where all have some."""
        idle = [(place.used_at, key) for key, place in self._places.items() if not place.active]
        if not idle:
            return False
        self._leave(min(idle)[1])
        return True

    def _make_room(self) -> None:
        """Let the oldest process at work finish and go, unless one already does."""
        if self._places and not self._leaving and not self._end_idle():
            self._leave(min(self._places, key=lambda key: self._places[key].began_at))

    def _leave(self, key: _Key) -> None:
        place = self._places.pop(key)
        place.is_leaving = True
        if place.active:
            self._leaving.append(place)
        else:
            self._end(place)

    def _end(self, place: _Place) -> None:
        if place in self._leaving:
            self._leaving.remove(place)
        task = asyncio.create_task(_ended(place))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._tell()

    def _reap(self) -> None:
        self._reaper = None
        for key, place in list(self._places.items()):
            if not place.active and time.monotonic() - place.used_at >= _IDLE_S:
                self._leave(key)
        if self._places:
            self._reaper = asyncio.get_running_loop().call_later(_IDLE_S, self._reap)

    def _tell(self) -> None:
        self._news.set()


def _fitting(lines: Sequence[bytes]) -> int:
    """Return how many arguments go into one frame, at least one."""
    size = 0
    for count, line in enumerate(lines):
        size += len(line)
        if count and size > _FRAME_BYTES:
            return count
    return len(lines)


def _is_gone(place: _Place) -> bool:
    return place.starting.done() and (bool(place.starting.exception()) or place.starting.result().is_gone)


async def _ended(place: _Place) -> None:
    """End a process, also one that is still starting."""
    place.starting.cancel()
    done = (await asyncio.gather(place.starting, return_exceptions=True))[0]
    if isinstance(done, Child):
        await done.end()
