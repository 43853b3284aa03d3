"""What becomes of an event after an attempt: pure decisions, carried out by the ledger in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from headwater.delivery.connection import Rules
from headwater.destinations.contract import Delivered, Discarded, Outcome, Retry, Skipped, Unauthorized
from headwater.spec.event import Event

EXCERPT_CHARS: Final = 1_000
HELD_BACK: Final = "HELD_BACK"  # ours: waits behind an earlier event of the same user
HELD_AT: Final = 1e15  # ours, epoch seconds: due when the ledger lets it go, and never by the clock


class Item(msgspec.Struct, frozen=True):
    """One event on its way, with its past.

    Attributes:
        lane: the stretch of the log it comes from, as the ledger numbers it.
        row: its number among the waiting, None when it comes straight from the log.
        attempts: tries before this one.
        first_at: epoch seconds of the first try, None before it.
    """

    lane: int
    event: Event
    row: int | None = None
    attempts: int = 0
    first_at: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Not tried: the connection paused or the program stopped before its turn."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Not tried: an earlier event of the same user waits, and the destination needs them in order."""


class Attempt(msgspec.Struct, frozen=True):
    """How the try of one item ended; `request` is an excerpt of what was sent."""

    item: Item
    outcome: Outcome | Held | HeldBack
    request: str = ""


class Done(msgspec.Struct, frozen=True):
    """The destination has it; `latency_s` from the server's receipt, None for a replay."""

    first_try: bool
    latency_s: float | None


@dataclass(frozen=True, slots=True)
class Filtered:
    """Not wanted there, for this reason; no attempt was made."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """To be tried (again) at `due_at`, epoch seconds."""

    due_at: float
    attempts: int
    first_at: float | None
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up."""

    attempts: int
    first_at: float
    reason: str
    status: int | None
    answer: str
    request: str


Fate = Done | Filtered | Waiting | Dead


def fate_of(attempt: Attempt, rules: Rules, now: float) -> Fate:  # noqa: PLR0911 - one an outcome
    """Return what follows from the end of an attempt, at `now` in epoch seconds."""
    item, tries = attempt.item, attempt.item.attempts + 1
    first_at = now if item.first_at is None else min(item.first_at, now)  # later than now: the clock was set back
    match attempt.outcome:
        case Delivered():
            return Done(first_try=item.attempts == 0, latency_s=latency_s(item.event, now))
        case Skipped(reason):
            return Filtered(reason)
        case Held():
            return Waiting(now, item.attempts, item.first_at, "held")
        case HeldBack():
            return Waiting(HELD_AT, item.attempts, item.first_at, HELD_BACK)
        case Unauthorized(reason, status):
            return Waiting(now, tries, first_at, reason, status)
        case Discarded(reason, status, answer):
            return Dead(tries, first_at, reason, status, answer[:EXCERPT_CHARS], attempt.request)
        case Retry(reason, status, after_s, answer, for_s):
            due_at = now + wait_s(tries, after_s, rules)
            last_at = first_at + min(rules.retry_for_s, rules.retry_for_s if for_s is None else for_s)
            if now >= last_at:
                return Dead(tries, first_at, reason, status, answer[:EXCERPT_CHARS], attempt.request)
            return Waiting(min(due_at, max(last_at, now)), tries, first_at, reason, status)


def wait_s(tries: int, after_s: float | None, rules: Rules) -> float:
    """Return the wait before the next try: random below an exponential bound, and not less than was asked for."""
    bound = min(rules.retry_max_s, rules.retry_first_s * 2.0 ** min(tries - 1, 30))
    asked = max(0.0, min(after_s or 0.0, rules.retry_after_max_s))  # a service may name a time that has passed
    return asked + rules.chance() * bound


def latency_s(event: Event, now: float) -> float | None:
    """Return the seconds since the server received the event, None when it does not say."""
    received_at = arrival(event)
    return None if received_at is None else max(0.0, now - received_at)


def arrival(event: Event) -> float | None:
    """Return when the server received the event, epoch seconds; None when it does not say."""
    try:
        return _epoch_s(event.body["receivedAt"])
    except (KeyError, TypeError, ValueError):
        return None


@lru_cache(maxsize=256)  # the events of one request share it
def _epoch_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
