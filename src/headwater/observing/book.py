"""What sources have sent, as it is kept: a SQLite file that one process writes in, with the place in the log.

What is counted and the place are one commit, so that each event counts once, whatever crashes. The file can be
deleted: it is counted again from the log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from headwater import sqlite
from headwater.observing.findings import Collection, Findings

FILE: Final = "observing.sqlite"
"""Its name in the directory of state."""

COLLECTIONS_MAX: Final = 4_000  # Segment, a source
FIELDS_MAX: Final = 300  # Segment, an event, and the traits of a source
VIOLATIONS_MAX: Final = 2_000  # ours, a source and day: different ones
KEPT: Final = timedelta(days=31)  # ours: of what is counted by day; Segment shows 30 days
OTHER: Final = "(other)"
"""Counts for violations beyond the bound."""

_EVENTS: Final = "events"
_NAMES: Final = ("collections", "fields", "more", "days", "violations")


class Book:
    """The file, for the one that writes; a connection that only reads is `observing.seen`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite.connect(path)
        self._database.execute("pragma synchronous = normal")  # counts: a power cut costs the last ones, not the log
        self._database.executescript(files("headwater.observing").joinpath("book.sql").read_text())
        self._lock = threading.Lock()
        self._forgotten_on = ""

    def place(self) -> int | None:
        """Return the sequence that is looked at next, None before the first time."""
        with self._lock:
            found = self._database.execute("select cursor from places where name = ?", (_EVENTS,)).fetchone()
        return None if found is None else int(found[0])

    def write(self, findings: Findings, cursor: int, now: datetime) -> None:
        """Add what was found, and note where the next batch begins."""
        with self._lock, sqlite.transaction(self._database):
            self._add_collections(findings)
            self._add_fields(findings)
            self._add_days(findings)
            self._add_violations(findings)
            self._database.execute("insert or replace into places values (?, ?)", (_EVENTS, cursor))
            self._forget(now)

    def clear(self, source_id: str, kind: str | None = None, name: str | None = None) -> None:
        """Forget what a source has sent, or one collection of it; it is seen anew when it comes again."""
        where, values = "source_id = ?", [source_id]
        for column, value in (("kind", kind), ("name", name)):
            if value is not None:
                where, values = f"{where} and {column} = ?", [*values, value]
        with self._lock, sqlite.transaction(self._database):
            for table in _NAMES:
                self._database.execute(f"delete from {table} where {where}", values)  # noqa: S608 - our own names
            if kind is None:
                self._database.execute("delete from minutes where source_id = ?", (source_id,))

    def archive(self, source_id: str, kind: str, name: str, *, archived: bool) -> bool:
        """Put a collection aside, or bring it back; return whether there is such."""
        with self._lock:
            found = self._database.execute(
                "update collections set archived = ? where source_id = ? and kind = ? and name = ?",
                (archived, source_id, kind, name),
            )
        return bool(found.rowcount)

    def names_holding(self, source_ids: Iterable[str], texts: Iterable[str]) -> int:
        """Return how many kept names of some sources hold one of these texts, such as somebody's address."""
        with self._lock:
            return sum(
                self._database.execute(f"select count(*) {about}", asked).fetchone()[0]
                for about, asked in _holding(source_ids, texts)
            )

    def forget_names(self, source_ids: Iterable[str], texts: Iterable[str]) -> int:
        """Forget every name of some sources that holds one of these texts; return how many there were."""
        with self._lock, sqlite.transaction(self._database):
            return sum(
                self._database.execute(f"delete {about}", asked).rowcount
                for about, asked in _holding(source_ids, texts)
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _add_collections(self, findings: Findings) -> None:
        by_source: dict[str, dict[Collection, Any]] = {}
        for collection, times in findings.collections.items():
            by_source.setdefault(collection[0], {})[collection] = times
        for source_id, found in by_source.items():
            there = set(self._database.execute("select kind, name from collections where source_id = ?", (source_id,)))
            room = COLLECTIONS_MAX - len(there)
            for collection, times in found.items():
                if collection[1:] not in there:
                    if room <= 0:
                        self._more(source_id, "", "", times.count)
                        continue
                    room -= 1
                self._database.execute(
                    "insert into collections (source_id, kind, name, count, first_seen, last_seen)"
                    " values (?, ?, ?, ?, ?, ?) on conflict do update set count = count + excluded.count,"
                    " first_seen = min(first_seen, excluded.first_seen),"
                    " last_seen = max(last_seen, excluded.last_seen)",
                    (*collection, times.count, times.first, times.last),
                )

    def _add_fields(self, findings: Findings) -> None:
        by_collection: dict[Collection, dict[str, Any]] = {}
        for (collection, field), found in findings.properties.items():
            by_collection.setdefault(collection, {})[field] = found
        for collection, fields in by_collection.items():
            asked = "select field, types from fields where source_id = ? and kind = ? and name = ?"
            there = dict(self._database.execute(asked, collection))
            if not there and not self._is_there(collection):
                continue  # beyond the bound of collections
            room = FIELDS_MAX - len(there)
            for field, found in fields.items():
                if field not in there:
                    if room <= 0:
                        self._more(*collection, found.count)
                        continue
                    room -= 1
                types = ",".join(sorted({*there.get(field, "").split(","), *found.types} - {""}))
                self._database.execute(
                    "insert into fields (source_id, kind, name, field, count, types, first_seen, last_seen)"
                    " values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set count = count + excluded.count,"
                    " types = excluded.types, first_seen = min(first_seen, excluded.first_seen),"
                    " last_seen = max(last_seen, excluded.last_seen)",
                    (*collection, field, found.count, types, found.first, found.last),
                )
        for (collection, field), count in findings.omitted.items():
            self._database.execute(
                "update fields set omitted = omitted + ? where source_id = ? and kind = ? and name = ? and field = ?",
                (count, *collection, field),
            )

    def _add_days(self, findings: Findings) -> None:
        days: dict[tuple[Collection, str, str], int] = {
            (collection, day, ""): count for (collection, day), count in findings.days.items()
        }
        days |= {(collection, day, str(code)): count for (collection, day, code), count in findings.blocked.items()}
        self._database.executemany(
            "insert into days values (?, ?, ?, ?, ?, ?) on conflict do update set count = count + excluded.count",
            [
                (collection[0], day, *collection[1:], code, count)
                for (collection, day, code), count in days.items()
                if self._is_there(collection)
            ],
        )
        self._database.executemany(
            "insert into minutes values (?, ?, ?, ?) on conflict do update set count = count + excluded.count",
            [(source_id, minute, str(code), count) for (source_id, minute, code), count in findings.minutes.items()],
        )

    def _add_violations(self, findings: Findings) -> None:
        for (broken, day), broke in findings.violations.items():
            source_id, kind, name, field, type_ = broken
            key = [source_id, day, kind, name, field, type_]
            asked = "select count(*) from violations where source_id = ? and day = ?"
            count = self._database.execute(asked, (source_id, day)).fetchone()[0]
            if count >= VIOLATIONS_MAX and not self._is_known_violation(key):
                key[3:] = [OTHER, "", OTHER]
            self._database.execute(
                "insert into violations values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set"
                " count = count + excluded.count, seq = max(seq, excluded.seq),"
                " last_at = max(last_at, excluded.last_at)",
                (*key, broke.description, broke.count, broke.seq, broke.at),
            )

    def _is_known_violation(self, key: Iterable[str]) -> bool:
        asked = "select 1 from violations where (source_id, day, kind, name, field, type) = (?, ?, ?, ?, ?, ?)"
        return self._database.execute(asked, tuple(key)).fetchone() is not None

    def _is_there(self, collection: Collection) -> bool:
        asked = "select 1 from collections where source_id = ? and kind = ? and name = ?"
        return self._database.execute(asked, collection).fetchone() is not None

    def _more(self, source_id: str, kind: str, name: str, count: int) -> None:
        self._database.execute(
            "insert into more values (?, ?, ?, ?) on conflict do update set count = count + excluded.count",
            (source_id, kind, name, count),
        )

    def _forget(self, now: datetime) -> None:
        """Once a day, delete the days that nobody is shown any more."""
        first = (now.astimezone(UTC) - KEPT).date().isoformat()
        if self._forgotten_on == first:
            return
        self._forgotten_on = first
        for table in ("days", "violations"):
            self._database.execute(f"delete from {table} where day < ?", (first,))  # noqa: S608 - our own names
        self._database.execute("delete from minutes where minute < ?", (int((now - KEPT).timestamp()),))


_HOLDING: Final[Mapping[str, tuple[str, ...]]] = {
    "collections": ("name",),
    "fields": ("name", "field"),
    "days": ("name",),
    "more": ("name",),
    "violations": ("name", "field", "description"),
}


def _holding(source_ids: Iterable[str], texts: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the end of a statement, and its values, for each table, source and text."""
    wanted = [text for text in texts if text]
    return [
        (
            f"from {table} where source_id = :source and ({_any_of(columns)})",
            {"source": source_id, "text": text},
        )
        for source_id in source_ids
        for text in wanted
        for table, columns in _HOLDING.items()
    ]


def _any_of(columns: Iterable[str]) -> str:
    return " or ".join(f"instr({column}, :text) > 0" for column in columns)
