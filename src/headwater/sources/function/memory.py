"""Maps requests by asking the user's function, within a time that leaves the other sources theirs."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from headwater.errors import ConfigError, RetryableError
from headwater.functions.contract import Function, Runtime
from headwater.outgoing import Http
from headwater.sources.contract import FunctionOf, Mapped, Room, Taken, Webhook
from headwater.sources.function.calls import mapped, request_of

TAKE_S: Final = 5.0
"""Ours: what one stretch of the inbox may take before no further request is begun; the others wait meanwhile."""
REST_S: Final = 60.0
"""Ours: how long a function that was too slow is not asked."""
_SIDE_BY_SIDE: Final = 8  # ours: requests of one source that are worked on at a time
_HANDLER: Final = "onRequest"
_LATER: Final = "The function was too slow to be asked; map it again later, or make the function faster."
_MISSING: Final = "The function of this source does not exist; choose one in its settings and map again."


class FunctionMemory:
    """Implements `contract.Memory`; remembers nothing but which functions were too slow a moment ago."""

    def __init__(self, runtime: Runtime, http: Http, function_of: FunctionOf) -> None:
        """Take what runs functions, what they fetch through and where they are found."""
        self._runtime, self._http, self._function_of = runtime, http, function_of
        self._rests_until: dict[str, float] = {}

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        """Return what requests of one source mean; those that cannot be mapped now are kept and can be mapped again."""
        found = self._function_of(source_id, str(settings.get("function", "")))
        if found is None:
            return _all(webhooks, _MISSING)
        function = replace(found, settings={**found.settings, **settings.get("settings", {})})
        try:
            handlers = await self._runtime.handlers(function)
        except (ConfigError, RetryableError) as error:
            return _all(webhooks, str(error))
        if _HANDLER not in handlers:
            return _all(webhooks, f"The function has no {_HANDLER}; add it and map again.")
        if time.monotonic() < self._rests_until.get(source_id, 0.0):
            return _all(webhooks, _LATER)
        self._rests_until.pop(source_id, None)
        return await self._ask(source_id, function, webhooks)

    async def _ask(self, source_id: str, function: Function, webhooks: Sequence[Webhook]) -> Taken:
        """Ask side by side, until all are asked or the time is up."""
        until = time.monotonic() + TAKE_S
        results = [Mapped(quarantined=_LATER)] * len(webhooks)
        places = deque(range(len(webhooks)))

        async def lane() -> None:
            while places and time.monotonic() < until:
                place = places.popleft()
                results[place] = await self._one(function, webhooks[place])

        await asyncio.gather(*(lane() for _ in range(min(_SIDE_BY_SIDE, len(webhooks)))))
        if places or time.monotonic() >= until:
            self._rests_until[source_id] = time.monotonic() + REST_S
        return Taken(tuple(results))

    async def _one(self, function: Function, webhook: Webhook) -> Mapped:
        try:
            [ended] = await self._runtime.run(function, _HANDLER, [request_of(webhook)], self._http)
        except (ConfigError, RetryableError) as error:
            return Mapped(quarantined=str(error))
        return mapped(webhook, ended)

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:  # noqa: ARG002 - a contract's
        """Return nothing: nothing is held back."""
        return Taken(())

    async def keep(self, source_id: str, taken: Taken) -> None:
        """Remember nothing: the same request gives the same message ids."""

    async def begin_again(self, source_id: str, last: datetime | None) -> None:
        """Remember nothing."""


def mapper(room: Room) -> FunctionMemory:
    """Return what maps the requests of all sources of this type.

    Raises:
        ConfigError: functions cannot be run here.
    """
    if room.runtime is None:
        raise ConfigError("Functions cannot be run here; the pipeline role has to be given a runtime.")
    return FunctionMemory(room.runtime, room.http, room.function_of)


def _all(webhooks: Sequence[Webhook], reason: str) -> Taken:
    return Taken(tuple(Mapped(quarantined=reason) for _ in webhooks))
