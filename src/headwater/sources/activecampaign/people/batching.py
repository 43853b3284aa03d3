"""Gather contacts that are asked for into few requests: a hundred fit into one, and five requests go out a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final

import structlog

from headwater.budget import Priority
from headwater.errors import DeliveryError
from headwater.sources.activecampaign.people.breaker import Breaker

BATCH_MAX: Final = 100
"""Contacts of one request: ActiveCampaign's `limit` is cut there."""

_PACE_S: Final = 0.2  # five requests a second: until the next one may go, more contacts gather for it
_CALLS_MAX: Final = 3  # ours: requests under way; a slow answer must not hold up the next batch
_PENDING_MAX: Final = 10_000  # ours: contacts that wait for a request, 20 s of full batches; more are not asked for

_log = structlog.get_logger()

Fetch = Callable[[Sequence[str], Priority], Awaitable[None]]
"""Asks the API for contacts and keeps the answer; raises DeliveryError (and its kinds)."""


class Batcher:
    """One account's. `ask` returns at once; who wants to wait for the answer waits for what it returns."""

    def __init__(self, fetch: Fetch, breaker: Breaker) -> None:
        """Take what makes a request and what tells whether to make one."""
        self._fetch, self.breaker = fetch, breaker
        self._urgent: dict[str, asyncio.Future[None]] = {}
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._later: dict[str, None] = {}  # in the order they were asked for
        self._calls: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def pending(self) -> int:
        """How many contacts wait for a request."""
        return len(self._urgent) + len(self._later)

    def ask(self, ids: Iterable[str]) -> list[asyncio.Future[None]]:
        """Ask for contacts as soon as possible; return what is done once they are answered, or given up.

        What does not fit is not asked for; it is not in the answer. After `stop` nothing is.
        """
        if self._stopped:
            return []
        made = [future for id_ in ids if (future := self._asked(id_)) is not None]
        if self._urgent and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send())
        return made

    def refresh(self, ids: Iterable[str]) -> None:
        """Ask for contacts some time: in the free places of other requests, or when nobody else wants to call."""
        for id_ in ids if not self._stopped else ():
            if self.pending < _PENDING_MAX and id_ not in self._urgent and id_ not in self._under_way:
                self._later[id_] = None
        if self._later and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh())

    async def stop(self) -> None:
        """Give everything up for good; return once nothing is under way any more."""
        self._stopped = True
        self._later.clear()
        tasks = [task for task in (self._sending, self._refreshing, *self._calls) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for future in (*self._urgent.values(), *self._under_way.values()):
            _settle(future)
        self._urgent.clear()
        self._under_way.clear()

    def _asked(self, id_: str) -> asyncio.Future[None] | None:
        known = self._urgent.get(id_) or self._under_way.get(id_)
        if known is None and (id_ in self._later or self.pending < _PENDING_MAX):
            self._later.pop(id_, None)
            known = self._urgent[id_] = asyncio.get_running_loop().create_future()
        return known

    async def _send(self) -> None:
        """Send what is urgent in batches, in the account's pace, until nothing is."""
        while self._urgent:
            if (pause_s := self.breaker.pause_s()) > 0:
                await asyncio.sleep(pause_s)
            elif len(self._calls) >= _CALLS_MAX:
                await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
            else:
                call = asyncio.create_task(self._send_batch())
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
                await asyncio.sleep(_PACE_S)

    async def _send_batch(self) -> None:
        urgent = list(self._urgent)[:BATCH_MAX]
        for id_ in urgent:
            self._under_way[id_] = self._urgent.pop(id_)
        try:
            await self._call(urgent + self._taken(BATCH_MAX - len(urgent)), Priority.LIVE)
        finally:
            for id_ in urgent:
                _settle(self._under_way.pop(id_, None))

    async def _refresh(self) -> None:
        """Send what is not urgent, one request at a time: behind everybody else it may wait for long."""
        while self._later:
            if (pause_s := self.breaker.pause_s()) > 0:
                await asyncio.sleep(pause_s)
            else:
                await asyncio.sleep(_PACE_S)  # an urgent batch may have a free place
                await self._call(self._taken(BATCH_MAX), Priority.BACKGROUND)

    def _taken(self, most: int) -> list[str]:
        taken = list(islice(self._later, most))
        for id_ in taken:
            del self._later[id_]
        return taken

    async def _call(self, ids: Sequence[str], priority: Priority) -> None:
        if not ids:
            return
        try:
            await self._fetch(ids, priority)
        except DeliveryError as error:
            self.breaker.failed()
            _log.warning("contacts.not_answered", reason=type(error).__name__, count=len(ids))
        else:
            self.breaker.answered()


def _settle(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
