"""What a destination promises: try the credentials, send events, name one outcome for each.

A destination is one module with a frozen dataclass `Settings`, a class `Destination` and a `CARD`. It neither retries
nor sleeps, queues, counts or logs: the delivery engine has all of that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from headwater.budget import Budgets
from headwater.clock import Clock, now
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.functions.contract import Function, Runtime
from headwater.outgoing import Answer, Http, retry_after_s
from headwater.privacy.person import Person
from headwater.spec.event import Call, Event

__all__ = [
    "Answer",
    "Card",
    "Delivered",
    "Destination",
    "Discarded",
    "Erases",
    "Http",
    "Outcome",
    "Reach",
    "Retry",
    "Room",
    "Rule",
    "Skipped",
    "Unauthorized",
    "demand",
    "is_spoilt",
    "outcome_of",
    "retry_after_s",
    "setting",
    "settle_erasure",
]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The service took it over."""

    status: int = 200


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken over; try the same event again, not before `after_s` seconds where the service said so.

    `for_s` shortens the time until it is given up, counted from the first try.
    """

    reason: str
    status: int | None = None
    after_s: float | None = None
    answer: str = ""
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Discarded:
    """The service refuses this event for good: it becomes a dead letter with this reason."""

    reason: str
    status: int | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The credentials are refused: the connection pauses and keeps its events."""

    reason: str
    status: int | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """This destination has nothing to do for the event: counted as filtered under `reason`, a code or a sentence.

    For what is right as it is, such as an event that came from there; what is wrong with an event is `Discarded`.
    """

    reason: str


Outcome = Delivered | Retry | Discarded | Unauthorized | Skipped


def setting(label: str, description: str = "", *, secret: bool = False, required: bool = True) -> dict[str, Any]:
    """Return dataclass field metadata: what the web form, the CLI option and the docs page show."""
    return {"label": label, "description": description, "secret": secret, "required": required}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a destination's mapping, as its documentation shows it.

    Attributes:
        call: what it is about: "track", "identify", "track `Order Completed`", "all calls".
        source: where the value stands in the event, such as `properties.revenue`; "" for a constant.
        target: where it goes in the service's terms.
        note: what is done on the way.
    """

    call: str
    source: str
    target: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """How a destination presents itself in the catalog.

    Attributes:
        name: as the `integrations` object spells it, case-sensitive.
        calls: what it takes; other calls are filtered as unsupported before an attempt.
        id: Segment's catalog id where Segment has this destination, "" otherwise.
        ordered: whether the events of one user must arrive in order: one that waits for a retry then holds the later
            ones of this user back.
        concurrency: calls at a time unless the user sets another; None takes the engine's own.
        rate_per_s: events a second unless the user sets another; None is as fast as it answers.
        needs: the extra that has to be installed for it, such as `kafka`; "" for none.
        api: the service's documentation that the mapping follows, an address.
        mapping: what goes where.
        notes: sentences for its documentation: limits, what an answer means, how repeats are recognised.
    """

    name: str
    description: str
    calls: frozenset[Call] = field(default_factory=lambda: frozenset(Call))
    categories: tuple[str, ...] = ()
    id: str = ""
    ordered: bool = False
    concurrency: int | None = None
    rate_per_s: float | None = None
    needs: str = ""
    api: str = ""
    mapping: tuple[Rule, ...] = ()
    notes: tuple[str, ...] = ()


Reach = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host that may be dialled by protocols other than HTTP.

Raises DeliveryError when the operator does not allow one of them, RetryableError when the name is not found.
"""


@dataclass(frozen=True, slots=True)
class Room:
    """What a destination may use: its only way to the outside.

    Attributes:
        http: the guarded client.
        budgets: how many requests an account may still make, shared with the sources of the same account.
        reach: see `Reach`.
        home: a directory of this connection's own, made by whoever uses it first.
        directories: where files may be written, besides `home`.
        connection_id, source_id: whose events it gets; "" while settings are tried out.
        closing: what is to be closed when the connection ends or changes is pushed here.
        functions: the user's code that this connection uses, by id.
        runtime: runs it; None where there is none.
    """

    http: Http
    budgets: Budgets
    reach: Reach
    home: Path
    directories: tuple[Path, ...] = ()
    connection_id: str = ""
    source_id: str = ""
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    functions: Mapping[str, Function] = field(default_factory=dict)
    runtime: Runtime | None = None
    clock: Clock = now


class Destination(Protocol):
    """What the engine calls; built as `Destination(settings, room)`.

    Attributes:
        batch_max: events that one `send` takes at most.
    """

    @property
    def batch_max(self) -> int: ...  # noqa: D102 - told above

    async def check(self) -> None:
        """Try the credentials; change nothing.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not work, as a sentence for people.
        """
        ...

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send 1..batch_max events in log order; return one outcome an event, in the same order.

        All connections share one event loop: what blocks goes to a thread, and a cancellation has to be let through.

        Raises:
            RetryableError, UnauthorizedError: only while nothing was sent.
        """
        ...


@runtime_checkable
class Erases(Protocol):
    """What a destination has besides when its service can be told to delete people."""

    async def erase(self, person: Person) -> None:
        """Tell the service to delete everything of these people; whom it does not know is no error. May be repeated.

        Raises:
            RetryableError, UnauthorizedError, DeliveryError: it did not take it, or not all of it.
            UnsupportedError: it cannot, with these settings or for these ids; the sentence says what to do.
        """
        ...


def settle_erasure(answer: Answer, service: str, *, unknown: Collection[int] = (404,)) -> None:
    """Return when a service took a deletion, or knows nobody of that name; else raise what `Erases.erase` promises.

    Args:
        answer: of the service.
        service: its name, as people know it.
        unknown: statuses that say that there is nobody to delete.
    """
    outcome = outcome_of(answer)
    match outcome:
        case Retry(reason, _, after_s):
            raise RetryableError(f"{service} did not take the deletion ({reason}); it is asked again.", after_s=after_s)
        case Unauthorized(reason, status) if status not in unknown:
            raise UnauthorizedError(f"{service} refuses the deletion ({reason}); give the key the right to delete.")
        case Discarded(reason, status) if status not in unknown:
            raise DeliveryError(f"{service} refuses the deletion ({reason}); delete the person there.")


_ANSWER_CHARS: Final = 1_000
_SPOILS: Final = frozenset({400, 413, 422})  # RFC 9110: bad request, content too large, unprocessable content


def outcome_of(answer: Answer) -> Outcome:
    """Return what an HTTP answer means for the events it was about.

    2xx delivered; 401 and 403 unauthorized; 408, 425, 429 and 5xx retry (with `Retry-After`); the rest is discarded.

    Source: Segment's integration error codes, with 401/403 pausing instead of discarding.
    """
    text = answer.body[:_ANSWER_CHARS].decode("utf-8", "replace")
    reason = f"HTTP {answer.status}"
    if 200 <= answer.status < 300:  # noqa: PLR2004 - the status classes of RFC 9110
        return Delivered(answer.status)
    if answer.status in {401, 403}:
        return Unauthorized(reason, answer.status, text)
    if answer.status in {408, 425, 429} or 500 <= answer.status < 600:  # noqa: PLR2004
        return Retry(reason, answer.status, retry_after_s(answer.headers), text)
    return Discarded(reason, answer.status, text)


def is_spoilt(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether a request was refused for what it held and not for its address, without a word on which event.

    The reasons are then those of `outcome_of`: another one says which event it is about.
    """
    return all(
        isinstance(each, Discarded) and each.status in _SPOILS and each.reason.startswith("HTTP ") for each in outcomes
    )


def demand(outcome: Outcome, service: str, *, unauthorized: str, proof: Collection[int] = ()) -> None:
    """Return when a service took a check; else raise what `Destination.check` promises.

    Args:
        outcome: what its answer means.
        service: its name, as people know it.
        unauthorized: the sentence for refused credentials, with what to compare.
        proof: statuses that prove the credentials all the same, such as that of a request refused for being empty.

    Raises:
        UnauthorizedError, RetryableError, DeliveryError: it did not; the sentence says the next step.
    """
    match outcome:
        case Retry(reason):
            raise RetryableError(f"{service} does not work at the moment ({reason}); try again later.")
        case Unauthorized():
            raise UnauthorizedError(unauthorized)
        case Discarded(reason, status) if status not in proof:
            raise DeliveryError(f"Nothing speaks {service}'s API there ({reason}); compare the endpoint.")
