"""What a destination promises: try the credentials, send events, name one outcome for each.

A destination is one module with a frozen dataclass `Settings`, a class `Destination` and a `CARD`. It neither retries
nor sleeps, queues, counts or logs: the delivery engine has all of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from headwater.outgoing import Answer, Http, retry_after_s
from headwater.spec.event import Call, Event

__all__ = [
    "Answer",
    "Card",
    "Delivered",
    "Destination",
    "Discarded",
    "Http",
    "Outcome",
    "Retry",
    "Unauthorized",
    "outcome_of",
    "retry_after_s",
    "setting",
]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The service took it over."""

    status: int = 200


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken over; try the same event again, not before `after_s` seconds where the service said so."""

    reason: str
    status: int | None = None
    after_s: float | None = None
    answer: str = ""


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


Outcome = Delivered | Retry | Discarded | Unauthorized


def setting(label: str, description: str = "", *, secret: bool = False, required: bool = True) -> dict[str, Any]:
    """Return dataclass field metadata: what the web form, the CLI option and the docs page show."""
    return {"label": label, "description": description, "secret": secret, "required": required}


@dataclass(frozen=True, slots=True)
class Card:
    """How a destination presents itself in the catalog.

    Attributes:
        name: as the `integrations` object spells it, case-sensitive.
        calls: what it takes; other calls are filtered as unsupported before an attempt.
    """

    name: str
    description: str
    calls: frozenset[Call] = field(default_factory=lambda: frozenset(Call))
    categories: tuple[str, ...] = ()


class Destination(Protocol):
    """What the engine calls."""

    batch_max: ClassVar[int]

    async def check(self) -> None:
        """Try the credentials; change nothing.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not work, as a sentence for people.
        """
        ...

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send 1..batch_max events in log order; return one outcome an event, in the same order.

        Raises:
            RetryableError, UnauthorizedError: only while nothing was sent.
        """
        ...


_ANSWER_CHARS: Final = 1_000


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
