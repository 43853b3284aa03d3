"""What the engine knows of a destination that a user has set up, and the bounds it works within."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from headwater import limits
from headwater.destinations.contract import Card
from headwater.functions.contract import Function

SEND_DEADLINE_S: Final = 60.0  # ours: one `send` of a destination, which may need several requests


@dataclass(frozen=True, slots=True)
class Filter:
    """A destination filter: what happens to events that its condition is true for.

    Attributes:
        condition: in FQL; one that cannot be read lets nothing through.
        actions: as Segment's Public API writes them: `{"type": "DROP"}`, `{"type": "SAMPLE", "percent": 0.1, "path":
            "userId"}`, `{"type": "DROP_PROPERTIES", "fields": {"properties": ["a"]}}`, and `ALLOW_PROPERTIES` alike.
    """

    id: str
    title: str
    condition: str
    actions: tuple[Mapping[str, Any], ...]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Changes events on their way to one destination; the first whose trigger is true applies.

    Attributes:
        trigger: in FQL.
        fields: what is set, by dotted path in the event: a literal, or a directive such as `{"@path": "$.userId"}`.
    """

    id: str
    name: str
    trigger: str
    fields: Mapping[str, Any]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the user set for one connection; None takes the type's, else the engine's own.

    Attributes:
        concurrency: calls at a time.
        rate_per_s: events a second.
        retry_for_s: from the first try of an event to its last.
    """

    concurrency: int | None = None
    rate_per_s: float | None = None
    retry_for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One destination on one source; handed in by `app`, replaced when the configuration changes.

    Attributes:
        id: the destination's id, unique.
        type: the name of its file on the shelf.
        name: the user's label.
        settings: decrypted, in the spelling of the type's `Settings`.
        created_at: where `first_seq` is not known, only events received from this instant on are delivered; None is
            the log's oldest event.
        revision: changes with the settings; a connection paused by a refused key tries again when it does.
        first_seq: the log's end when the destination was made: from there on its events are delivered.
        filters: in the order in which they were made.
        mappings: in the order in which they are tried; without an enabled one, events go as they are.
        inserts: functions that each event goes through, one after the other.
        functions: what the destination itself runs, by id.
    """

    id: str
    source_id: str
    type: str
    name: str
    enabled: bool
    settings: Mapping[str, Any] = field(repr=False)
    created_at: datetime | None = None
    revision: str = ""
    first_seq: int | None = None
    filters: tuple[Filter, ...] = ()
    mappings: tuple[FieldMapping, ...] = ()
    inserts: tuple[Function, ...] = ()
    functions: Mapping[str, Function] = field(default_factory=dict, repr=False)
    tuning: Tuning = Tuning()


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds of delivery; tests hand in smaller ones.

    Attributes:
        chunk_max: events between two commits, or as many as fill every batch under way if those are more; what a
            crash repeats at most.
        in_flight: calls of one connection at a time, for all that goes to it.
        rate_per_s: events of one connection a second, for all that goes to it; None is as fast as it answers.
        split_after_s, split_events: new events jump over what waits in the log, once the next one is this old and about
            this many lie ahead; events are then less than half a minute late although a backlog is carried.
        retry_first_s, retry_max_s: the random wait before try n is below `retry_first_s * 2**n`, at most `retry_max_s`.
        retry_for_s: from the first try of an event to its last.
        hold_max_s: the longest wait between two tries of a destination that refuses everything.
        drain_s: what `stop` waits for calls that are under way.
        replay_per_s: events a second of one replay.
        chance: uniform in 0..1.
    """

    chunk_max: int = 256
    in_flight: int = 8
    retry_first_s: float = 2.0
    retry_max_s: float = 3600.0
    retry_for_s: float = limits.RETRY_FOR_S
    retry_after_max_s: float = limits.RETRY_AFTER_S_MAX
    rate_per_s: float | None = None
    split_after_s: float = 20.0
    split_events: int = 300
    hold_max_s: float = 60.0
    drain_s: float = 10.0
    replay_per_s: float = 500.0
    chance: Callable[[], float] = random.random

    def tuned(self, tuning: Tuning, card: Card) -> Rules:
        """Return the bounds for one connection: what its user set, else what its type says, else these."""
        return dataclasses.replace(
            self,
            in_flight=tuning.concurrency or card.concurrency or self.in_flight,
            rate_per_s=tuning.rate_per_s or card.rate_per_s or self.rate_per_s,
            retry_for_s=tuning.retry_for_s or self.retry_for_s,
        )
