"""What a back-fill or a reconciliation is, and how far it has come, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from headwater.sources.activecampaign.records import CampaignNote, Report


class RunKind(StrEnum):
    """Why reports are read."""

    BACKFILL = "backfill"
    RECONCILIATION = "reconciliation"


class RunState(StrEnum):
    """How a run does; `WAITING`: not begun yet, or the account does not answer just now."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing of it follows."""
        return self in {RunState.DONE, RunState.FAILED, RunState.CANCELLED}


class Run(msgspec.Struct, frozen=True):
    """One back-fill or reconciliation.

    Attributes:
        since: ISO 8601 with zone: what happened before is not wanted; "" for everything.
        campaigns: the only ones that were asked for, () for all.
        planned: whether its campaigns are settled.
        total, done: campaigns.
        rows: read so far.
        calls: requests to the account while it was carried, live look-ups included.
        calls_min: the least for the same pages, without contacts.
        known_before: occurrences that were known when it began; `filled` came in since.
        message: what it does or why it ended, for people.
        notes: sentences: campaigns that could not be read.
    """

    id: str
    connection_id: str
    source_id: str
    kind: RunKind
    state: RunState
    created_at: datetime
    since: str = ""
    campaigns: tuple[str, ...] = ()
    planned: bool = False
    total: int = 0
    done: int = 0
    rows: int = 0
    calls: int = 0
    calls_min: int = 0
    known_before: int = 0
    filled: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""
    notes: tuple[str, ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """One report of one campaign, as far as it was read.

    Attributes:
        expected: rows that the counter promises; fewer may mean that the list shifted while it was read.
        counter: the account's counter when the reading was planned.
        next_page: the first that is not in the inbox yet.
        pages, rows: of this attempt, without rows that a shifting list showed twice.
        rows_twice: those.
        old_rows: rows before the run's `since`.
        attempt: 1, 2, …: a list that came short is read again.
        known: how much of it was known when the reading was planned.
        is_complete: whether it was read to its end.
    """

    report: Report
    expected: int = 0
    counter: int = 0
    next_page: int = 1
    pages: int = 0
    rows: int = 0
    rows_twice: int = 0
    old_rows: int = 0
    attempt: int = 1
    known: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What a run reads of one campaign; `readings` in the order in which they are read."""

    note: CampaignNote
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """A campaign that is not finished, with what is left of it.

    Attributes:
        position: of the campaign in the run.
        left: step and reading of each report that is not finished.
    """

    position: int
    note: CampaignNote
    left: tuple[tuple[int, Reading], ...] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """Rows that were read, requests that the account got, and the least that the same pages take."""

    rows: int = 0
    calls: int = 0
    calls_min: int = 0
