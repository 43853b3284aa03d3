"""What the ledger takes and gives: a round's settlement, a lane's place and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.delivery.fate import Dead, Done, Fate, Filtered, Item, Waiting


@dataclass(frozen=True, slots=True)
class Move:
    """A lane's cursor goes from `cursor` to `next_cursor`, past `read` events of its source.

    Attributes:
        missed: sequences between the two that the log could not give any more.
    """

    lane: int
    cursor: int
    next_cursor: int
    read: int
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one round leads to; its events by kind of fate are in `done`, `filtered`, `waiting` and `dead`.

    Attributes:
        move: set for a round that read the log, None for one of retries.
        paused: why the connection pauses from now on.
        is_ordered: each user's waiting events are tried one after the other, oldest first.
        overtaken: events of it that a later one of the same user went before.
    """

    connection: str
    fates: Sequence[tuple[Item, Fate]]
    move: Move | None = None
    paused: str | None = None
    revision: str = ""
    is_ordered: bool = False
    overtaken: int = 0
    done: Sequence[tuple[Item, Done]] = field(init=False, repr=False)
    filtered: Sequence[tuple[Item, Filtered]] = field(init=False, repr=False)
    waiting: Sequence[tuple[Item, Waiting]] = field(init=False, repr=False)
    dead: Sequence[tuple[Item, Dead]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sort the fates once: everything that is counted or stored is asked of one kind."""
        by_kind: dict[type[Fate], list[tuple[Item, Fate]]] = {Done: [], Filtered: [], Waiting: [], Dead: []}
        for pair in self.fates:
            by_kind[type(pair[1])].append(pair)
        for kind, name in ((Done, "done"), (Filtered, "filtered"), (Waiting, "waiting"), (Dead, "dead")):
            object.__setattr__(self, name, by_kind[kind])


@dataclass(frozen=True, slots=True)
class Lane:
    """A stretch of the log on its way to a connection: begun at `first`, read up to `cursor`, ends before `until`.

    The live one has no end; a backlog is what the live one jumped over; a replay has a selection.
    """

    id: int
    connection: str
    source: str
    first: int
    cursor: int
    until: int | None = None
    selection: str | None = None
    started_at: float = 0.0
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The counters of one lane; `holds` is the law of conservation."""

    read: int
    delivered_first: int
    delivered_retry: int
    dropped: int
    missed: int
    waiting: int
    dead: int
    expired: int = 0
    filtered: dict[str, int] = field(default_factory=dict)

    def plus(self, other: Balance) -> Balance:
        """Return the counters of both together."""
        reasons = self.filtered.keys() | other.filtered.keys()
        filtered = {reason: self.filtered.get(reason, 0) + other.filtered.get(reason, 0) for reason in sorted(reasons)}
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Balance(**counts, filtered=filtered)

    @property
    def holds(self) -> bool:
        """Every event that was read is in exactly one place."""
        delivered = self.delivered_first + self.delivered_retry
        return (
            self.read
            == delivered + sum(self.filtered.values()) + self.waiting + self.dead + self.dropped + self.expired
        )


_COUNTS: Final = ("read", "delivered_first", "delivered_retry", "dropped", "missed", "waiting", "dead", "expired")


@dataclass(frozen=True, slots=True)
class Pause:
    """Why and since when (epoch seconds) a connection rests, and which settings were refused."""

    reason: str
    since: float
    revision: str
