"""How many passwords are hashed at the same time: each takes 19 MiB and a processor, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from headwater.errors import RequestError

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")
_AT_ONCE: Final = 2  # ours: 38 MiB, and other pages still get a turn
_WAITING_MAX: Final = 100  # ours: two seconds of work; who comes then is asked to come again


class Hashing:
    """Runs calls that hash a password, a few at a time, the others in a bounded queue."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def run(self, call: Callable[_Given, _Found], *args: _Given.args, **kwargs: _Given.kwargs) -> _Found:
        """Return what the call returns, in a thread, when its turn has come.

        Raises:
            RequestError: 503, too many are waiting already.
        """
        if self._waiting >= _WAITING_MAX:
            message = "Too many people are signing in at this moment. Try again in a few seconds."
            raise RequestError(503, "busy", message, retry_after_s=5)
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(call, *args, **kwargs)
        finally:
            self._waiting -= 1
