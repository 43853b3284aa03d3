"""One thread of its own for what blocks and must happen one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class OwnThread:
    """Await a blocking function: `await thread(function, argument)`. Calls run in the order they were made."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def __call__(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Return what the function returned in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(function, *arguments, **named))

    def close(self) -> None:
        """End the thread after what was begun."""
        self._thread.shutdown()
