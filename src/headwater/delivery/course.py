"""One of a connection's activities: new events, retries, backlogs, replays, each at a pace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from headwater.delivery.attempt import Sender
from headwater.delivery.connection import Rules
from headwater.delivery.masking import Mask
from headwater.delivery.order import Queue
from headwater.delivery.pace import Pace
from headwater.delivery.turns import Rank, Turns
from headwater.destinations.contract import Destination


class Course:
    """What an activity sends with, how fast, and how it is woken."""

    def __init__(
        self,
        rank: Rank,
        destination: Destination,
        rules: Rules,
        turns: Turns,
        failed: Callable[[BaseException], None],
        queue: Queue | None,
        *,
        mask: Mask,
    ) -> None:
        self.name = rank.name.lower()
        self.sender = Sender(destination, turns, failed, rank=rank, queue=queue, mask=mask)
        self.pace = Pace(rules, time.monotonic, destination.batch_max)
        self.changed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait, but not longer than until something changes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.changed.wait()
        self.changed.clear()

    async def sleep_until(self, something: Coroutine[Any, Any, object]) -> None:
        """Wait until `something` is done or something changes."""
        tasks = {asyncio.create_task(something), asyncio.create_task(self.changed.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        self.changed.clear()
