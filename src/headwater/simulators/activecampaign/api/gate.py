"""Who comes through to the API: with the key, within the account's rate, and if the service has a good day."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import answer
from headwater.simulators.activecampaign.simulation import Simulation

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_JITTER: Final = 0.75  # share of a request that must have come in again: requests sent evenly do not arrive so
_HTML: Final = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"


class Bucket:
    """Lets `per_s` requests through a second, and as many at once; any number for 0."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._left, self._at = per_s, clock()

    def take(self) -> float:
        """Take one request; return 0, or how many seconds it has to wait."""
        if not self._per_s:
            return 0.0
        at = self._clock()
        self._left = min(self._left + (at - self._at) * self._per_s, self._per_s)
        self._at = at
        if self._left < _JITTER:
            return (1 - self._left) / self._per_s
        self._left -= 1
        return 0.0


class Gate:
    """Wraps every call of v3 and v1; counts them."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._bucket = Bucket(simulation.settings.api_per_s)
        self._chance = Random(f"{simulation.settings.seed}:faults")
        self._storm = Random(f"{simulation.settings.seed}:storm")
        self.calls = 0
        self.tracked = 0
        self.throttled = 0
        self.faults = 0

    def v3(self, handler: Handler) -> Handler:
        """Return a call of v3 behind its header."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get("api-token") != self._simulation.settings.api_key:
                return answer({"message": "Forbidden"}, 403)
            return trouble if (trouble := self.trouble()) is not None else await handler(request)

        return guarded

    def tracker(self, handler: Handler) -> Handler:
        """Return a call of the tracker, a host of its own without a key and with no rate that is known."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            self.tracked += 1
            if self._storm.random() < self._simulation.account.switches.throttles:
                self.throttled += 1
                return answer({"message": "Too Many Requests"}, 429, {"Retry-After": "1"})
            return await handler(request)

        return guarded

    def trouble(self) -> web.Response | None:
        """Return what comes instead of an answer, if anything does."""
        self.calls += 1
        if (wait_s := self._bucket.take()) > 0:
            self.throttled += 1
            headers = {"Retry-After": str(max(round(wait_s), 1)), "RateLimit-Limit": "5", "RateLimit-Remaining": "0"}
            return answer({"message": "Too Many Requests"}, 429, headers)
        switches, drawn = self._simulation.account.switches, self._chance.random()
        if self._storm.random() < switches.throttles:
            self.throttled += 1
            return answer({"message": "Too Many Requests"}, 429, {"Retry-After": "1"})
        self.faults += 1
        if drawn < switches.html_answers:
            return web.Response(text=_HTML, content_type="text/html")
        if (drawn := drawn - switches.html_answers) < switches.refusals:
            return answer({"message": "Forbidden"}, 403)
        if drawn - switches.refusals < switches.server_errors:
            return web.Response(text="<html><body>502 Bad Gateway</body></html>", status=500, content_type="text/html")
        self.faults -= 1
        return None
