"""Something of the account that is read once and trusted for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from headwater.errors import DeliveryError, RetryableError, UnauthorizedError

T = TypeVar("T")

LONG_S: Final = 600.0
"""ours: what people set up in the account, such as custom fields, is noticed after ten minutes."""
SHORT_S: Final = 60.0
"""ours: a switch that somebody was asked to turn is noticed after a minute."""


class Kept(Generic[T]):
    """One value; whoever asks while it is read waits for the same reading.

    That the account refuses to tell it is trusted as long, so that not every event asks again.
    """

    def __init__(
        self, read: Callable[[], Awaitable[T]], age_s: float, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """Take how it is read, for how long it is trusted, and a clock that only goes forward."""
        self._read, self._age_s, self._seconds = read, age_s, seconds
        self._reading = asyncio.Lock()
        self._value: T | None = None
        self._refusal: DeliveryError | None = None
        self._until = 0.0

    async def get(self) -> T:
        """Return the value.

        Raises:
            DeliveryError: as the reading did.
        """
        async with self._reading:
            if self._seconds() >= self._until or (self._value is None and self._refusal is None):
                self._value = self._refusal = None
                try:
                    self._value = await self._read()
                except (RetryableError, UnauthorizedError):
                    raise
                except DeliveryError as error:
                    self._refusal = error
                self._until = self._seconds() + self._age_s
        if self._refusal is not None:
            raise DeliveryError(str(self._refusal))
        assert self._value is not None  # noqa: S101 - one of both was just set
        return self._value

    def forget(self) -> None:
        """Read it anew next time."""
        self._until = 0.0
