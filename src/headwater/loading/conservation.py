"""The law of conservation, held against the journal: what a warehouse has passed is counted once, also after a crash.

Sequences of the log have no gaps, so that what was passed can be told without reading it: events stored are those that
were loaded, filtered, suppressed or missed, and those that are still to come.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater import sqlite
from headwater.loading import standings

FILE: Final = "loading.sqlite"
"""The journal's name in the data directory."""


@dataclass(frozen=True, slots=True)
class Account:
    """One warehouse: how many events it has passed since counting began, and how many of them are counted."""

    warehouse_id: str
    passed: int
    counted: int

    @property
    def is_well(self) -> bool:
        """Nothing was passed without being counted, and nothing was counted twice."""
        return self.passed == self.counted


def accounts(directory: Path) -> list[Account]:
    """Return every warehouse's account, also while the engine runs or nothing does.

    Args:
        directory: the data directory; without a journal in it nothing was loaded yet.

    Raises:
        sqlite.Error: the journal cannot be read.
        ConfigError: this SQLite is too old.
    """
    if not (directory / FILE).exists():
        return []
    with contextlib.closing(sqlite.connect(directory / FILE, read_only=True)) as connection:
        ids = [row[0] for row in connection.execute("select warehouse_id from standings order by warehouse_id")]
        found = [(each, standings.get(connection, each)) for each in ids]
    return [
        Account(warehouse_id, standing.position - standing.since, standing.counted)
        for warehouse_id, standing in found
        if standing is not None
    ]
