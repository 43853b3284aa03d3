"""Keep the webhooks of all connected accounts as they should be, at once after a change and once an hour."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from headwater.errors import DeliveryError
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.connection.caretaker import EVERY_S, Arrivals, Caretaker, Tools
from headwater.sources.activecampaign.connection.health import Healths
from headwater.sources.activecampaign.connection.states import WebhookState
from headwater.sources.contract import Room

_JITTER: Final = 0.1  # of the wait: accounts shall not be looked at in the same second
_DEFECT_S: Final = 60.0  # ours: before a caretaker that failed unexpectedly goes on
_LEAVE_S: Final = 15.0  # ours: for the webhook of an account that is gone

_log = structlog.get_logger()


class Keeper:
    """One caretaker an account. `run` works until `stop`; `settle` brings one account into its state now."""

    def __init__(self, room: Room, ledger: Arrivals, path: Path) -> None:
        """Take the program's room, the ledger and where to keep what is known."""
        self._healths = Healths(path)
        self._tools = Tools(self._healths, ledger, room.clock)
        self._takers: dict[str, Caretaker] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._running = False
        self._stopped = asyncio.Event()

    def use(self, accounts: Mapping[str, Connected]) -> None:
        """Look after these accounts from now on, by the id of their source, switched on or off."""
        wanted = {each.account.id: each for each in accounts.values()}
        for gone in self._takers.keys() - wanted.keys():
            self._end(gone)
        for connection_id, connected in wanted.items():
            self._take(connection_id, connected)

    async def run(self) -> None:
        """Work until `stop`."""
        self._running = True
        for connection_id in self._takers:
            self._begin(connection_id)
        try:
            await self._stopped.wait()
        finally:
            self._running = False
            under_way = [*self._tasks.values(), *self._leaving]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            self._tasks.clear()

    async def stop(self) -> None:
        """End `run`; what is under way is found out again after the next start."""
        self._stopped.set()

    async def settle(self, connection_id: str) -> None:
        """Bring the webhook into the wanted state now; the rest of the look follows by itself.

        Raises:
            KeyError: there is no such connection.
        """
        await self._takers[connection_id].verify()
        self._wakes[connection_id].set()

    def close(self) -> None:
        """Close the file, after `stop`."""
        self._healths.close()

    def taker(self, connection_id: str) -> Caretaker | None:
        """Return who looks after a connection, None for one that is not known (yet)."""
        return self._takers.get(connection_id)

    def _take(self, connection_id: str, connected: Connected) -> None:
        taker = self._takers.get(connection_id)
        if taker is None:
            self._takers[connection_id] = Caretaker(connected, self._tools)
            self._wakes[connection_id] = asyncio.Event()
        elif taker.connected == connected:
            return
        else:
            if taker.base != connected.api.address.base:
                self._leave(taker.connected)
            taker.connected = connected
            self._wakes[connection_id].set()
        if self._running:
            self._begin(connection_id)

    def _begin(self, connection_id: str) -> None:
        if connection_id not in self._tasks:
            self._tasks[connection_id] = asyncio.create_task(self._look_after(connection_id))

    def _end(self, connection_id: str) -> None:
        taker = self._takers.pop(connection_id)
        del self._wakes[connection_id]
        if task := self._tasks.pop(connection_id, None):
            task.cancel()
        if taker.health.webhook is not WebhookState.OFF:
            self._leave(taker.connected)
        self._healths.forget(connection_id)

    def _leave(self, connected: Connected) -> None:
        """Take the webhook away from an account that is not connected any more, as far as that still works."""
        if not self._running:
            return
        task = asyncio.create_task(self._left(connected))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _left(self, connected: Connected) -> None:
        try:
            async with asyncio.timeout(_LEAVE_S):
                await Caretaker(connected, self._tools).take_down()
        except (DeliveryError, TimeoutError) as error:
            _log.warning("webhook.left_behind", connection_id=connected.account.id, error=type(error).__name__)

    async def _look_after(self, connection_id: str) -> None:
        taker, wake = self._takers[connection_id], self._wakes[connection_id]
        while True:
            wake.clear()
            try:
                wait_s = await _look(taker)
            except Exception as error:  # noqa: BLE001 - an account that surprises us costs itself, no other
                _log.error("connection.look_failed", connection_id=connection_id, error=type(error).__name__)
                wait_s = _DEFECT_S
            # not `wait_for`: in Python 3.11 it swallows a cancellation that comes together with the wake
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s is None else _jittered(wait_s)):
                    await wake.wait()


async def _look(taker: Caretaker) -> float | None:
    """Return seconds until the next look, None where nothing is left to do before a change."""
    wait_s = await taker.verify()
    if not taker.connected.account.enabled:
        return None if taker.health.webhook is WebhookState.OFF else wait_s
    if taker.health.webhook is WebhookState.UNKNOWN:
        return wait_s
    return min(wait_s, await taker.watch())


def _jittered(wait_s: float) -> float:
    """Spread long waits; short ones end when they were asked to."""
    return wait_s * random.uniform(1 - _JITTER, 1 + _JITTER) if wait_s >= EVERY_S else wait_s  # noqa: S311 - no secret
