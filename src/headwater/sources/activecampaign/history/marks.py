"""What was compared before: the account's counters then, what nobody can fill in, and the report for people.

Kept for each connection and source: a connection that writes to another source begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from headwater.sources.activecampaign.history.runs import Runs
from headwater.sources.activecampaign.records import Report


class Mark(msgspec.Struct, frozen=True):
    """How a counter stood when its report was read to the end, or when the account was seen for the first time.

    Attributes:
        counter: the account's.
        gap: how many of it cannot come: they lie before the account was connected, or the report does not have them.
        read_at: None for a first look, at which nothing was read.
        missing_rows: how many fewer rows the report had than the counter says.
        old_rows: rows of the report that lie before `since`.
        filled: how much came in by the last reading.
    """

    counter: int
    gap: int = 0
    read_at: datetime | None = None
    missing_rows: int = 0
    old_rows: int = 0
    filled: int = 0


class Look(msgspec.Struct, frozen=True):
    """Since when a connection is compared: `since` ISO 8601 with zone, "" once all of history was back-filled."""

    since: str
    looked_at: datetime


_TABLES: Final = ("looks", "marks", "comparisons")

_encode: Final = msgspec.json.Encoder().encode
_mark: Final = msgspec.json.Decoder(Mark).decode


class Marks:
    """The marks of one connection and source, in the file of the runs."""

    def __init__(self, runs: Runs, connection_id: str, source_id: str) -> None:
        self._runs, self._key = runs, (connection_id, source_id)

    def look(self) -> Look | None:
        """Return the last look, None before the first."""
        row = self._rows("select since, looked_at from looks where connection_id = ? and source_id = ?")
        return Look(row[0][0], datetime.fromisoformat(row[0][1])) if row else None

    def looked(self, look: Look, marks: Mapping[tuple[str, Report], Mark], comparisons: Sequence[Any]) -> None:
        """Keep a look: new marks, and the comparisons (JSON objects with `id` and `sentAt`) of some campaigns."""
        with self._runs.transaction():
            db = self._runs.db
            db.execute(
                "insert or replace into looks values (?, ?, ?, ?)", (*self._key, look.since, look.looked_at.isoformat())
            )
            self._put(marks)
            db.executemany(
                "insert or replace into comparisons values (?, ?, ?, ?, ?)",
                [(*self._key, each["id"], each["sentAt"] or "", _encode(each).decode()) for each in comparisons],
            )

    def reaches_back_to(self, since: str) -> None:
        """Note that a back-fill of all campaigns has brought everything since an instant, "" for everything."""
        with self._runs.transaction():
            self._runs.db.execute(
                "update looks set since = min(since, ?) where connection_id = ? and source_id = ?", (since, *self._key)
            )

    def _put(self, marks: Mapping[tuple[str, Report], Mark]) -> None:
        self._runs.db.executemany(
            "insert or replace into marks values (?, ?, ?, ?, ?)",
            [(*self._key, id_, report.value, _encode(mark).decode()) for (id_, report), mark in marks.items()],
        )

    def backfilled(self, marks: Mapping[tuple[str, Report], Mark]) -> None:
        """Keep new marks of what a back-fill has read."""
        with self._runs.transaction():
            self._put(marks)

    def reopen(self) -> None:
        """Let everything be compared anew, because what is known was partly lost."""
        with self._runs.transaction():
            self._put({key: msgspec.structs.replace(mark, counter=-1, gap=0) for key, mark in self.all().items()})

    def forget_other_sources(self) -> None:
        """Begin anew where the connection sent before: what happened since is another source's."""
        with self._runs.transaction():
            for table in _TABLES:
                self._runs.db.execute(f"delete from {table} where connection_id = ? and source_id <> ?", self._key)  # noqa: S608 - three names of our own

    def forget(self) -> None:
        """Begin anew: the account was switched off, and what happened meanwhile is not wanted."""
        with self._runs.transaction():
            for table in _TABLES:
                self._runs.db.execute(f"delete from {table} where connection_id = ? and source_id = ?", self._key)  # noqa: S608 - three names of our own

    def all(self) -> dict[tuple[str, Report], Mark]:
        """Return the marks by campaign and report."""
        rows = self._rows("select campaign_id, report, line from marks where connection_id = ? and source_id = ?")
        return {(campaign_id, Report(report)): _mark(line) for campaign_id, report, line in rows}

    def comparisons(self, count: int) -> list[Any]:
        """Return the comparisons as they were kept, of the campaigns that were sent last."""
        rows = self._rows(
            "select line from comparisons where connection_id = ? and source_id = ?"
            " order by sent_at desc, campaign_id limit ?",
            count,
        )
        return [msgspec.json.decode(line) for (line,) in rows]

    def _rows(self, statement: str, *more: int) -> list[tuple[Any, ...]]:
        with self._runs.transaction():
            found: list[tuple[Any, ...]] = self._runs.db.execute(statement, (*self._key, *more)).fetchall()
        return found
