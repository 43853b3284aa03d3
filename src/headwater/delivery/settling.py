"""Settle what several connections have to settle at a time with one commit: the disk's sync is what a commit costs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from headwater.delivery.ledger import Ledger
from headwater.delivery.settlement import Settlement
from headwater.delivery.thread import OwnThread

_TOGETHER_MAX: Final = 64  # ours: settlements of one commit, each of a round; a commit stays short

Waits = Mapping[str, bool]


class Settling:
    """`await settling(settlement, now)` returns once it is committed, with what `Ledger.settle` returns."""

    def __init__(self, ledger: Ledger, in_ledger: OwnThread) -> None:
        """Take the ledger and the thread that it is written from."""
        self._ledger, self._in_ledger = ledger, in_ledger
        self._waiting: deque[tuple[Settlement, float, asyncio.Future[Waits]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def __call__(self, settlement: Settlement, now: float) -> Waits:
        """Settle one round, together with those that wait for the disk as well."""
        done: asyncio.Future[Waits] = asyncio.get_running_loop().create_future()
        self._waiting.append((settlement, now, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return await done

    async def _commit(self) -> None:
        while self._waiting:
            together = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER_MAX))]
            rounds = [(settlement, now) for settlement, now, _ in together]
            try:
                found = await self._in_ledger(self._ledger.settle_all, rounds)
            except Exception as error:  # noqa: BLE001 - told to whoever waits, who has to act
                await self._commit_alone(together, error)
                continue
            for (_, _, done), waits in zip(together, found, strict=True):
                _tell(done, waits)

    async def _commit_alone(
        self, together: list[tuple[Settlement, float, asyncio.Future[Waits]]], error: Exception
    ) -> None:
        """Settle each on its own, so that one that cannot be settled fails nobody else."""
        for settlement, now, done in together:
            if len(together) == 1:
                _fail(done, error)
                return
            try:
                _tell(done, await self._in_ledger(self._ledger.settle, settlement, now))
            except Exception as own:  # noqa: BLE001 - as above
                _fail(done, own)


def _tell(done: asyncio.Future[Waits], waits: Waits) -> None:
    if not done.done():
        done.set_result(waits)


def _fail(done: asyncio.Future[Waits], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
