"""What somebody should know about a connection, each with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SOON: Final = 0.5  # ours: of the retry time; half of it is left to do something


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing: a code for programs, a sentence or two for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a connection is judged by.

    Attributes:
        rests_because: why nothing is tried; "" when something is.
        unaccounted: events that were read and are in no place, or in two.
        oldest_s: how long the oldest waiting event has been tried; 0 when none waits.
        retry_for_s: how long an event is tried.
        others: as `ConnectionStatus` has them.
    """

    rests_because: str
    unaccounted: int
    oldest_s: float
    retry_for_s: float
    retrying: int
    dead: int
    missed: int
    backlog: int
    overtaken: int


def concerns(facts: Facts) -> Iterator[Concern]:
    """Yield what there is to know, gravest first."""
    if facts.unaccounted:
        told = f"{facts.unaccounted:,} events are not accounted for. Run `headwater doctor` and report this."
        yield Concern("unaccounted", told)
    if facts.rests_because:
        told = f"Nothing is sent, everything is kept: {facts.rests_because} Correct the settings, or resume it."
        yield Concern("paused", told)
    if facts.missed:
        told = f"{facts.missed:,} records were damaged or expired before they were read. Run `headwater doctor`."
        yield Concern("missed", told)
    if facts.dead:
        told = "1 event was" if facts.dead == 1 else f"{facts.dead:,} events were"
        yield Concern("dead_letters", f"{told} given up. The dead letters say why; retry or discard them.")
    if facts.retrying and facts.oldest_s > facts.retry_for_s * _SOON:
        left_h = max(0.0, facts.retry_for_s - facts.oldest_s) / 3600
        told = "1 event waits" if facts.retrying == 1 else f"{facts.retrying:,} events wait"
        told = f"{told} for a retry; the first is given up in {left_h:.0f} hours. The last error says why."
        yield Concern("retries_end_soon", told)
    if facts.backlog:
        told = f"{facts.backlog:,} records from an outage are caught up beside new events. Nothing is to be done."
        yield Concern("backlog", told)
    if facts.overtaken:
        told = f"{facts.overtaken:,} retried events arrived after later ones of the same user."
        yield Concern("overtaken", f"{told} That is so where a destination does not need their order.")
