"""How fast the Public API may be asked: a bucket for each token, and one for each address that guesses tokens."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

REQUESTS_PER_S: Final = 50.0  # ours, a token
BURST_S: Final = 2.0  # ours: a bucket holds what comes in during this time
LOCAL_FACTOR: Final = 10  # ours: commands on the server's own machine
GUESSES_PER_S: Final = 1.0  # ours, an address: refused tokens
GUESSES_S: Final = 60.0  # ours: so much of it at once; a program that was given the wrong token is told so for a while
PLACES_MAX: Final = 10_000  # ours: the buckets used longest ago are forgotten, and so begin full


@dataclass(frozen=True, slots=True)
class Pace:
    """What a bucket says to a request.

    Attributes:
        limit: what the bucket holds.
        remaining: what is left, whole requests.
        full_s: seconds until it is full again.
        wait_s: seconds until there is enough for this request; 0 when it may go on.
    """

    limit: int
    remaining: int
    full_s: int
    wait_s: int

    def headers(self) -> dict[str, str]:
        """Return it as the IETF draft "RateLimit header fields for HTTP" (version 06) writes it."""
        names = ("limit", "remaining", "reset")
        values = (self.limit, self.remaining, self.full_s)
        return {f"ratelimit-{name}": str(value) for name, value in zip(names, values, strict=True)}


class Rates:
    """Token buckets by whom they are for; used inside the event loop."""

    def __init__(self, per_s: float, most: float, monotonic: Callable[[], float]) -> None:
        self._per_s, self._most, self._monotonic = per_s, most, monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, who: str, cost: float = 1, factor: float = 1) -> Pace:
        """Take `cost` out of a bucket, or nothing where there is not enough.

        Args:
            who: whose bucket.
            cost: in requests; what is more than a bucket holds needs a full one.
            factor: this bucket is so much larger and faster than others.
        """
        now, most, per_s = self._monotonic(), self._most * factor, self._per_s * factor
        level, at = self._levels.pop(who, (most, now))
        level = min(most, level + (now - at) * per_s)
        cost = min(cost, most)
        missing = max(0.0, cost - level)
        if not missing:
            level -= cost
        self._levels[who] = level, now
        while len(self._levels) > PLACES_MAX:
            self._levels.popitem(last=False)
        return Pace(int(most), int(level), math.ceil((most - level) / per_s), math.ceil(missing / per_s))


@dataclass(frozen=True, slots=True)
class Speeds:
    """How fast the API may be asked.

    Attributes:
        requests_per_s: by a token, on and on; twice as many at once.
        guesses_per_s: by an address whose tokens are refused; a minute's worth at once.
    """

    requests_per_s: float = REQUESTS_PER_S
    guesses_per_s: float = GUESSES_PER_S

    def of_tokens(self, monotonic: Callable[[], float]) -> Rates:
        """Return the buckets of tokens."""
        return Rates(self.requests_per_s, self.requests_per_s * BURST_S, monotonic)

    def of_guesses(self, monotonic: Callable[[], float]) -> Rates:
        """Return the buckets of addresses."""
        return Rates(self.guesses_per_s, self.guesses_per_s * GUESSES_S, monotonic)
