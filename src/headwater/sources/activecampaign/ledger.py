"""What is known of every occurrence, so that each becomes one event however often and by whomever it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.contract import Origin


@dataclass(frozen=True, slots=True)
class Count:
    """How much is known of one kind in one campaign.

    Attributes:
        persons: different contacts.
        links: different pairs of contact and link; for other kinds than clicks the same as `persons`.
        total: occurrences.
    """

    persons: int
    links: int
    total: int


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The newest event: its name, when it happened, when that arrived, and how."""

    event: str
    at: datetime
    received_at: datetime
    origin: Origin


class Ledger:
    """The occurrences of all sources in one SQLite file; one thread writes, any thread may ask for counts."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self._path = path

    def counts(self, source_id: str) -> dict[str, dict[Kind, Count]]:
        """Return what is known, by campaign and kind."""
        raise NotImplementedError

    def last(self, source_id: str) -> LastEvent | None:
        """Return the newest event of a source, None before the first."""
        raise NotImplementedError

    def arrived(self, source_id: str) -> int:
        """Return how many webhooks were taken so far, whatever they meant."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError
