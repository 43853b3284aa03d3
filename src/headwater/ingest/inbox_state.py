"""What the mapper remembers beside its cursor: what could not be mapped, what is to go, who may hold events back.

The list of what could not be mapped follows the log's `rejected` topic: it can be lost and is read again from there.
What was mapped later is marked here alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from headwater import sqlite
from headwater.eventlog.contract import Reader, Topic
from headwater.ingest.inbox_records import QUARANTINED
from headwater.spec.event import Batch

_SCHEMA: Final = """
create table if not exists unmapped (
    inbox_seq integer primary key,
    source_id text not null,
    received_at text not null,
    reason text not null,
    is_settled integer not null default 0
) strict;
create table if not exists followed (cursor integer not null) strict;
create table if not exists withheld (inbox_seq integer primary key) strict;
create table if not exists remembering (source_id text primary key) strict, without rowid;
"""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record of the inbox that could not be mapped: where it stands, whose it is, when it arrived, and why."""

    inbox_seq: int
    source_id: str
    received_at: datetime
    reason: str


class InboxState:
    """One SQLite file beside the cursors; written by the mapper's process, from any of its threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self._db, self._lock = sqlite.connect(path), threading.Lock()
        self._db.executescript(_SCHEMA)

    def follow(self, reader: Reader) -> None:
        """Take over what the log's `rejected` topic tells beyond what was read."""
        with self._lock:
            row = self._db.execute("select cursor from followed").fetchone()
            cursor = row[0] if row else 0
            if cursor > reader.end(Topic.REJECTED):  # an older copy of the log
                cursor = 0
            while (batch := reader.read(Topic.REJECTED, cursor)).next_cursor > cursor:
                cursor = batch.next_cursor
                self._take_over(batch)

    def _take_over(self, batch: Batch) -> None:
        found = [
            (event.body["inboxSeq"], event.source_id, event.body["receivedAt"], event.body["message"])
            for event in batch.events()
            if event.body.get("code") == QUARANTINED and "inboxSeq" in event.body
        ]
        with sqlite.transaction(self._db):
            self._db.executemany(
                "insert into unmapped (inbox_seq, source_id, received_at, reason) values (?, ?, ?, ?)"
                " on conflict do nothing",
                found,
            )
            self._db.execute("delete from followed")
            self._db.execute("insert into followed values (?)", (batch.next_cursor,))

    def forget_before(self, inbox_start: int) -> None:
        """Forget records that retention took: their bytes are gone."""
        with self._lock:
            for table in ("unmapped", "withheld"):
                self._db.execute(f"delete from {table} where inbox_seq < ?", (inbox_start,))  # noqa: S608 - ours

    def forget_all(self) -> None:
        """Begin again with an older copy of the log, in which places of the inbox mean other webhooks."""
        with self._lock:
            for table in ("unmapped", "withheld", "followed"):
                self._db.execute(f"delete from {table}")  # noqa: S608 - our own names

    def withhold(self, seqs: Iterable[int]) -> None:
        """Remember webhooks of people who are suppressed: they are to leave the inbox."""
        with self._lock, sqlite.transaction(self._db):
            self._db.executemany("insert into withheld values (?) on conflict do nothing", [(seq,) for seq in seqs])

    def withheld(self, cursor: int, count: int) -> list[int]:
        """Return the oldest of those before a place in the inbox."""
        with self._lock:
            rows = self._db.execute(
                "select inbox_seq from withheld where inbox_seq < ? order by inbox_seq limit ?", (cursor, count)
            ).fetchall()
        return [seq for (seq,) in rows]

    def swept(self, upto: int) -> None:
        """Forget those up to a place: they are gone."""
        with self._lock:
            self._db.execute("delete from withheld where inbox_seq <= ?", (upto,))

    def listed(self, seqs: Collection[int]) -> set[int]:
        """Return which of these are in the list, or were until they were mapped."""
        with self._lock:
            return {
                seq for seq in seqs if self._db.execute("select 1 from unmapped where inbox_seq = ?", (seq,)).fetchone()
            }

    def newest(self, source_ids: Sequence[str] | None, count: int) -> list[Quarantined]:
        """Return what could not be mapped, newest first; None for all sources."""
        return self._open("order by inbox_seq desc limit ?", source_ids, (count,))

    def find(self, seq: int) -> Quarantined | None:
        """Return what could not be mapped and stands at a place in the inbox, None where that is not so."""
        return next(iter(self._open("and inbox_seq = ?", None, (seq,))), None)

    def oldest(self, source_ids: Sequence[str] | None, after: int, count: int) -> list[Quarantined]:
        """Return what could not be mapped and stands behind a place in the inbox, oldest first."""
        return self._open("and inbox_seq > ? order by inbox_seq limit ?", source_ids, (after, count))

    def _open(self, rest: str, source_ids: Sequence[str] | None, values: tuple[Any, ...]) -> list[Quarantined]:
        wanted = None if source_ids is None else json.dumps(list(source_ids))
        with self._lock:
            rows = self._db.execute(
                "select inbox_seq, source_id, received_at, reason from unmapped"  # noqa: S608 - our own clauses
                f" where is_settled = 0 and (? is null or source_id in (select value from json_each(?))) {rest}",
                (wanted, wanted, *values),
            ).fetchall()
        return [Quarantined(seq, id_, datetime.fromisoformat(at), reason) for seq, id_, at, reason in rows]

    def settle(self, seqs: Iterable[int]) -> None:
        """Take these off the list: they were mapped."""
        with self._lock:
            self._db.executemany("update unmapped set is_settled = 1 where inbox_seq = ?", [(seq,) for seq in seqs])

    def remembering(self) -> Sequence[str]:
        """Return the sources that were ever mapped with a memory, which may hold events back."""
        with self._lock:
            return [source_id for (source_id,) in self._db.execute("select source_id from remembering").fetchall()]

    def remember(self, source_id: str) -> None:
        """Add one."""
        with self._lock:
            self._db.execute("insert into remembering values (?) on conflict do nothing", (source_id,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
