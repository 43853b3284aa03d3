"""Questions about what sources have sent, from any process; each is a SQLite read, and opens the file anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from headwater import clock as wall
from headwater import sqlite
from headwater.clock import Clock
from headwater.observing.book import FILE, Book

DAYS_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class Collection:
    """One kind of event that a source has sent; times are ISO 8601.

    Attributes:
        count: since it was first seen; `recent` and `blocked` in the days that were asked about.
        blocked: by code.
    """

    kind: str
    name: str
    count: int
    first_seen: str
    last_seen: str
    archived: bool
    fields: int
    recent: int
    blocked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an event, or a trait."""

    field: str
    types: tuple[str, ...]
    count: int
    omitted: int
    first_seen: str
    last_seen: str


@dataclass(frozen=True, slots=True)
class Broken:
    """One violation over some days; `seq` is the newest event in the log that has it."""

    kind: str
    name: str
    field: str
    type: str
    description: str
    count: int
    seq: int
    last_at: str


class Seen:
    """What is known of all sources; nothing before the first event was looked at."""

    def __init__(self, directory: Path, clock: Clock = wall.now) -> None:
        """Take the directory of state."""
        self._path, self._clock = directory / FILE, clock

    def collections(self, source_id: str, days: int = 7) -> list[Collection]:
        """Return the collections of a source, by kind and name."""
        since = self._first(days)
        asked = {"source": source_id, "since": since}
        recent: dict[tuple[str, str], dict[str, int]] = {}
        for kind, name, code, count in self._rows(
            "select kind, name, code, sum(count) from days where source_id = :source and day >= :since"
            " group by 1, 2, 3",
            asked,
        ):
            recent.setdefault((kind, name), {})[code] = count
        rows = self._rows(
            "select c.kind, c.name, c.count, first_seen, last_seen, archived, (select count(*) from fields f where"
            " (f.source_id, f.kind, f.name) = (c.source_id, c.kind, c.name)) from collections c"
            " where source_id = :source order by c.kind, c.name",
            asked,
        )
        return [_collection(row, recent.get((row[0], row[1]), {})) for row in rows]

    def properties(self, source_id: str, kind: str, name: str) -> list[Property]:
        """Return the properties of one collection, by name."""
        rows = self._rows(
            "select field, types, count, omitted, first_seen, last_seen from fields"
            " where source_id = :source and kind = :kind and name = :name order by field",
            {"source": source_id, "kind": kind, "name": name},
        )
        return [Property(field, tuple(types.split(",")), *rest) for field, types, *rest in rows]

    def more(self, source_id: str, kind: str = "", name: str = "") -> int:
        """Return how many events had a name beyond the bound: of collections, or of properties of one."""
        rows = self._rows(
            "select count from more where source_id = :source and kind = :kind and name = :name",
            {"source": source_id, "kind": kind, "name": name},
        )
        return int(rows[0][0]) if rows else 0

    def violations(self, source_ids: Sequence[str], days: int = 7) -> list[tuple[str, Broken]]:
        """Return what did not fit, by source id; most frequent first."""
        found = []
        for source_id in source_ids:
            rows = self._rows(
                "select kind, name, field, type, max(description), sum(count), max(seq), max(last_at) from violations"
                " where source_id = :source and day >= :since group by 1, 2, 3, 4",
                {"source": source_id, "since": self._first(days)},
            )
            found += [(source_id, Broken(*row)) for row in rows]
        return sorted(found, key=lambda each: (-each[1].count, each[1].name, each[1].field, each[1].type))

    def trend(self, source_ids: Sequence[str], days: int = 7) -> list[tuple[str, int]]:
        """Return violations by day, oldest first; quiet days are there with 0."""
        counts = dict.fromkeys(self._days(days), 0)
        for source_id in source_ids:
            for day, count in self._rows(
                "select day, sum(count) from violations where source_id = :source and day >= :since group by 1",
                {"source": source_id, "since": self._first(days)},
            ):
                counts[day] = counts.get(day, 0) + count
        return list(counts.items())

    def blocked(self, source_id: str, since: datetime, until: datetime) -> list[tuple[int, str, int]]:
        """Return (minute, code, count) of what the source blocked; minutes are epoch seconds, ascending."""
        return self._rows(
            "select minute, code, count from minutes where source_id = :source and minute >= :since and minute < :until"
            " order by minute, code",
            {"source": source_id, "since": int(since.timestamp()), "until": int(until.timestamp())},
        )

    def clear(self, source_id: str, kind: str | None = None, name: str | None = None) -> None:
        """Forget what a source has sent; see `Book.clear`."""
        with self._book() as book:
            book.clear(source_id, kind, name)

    def archive(self, source_id: str, kind: str, name: str, *, archived: bool) -> bool:
        """Put a collection aside, or bring it back; return whether there is such."""
        with self._book() as book:
            return book.archive(source_id, kind, name, archived=archived)

    @contextlib.contextmanager
    def _book(self) -> Iterator[Book]:
        # The observer keeps nothing of the file in memory, so that a second writer only waits for its turn.
        book = Book(self._path)
        try:
            yield book
        finally:
            book.close()

    def _rows(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        if not self._path.exists():
            return []
        with contextlib.closing(sqlite.connect(self._path, read_only=True)) as connection:
            try:
                return list(connection.execute(sql, values))
            except sqlite.OperationalError as error:
                if "no such table" in str(error):  # it is being made
                    return []
                raise

    def _first(self, days: int) -> str:
        return self._days(days)[0]

    def _days(self, days: int) -> list[str]:
        today = self._clock().astimezone(UTC).date()
        return [(today - timedelta(days=ago)).isoformat() for ago in range(days - 1, -1, -1)]


def _collection(row: Sequence[Any], recent: Mapping[str, int]) -> Collection:
    kind, name, count, first_seen, last_seen, archived, fields = row
    blocked = {code: number for code, number in recent.items() if code}
    return Collection(kind, name, count, first_seen, last_seen, bool(archived), fields, recent.get("", 0), blocked)
