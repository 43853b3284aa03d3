"""A reader of the embedded warehouse, such as a dashboard: sees when a row can be queried first."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import duckdb

from headwater.app.bench.parts import Figures, tell

_EVERY_S: Final = 0.05

# Of a webhook the click is watched; Email Delivered, which is derived from it, is in the same batch or the next.
_SEEN: Final = {
    "webhook": "select context_traits_email from activecampaign.tracks where event_text = 'Email Link Clicked'",
    "track": "select id from website.tracks",
}


def part(*, views: str, count: int, deadline_s: float) -> Figures:
    """Return when each number was seen first, by stream; ends when all were, or `deadline_s` after it began."""
    seen: dict[str, dict[int, float]] = {name: {} for name in _SEEN}
    warehouse = _Warehouse(Path(views))
    tell({"began": time.monotonic()})
    deadline = time.monotonic() + deadline_s
    while any(len(numbers) < count for numbers in seen.values()) and time.monotonic() < deadline:
        began = time.monotonic()
        for name, sql in _SEEN.items():
            found, at = warehouse.ask(sql), time.monotonic()
            for text in found:
                seen[name].setdefault(_number(text), at)
        time.sleep(max(0.0, _EVERY_S - (time.monotonic() - began)))
    return seen


class _Warehouse:
    """A connection that is made anew when the views were replaced, as tables and columns are added."""

    def __init__(self, views: Path) -> None:
        self._views = views
        self._made = 0
        self._connection: duckdb.DuckDBPyConnection | None = None

    def ask(self, sql: str) -> list[str]:
        """Return the texts of one column; none while the table is not there."""
        try:
            made = self._views.stat().st_mtime_ns
            if self._connection is None or made != self._made:
                self._close()  # DuckDB gives one file one instance: an open one would show the old views
                self._connection = duckdb.connect(str(self._views), read_only=True, config={"threads": 1})
                self._made = made
            return [row[0] for row in self._connection.execute(sql).fetchall()]
        except (FileNotFoundError, duckdb.Error):
            self._close()
            return []

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _number(text: str) -> int:
    return int(text.partition("-")[2].partition("@")[0])
