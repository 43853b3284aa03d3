"""Try to deliver some events: whatever a destination does, each of them ends as one outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Final

from headwater.delivery.address import parse
from headwater.delivery.connection import SEND_DEADLINE_S
from headwater.delivery.fate import EXCERPT_CHARS, Attempt, Held, Item
from headwater.destinations.contract import (
    Answer,
    Destination,
    Discarded,
    Http,
    Outcome,
    Retry,
    Unauthorized,
)
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event

_STOPPED: Final = Retry("Headwater stopped before the answer came.")
_request: ContextVar[str] = ContextVar("request", default="")


class NotedHttp:
    """`contract.Http` that remembers an excerpt of the last request for the dead letter, without path and headers."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request as the client below does."""
        # Paths and headers may be credentials; the host and the body are what helps.
        target = parse(url)
        _request.set(f"{method} {target.scheme}://{target.host}\n{body[:EXCERPT_CHARS].decode('utf-8', 'replace')}")
        return await self._http.request(method, url, body=body, headers=headers)


class _Round:
    """How far a round is: an item's outcome is `Held` until its call begins.

    Attributes:
        failed_calls: those that failed as a whole, while none went through.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.failed_calls = 0
        self._went_through = False
        self._outcomes: list[Outcome | Held] = [Held()] * len(items)
        self._requests = [""] * len(items)

    def note(self, places: Sequence[int], outcomes: Sequence[Outcome], request: str = "") -> None:
        for place, outcome in zip(places, outcomes, strict=True):
            self._outcomes[place], self._requests[place] = outcome, request

    def count(self, outcomes: Sequence[Outcome]) -> None:
        self._went_through = self._went_through or any(not isinstance(outcome, Retry) for outcome in outcomes)
        self.failed_calls = 0 if self._went_through else self.failed_calls + 1

    def attempts(self) -> list[Attempt]:
        ends = zip(self.items, self._outcomes, self._requests, strict=True)
        return [Attempt(item, outcome, request) for item, outcome, request in ends]


class Sender:
    """Sends rounds of events to one destination, some calls at a time.

    Args of the constructor:
        in_flight: calls at a time.
        failed: told about an error of the destination's own code.
    """

    def __init__(
        self,
        destination: Destination,
        in_flight: int,
        failed: Callable[[Exception], None],
        *,
        deadline_s: float = SEND_DEADLINE_S,
    ) -> None:
        self._destination, self._in_flight, self._failed, self._deadline_s = destination, in_flight, failed, deadline_s
        self._halted = False
        self._running: set[asyncio.Task[None]] = set()

    def halt(self) -> None:
        """Start no further call; those under way go on."""
        self._halted = True

    def go_on(self) -> None:
        """Take `halt` back."""
        self._halted = False

    def cut(self) -> None:
        """Give up the calls that are under way; their events are tried again."""
        self.halt()
        for task in self._running:
            task.cancel()

    async def attempt(self, items: Sequence[Item]) -> list[Attempt]:
        """Return how the try of each item ended, in the same order.

        The events of one user are sent in log order, one call after the other. When the first calls all fail, as
        many as may be under way, the rest is not tried: each might take its whole deadline.
        """
        round_ = _Round(items)
        chains = by_user([item.event for item in items], self._in_flight, self._destination.batch_max)
        tasks = {asyncio.create_task(self._carry(round_, chain)) for chain in chains}
        self._running |= tasks
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            self._running -= tasks
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return round_.attempts()

    async def _carry(self, round_: _Round, chain: Sequence[int]) -> None:
        for places in _slices(chain, self._destination.batch_max):
            if self._halted or round_.failed_calls >= self._in_flight:
                return
            round_.note(places, [_STOPPED] * len(places))
            outcomes = await self._send([round_.items[place].event for place in places])
            round_.note(places, outcomes, _request.get())
            round_.count(outcomes)
            if any(isinstance(outcome, Unauthorized) for outcome in outcomes):
                self.halt()

    async def _send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(self._deadline_s):
                outcomes = await self._destination.send(events)
            if len(outcomes) != len(events):
                raise ValueError(f"{len(outcomes)} outcomes for {len(events)} events")  # noqa: TRY301 - as its other mistakes
        except DeliveryError as error:
            return [_outcome(error)] * len(events)
        except TimeoutError:
            return [Retry(f"No outcome within {self._deadline_s:g} s.")] * len(events)
        except Exception as error:  # noqa: BLE001 - a mistake in one destination's code must not stop the others
            self._failed(error)
            return [Retry(f"The destination's own code failed ({type(error).__name__}).")] * len(events)
        return outcomes


def _outcome(error: DeliveryError) -> Outcome:
    match error:
        case RetryableError():
            return Retry(str(error), after_s=error.after_s)
        case UnauthorizedError():
            return Unauthorized(str(error))
        case _:
            return Discarded(str(error))


def by_user(events: Sequence[Event], chains_max: int, batch_max: int) -> list[list[int]]:
    """Return the events' places as up to `chains_max` chains of similar length, each user's in one and in log order."""
    wanted = min(chains_max, -(-len(events) // batch_max))
    chains: list[list[int]] = [[] for _ in range(wanted)]
    home: dict[object, list[int]] = {}
    for place, event in enumerate(events):
        user = event.body.get("userId") or event.body.get("anonymousId") or place
        if user not in home:
            home[user] = min(chains, key=len)
        home[user].append(place)
    return [chain for chain in chains if chain]


def _slices(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
