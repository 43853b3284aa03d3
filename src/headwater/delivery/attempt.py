"""Try to deliver some events: whatever a destination does, each of them ends as one outcome."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from headwater.delivery.address import parse
from headwater.delivery.connection import SEND_DEADLINE_S
from headwater.delivery.fate import EXCERPT_CHARS, Attempt, Held, HeldBack, Item
from headwater.delivery.masking import Mask
from headwater.delivery.order import Queue, user_of
from headwater.delivery.turns import Rank, Turns
from headwater.destinations.contract import (
    Answer,
    Delivered,
    Destination,
    Discarded,
    Http,
    Outcome,
    Retry,
    Skipped,
    Unauthorized,
)
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event

_STOPPED: Final = Retry("Headwater stopped before the answer came.")
_GONE: Final = 410
_TOLD_GONE: Final = (
    "The destination gave up its address (410): set the new one, or resume if it was a mistake. Events are kept."
)
_REQUESTS_MAX: Final = 32  # ours, of one call: more than it takes to halve a batch until one event stands alone
_ERRORS_FROM: Final = 400


@dataclass(slots=True)
class _Sent:
    """A request of a call: what is shown of it, and whether it has failed as far as its status tells."""

    method: str
    url: str
    body: bytes
    failed: bool = True

    def excerpt(self) -> str:
        # Paths and headers may be credentials; the host and the body are what helps.
        try:
            target = parse(self.url)
        except DeliveryError:
            return ""  # it was not sent
        return f"{self.method} {target.scheme}://{target.host}\n{self.body.decode('utf-8', 'replace')}"


_requests: ContextVar[deque[_Sent] | None] = ContextVar("requests", default=None)


class NotedHttp:
    """`contract.Http` that remembers excerpts of a call's last requests for dead letters, without path and headers."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request as the client below does."""
        sent = _Sent(method, url, body[:EXCERPT_CHARS])
        if (requests := _requests.get()) is not None:
            requests.append(sent)
        answer = await self._http.request(method, url, body=body, headers=headers)
        sent.failed = answer.status >= _ERRORS_FROM
        return answer


def _about(requests: Sequence[_Sent], event: Event) -> _Sent | None:
    """Return the request that tells most of an event: one that names it, then one that failed, then the last."""
    name = event.message_id.encode()
    return max(reversed(requests), key=lambda each: (name in each.body, each.failed), default=None)


class _Round:
    """How far a round is: an item's outcome is `Held` until its call begins.

    Attributes:
        failed_calls: those that failed as a whole, while none went through.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.failed_calls = 0
        self._went_through = False
        self._outcomes: list[Outcome | Held | HeldBack] = [Held()] * len(items)
        self._requests = [""] * len(items)

    def note(self, places: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        for place, outcome in zip(places, outcomes, strict=True):
            self._outcomes[place], self._requests[place] = outcome, ""

    def note_request(self, place: int, request: str) -> None:
        self._requests[place] = request

    def hold_back(self, places: Sequence[int]) -> None:
        for place in places:
            self._outcomes[place] = HeldBack()

    def is_delivered(self, place: int) -> bool:
        return isinstance(self._outcomes[place], Delivered)

    def is_to_wait(self, place: int) -> bool:
        return not isinstance(self._outcomes[place], Delivered | Discarded | Skipped)

    def count(self, outcomes: Sequence[Outcome]) -> None:
        self._went_through = self._went_through or any(not isinstance(outcome, Retry) for outcome in outcomes)
        self.failed_calls = 0 if self._went_through else self.failed_calls + 1

    def attempts(self) -> list[Attempt]:
        ends = zip(self.items, self._outcomes, self._requests, strict=True)
        return [Attempt(item, outcome, request) for item, outcome, request in ends]


class Sender:
    """Sends rounds of events to one destination, some calls at a time.

    Args of the constructor:
        turns: how many calls at a time, and how fast, shared with the connection's other senders.
        failed: told about an error of the destination's own code.
        rank: what this one carries.
        queue: whose events must wait; None where order does not matter.
        mask: what no reason, request or answer may hold.
    """

    def __init__(
        self,
        destination: Destination,
        turns: Turns,
        failed: Callable[[BaseException], None],
        *,
        rank: Rank = Rank.LIVE,
        queue: Queue | None = None,
        mask: Mask | None = None,
        deadline_s: float = SEND_DEADLINE_S,
    ) -> None:
        self._destination, self._turns, self._failed, self._deadline_s = destination, turns, failed, deadline_s
        self._rank, self._queue, self._mask = rank, queue, mask or Mask()
        self._halted = False
        self._running: set[asyncio.Task[None]] = set()
        self._queued: set[asyncio.Task[None]] = set()

    def halt(self) -> None:
        """Start no further call; those under way go on."""
        self._halted = True
        for task in self._queued:
            task.cancel()

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
        places: Sequence[int] = range(len(items))
        if self._queue is not None:
            held = [place for place in places if self._queue.holds(items[place])]
            round_.hold_back(held)
            places = sorted(set(places).difference(held))
        calls = by_user([items[place].event for place in places], self._turns.calls_max, self._destination.batch_max)
        chains = [[places[at] for at in chain] for chain in calls]
        tasks = {asyncio.create_task(self._carry(round_, chain)) for chain in chains}
        self._running |= tasks
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            self._running -= tasks
            self._queued -= tasks
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return round_.attempts()

    async def _carry(self, round_: _Round, chain: Sequence[int]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - checks our own work
        waiting: set[str] = set()
        for piece in _slices(chain, self._destination.batch_max):
            places = self._free(round_, piece, waiting)
            if self._halted or round_.failed_calls >= self._turns.calls_max:
                return
            if not places:
                continue
            self._queued.add(task)  # a halt ends the wait and with it the task, since a rate may make it long
            async with self._turns.turn(self._rank, len(places)):
                self._queued.discard(task)
                round_.note(places, [_STOPPED] * len(places))
                requests = deque[_Sent](maxlen=_REQUESTS_MAX)
                _requests.set(requests)
                outcomes = await self._send([round_.items[place].event for place in places])
            is_well = _are_delivered(outcomes)
            round_.note(places, outcomes)
            if not is_well:
                self._note_requests(round_, places, requests)
            round_.count(outcomes)
            if self._queue is not None:
                waiting |= {user_of(round_.items[place].event) for place in places if round_.is_to_wait(place)} - {""}
            if not is_well and any(map(ends_connection, outcomes)):
                self.halt()

    def _note_requests(self, round_: _Round, places: Sequence[int], requests: Sequence[_Sent]) -> None:
        """Keep with each event what was sent of it; most share a request."""
        shown: dict[int, str] = {}
        for place in places:
            if round_.is_delivered(place) or (sent := _about(requests, round_.items[place].event)) is None:
                continue
            if id(sent) not in shown:
                shown[id(sent)] = self._mask(sent.excerpt())
            round_.note_request(place, shown[id(sent)])

    def _free(self, round_: _Round, places: Sequence[int], waiting: set[str]) -> Sequence[int]:
        """Return the places that may be tried; the others wait behind an event of this very round."""
        if not waiting:
            return places
        held = [place for place in places if user_of(round_.items[place].event) in waiting]
        round_.hold_back(held)
        return [place for place in places if place not in held]

    async def _send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        outcomes = await self._outcomes(events)
        return outcomes if _are_delivered(outcomes) else [self._mask.outcome(outcome) for outcome in outcomes]

    async def _outcomes(self, events: Sequence[Event]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(self._deadline_s):
                outcomes = await self._destination.send(events)
            if len(outcomes) != len(events):
                raise ValueError(f"{len(outcomes)} outcomes for {len(events)} events")  # noqa: TRY301 - as its other mistakes
            if not _are_delivered(outcomes) and not all(map(_is_sound, outcomes)):
                raise TypeError("what is no outcome cannot be settled")  # noqa: TRY301 - as above
        except DeliveryError as error:
            return [_outcome(error)] * len(events)
        except TimeoutError:
            return [Retry(f"No outcome within {self._deadline_s:g} s.")] * len(events)
        except BaseException as error:
            # A mistake in one destination's code must not stop the others: a driver may cancel itself, or exit.
            if isinstance(error, KeyboardInterrupt) or _is_cancelled():
                raise
            self._failed(error)
            return [Retry(f"The destination's own code failed ({type(error).__name__}).")] * len(events)
        return outcomes


def _are_delivered(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether there is nothing to look at in a call's outcomes; it is nearly always so."""
    return set(map(type, outcomes)) == {Delivered}


def _is_sound(outcome: object) -> bool:
    """Tell whether this can be settled: what the ledger cannot store would fail its round again and again."""
    match outcome:
        case Delivered() | Skipped(str()) | Discarded(str(), int() | None, str()) | Unauthorized(str(), int() | None):
            return True
        case Retry(str(), int() | None, int() | float() | None, str(), int() | float() | None):
            return True
        case _:
            return False


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _outcome(error: DeliveryError) -> Outcome:
    match error:
        case RetryableError():
            return Retry(str(error), after_s=error.after_s, for_s=error.for_s)
        case UnauthorizedError():
            return Unauthorized(str(error))
        case _:
            return Discarded(str(error))


def ends_connection(outcome: Outcome | Held | HeldBack) -> bool:
    """Tell whether nothing should be sent there any more until its user has looked.

    Source: RFC 9110, 410 Gone: the resource is likely to be gone for good, and its owner wants no further requests.
    """
    return isinstance(outcome, Unauthorized) or (isinstance(outcome, Discarded) and outcome.status == _GONE)


def why_ended(outcomes: Iterable[Outcome | Held | HeldBack]) -> str | None:
    """Return the reason of the first outcome that ends the connection, as it is shown; None without one."""
    ending = next(filter(ends_connection, outcomes), None)
    return _TOLD_GONE if isinstance(ending, Discarded) else ending.reason if isinstance(ending, Unauthorized) else None


def by_user(events: Sequence[Event], chains_max: int, batch_max: int) -> list[list[int]]:
    """Return the events' places as up to `chains_max` chains of similar length, each user's in one and in log order."""
    wanted = min(chains_max, -(-len(events) // batch_max))
    if wanted == 1:
        return [list(range(len(events)))]
    chains: list[list[int]] = [[] for _ in range(wanted)]
    lengths, home = [0] * wanted, dict[str, int]()
    for place, event in enumerate(events):
        shortest = lengths.index(min(lengths))
        chain = home.setdefault(user, shortest) if (user := user_of(event)) else shortest
        chains[chain].append(place)
        lengths[chain] += 1
    return [chain for chain in chains if chain]


def _slices(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
