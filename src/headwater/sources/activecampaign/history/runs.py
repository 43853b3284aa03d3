"""Back-fills and reconciliations, and how far each has come, in a SQLite file: after a crash they go on.

A page is put into the inbox first and marked here afterwards. What is put in twice is known to the ledger.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, Final

import msgspec

from headwater import sqlite
from headwater.errors import ConflictError, NotFoundError
from headwater.sources.activecampaign.history.run import Open, Part, Reading, Run, RunKind, RunState, Spent
from headwater.sources.activecampaign.records import CampaignNote

RUNS_MAX: Final = 100  # ours, of a kind and connection: older ones that have ended are forgotten

_SCHEMA: Final = """
create table if not exists runs (
    id text primary key,
    number integer not null,
    connection_id text not null,
    source_id text not null,
    kind text not null,
    state text not null,
    line text not null
) strict, without rowid;
create index if not exists runs_of_connection on runs (connection_id, number);
create table if not exists campaigns (
    run_id text not null references runs (id) on delete cascade,
    position integer not null,
    campaign_id text not null,
    note text not null,
    done integer not null,
    primary key (run_id, position)
) strict, without rowid;
create table if not exists readings (
    run_id text not null references runs (id) on delete cascade,
    position integer not null,
    step integer not null,
    line text not null,
    done integer not null,
    primary key (run_id, position, step)
) strict, without rowid;
create table if not exists looks (
    connection_id text not null,
    source_id text not null,
    since text not null,
    looked_at text not null,
    primary key (connection_id, source_id)
) strict, without rowid;
create table if not exists marks (
    connection_id text not null,
    source_id text not null,
    campaign_id text not null,
    report text not null,
    line text not null,
    primary key (connection_id, source_id, campaign_id, report)
) strict, without rowid;
create table if not exists comparisons (
    connection_id text not null,
    source_id text not null,
    campaign_id text not null,
    sent_at text not null,
    line text not null,
    primary key (connection_id, source_id, campaign_id)
) strict, without rowid;
"""

_encode: Final = msgspec.json.Encoder().encode
_run: Final = msgspec.json.Decoder(Run).decode
_reading: Final = msgspec.json.Decoder(Reading).decode
_note: Final = msgspec.json.Decoder(CampaignNote).decode


class Runs:
    """The file; methods block for a commit and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self.db = sqlite.connect(path)
        self._lock = RLock()
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one commit; nothing of it stays when it raises."""
        with self._lock, sqlite.transaction(self.db):
            yield

    def begin(
        self, connection_id: str, source_id: str, kind: RunKind, *, at: datetime, since: str, campaigns: Sequence[str]
    ) -> Run:
        """Store a new run and return it.

        Raises:
            ConflictError: one of this kind is under way already.
        """
        run = Run(
            id=f"{kind.value}-{at:%Y%m%d}-{secrets.token_hex(4)}",
            connection_id=connection_id,
            source_id=source_id,
            kind=kind,
            state=RunState.WAITING,
            created_at=at,
            since=since,
            campaigns=tuple(campaigns),
            message="It begins as soon as the account answers.",
        )
        with self.transaction():
            if other := self.under_way(connection_id, kind):
                what = "back-fill" if kind is RunKind.BACKFILL else "reconciliation"
                raise ConflictError(
                    f"A {what} of this account is under way ({other.id}); wait for its end or cancel it first."
                )
            number = self.db.execute("select coalesce(max(number), 0) + 1 from runs").fetchone()[0]
            self.db.execute(
                "insert into runs values (?, ?, ?, ?, ?, ?, ?)",
                (run.id, number, connection_id, source_id, kind.value, run.state.value, _encode(run).decode()),
            )
            self._forget_old(connection_id, kind)
        return run

    def _forget_old(self, connection_id: str, kind: RunKind) -> None:
        self.db.execute(
            "delete from runs where connection_id = ? and kind = ? and state not in ('waiting', 'running')"
            " and number <= coalesce((select number from runs where connection_id = ? and kind = ?"
            " order by number desc limit 1 offset ?), 0)",
            (connection_id, kind.value, connection_id, kind.value, RUNS_MAX),
        )

    def under_way(self, connection_id: str, kind: RunKind) -> Run | None:
        """Return the run of a kind that has not ended, None when there is none."""
        row = self._one(
            "select line from runs where connection_id = ? and kind = ? and state in ('waiting', 'running')"
            " order by number desc limit 1",
            (connection_id, kind.value),
        )
        return _run(row[0]) if row else None

    def unfinished(self) -> list[Run]:
        """Return every run that has not ended, oldest first."""
        return self._runs("select line from runs where state in ('waiting', 'running') order by number", ())

    def of(self, connection_id: str, count: int) -> list[Run]:
        """Return the newest runs of a connection, newest first."""
        return self._runs(
            "select line from runs where connection_id = ? order by number desc limit ?", (connection_id, count)
        )

    def latest(self, connection_id: str, kind: RunKind) -> Run | None:
        """Return the newest run of a kind."""
        row = self._one(
            "select line from runs where connection_id = ? and kind = ? order by number desc limit 1",
            (connection_id, kind.value),
        )
        return _run(row[0]) if row else None

    def run(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            NotFoundError: there is none of this id.
        """
        row = self._one("select line from runs where id = ?", (run_id,))
        if row is None:
            raise NotFoundError("There is no such run; the list of runs names those that are remembered.")
        return _run(row[0])

    def change(self, run_id: str, **fields: Any) -> Run:
        """Set fields of a run that has not ended and return it; one that has ended stays as it is."""
        with self.transaction():
            return self._change(run_id, **fields)

    def _change(self, run_id: str, **fields: Any) -> Run:
        run = self.run(run_id)
        if run.state.is_over:
            return run
        changed = msgspec.structs.replace(run, **fields)
        self.db.execute(
            "update runs set state = ?, line = ? where id = ?",
            (changed.state.value, _encode(changed).decode(), run_id),
        )
        return changed

    def plan(self, run_id: str, parts: Iterable[Part], **fields: Any) -> Run:
        """Settle what a run reads, once; a campaign without readings is finished at once."""
        with self.transaction():
            count = 0
            for position, part in enumerate(parts):
                self.db.execute(
                    "insert into campaigns values (?, ?, ?, ?, 0)",
                    (run_id, position, part.note.id, _encode(part.note).decode()),
                )
                self.db.executemany(
                    "insert into readings values (?, ?, ?, ?, 0)",
                    [(run_id, position, step, _encode(reading).decode()) for step, reading in enumerate(part.readings)],
                )
                count += 1
            return self._change(run_id, planned=True, total=count, **fields)

    def open_campaigns(self, run_id: str) -> list[Open]:
        """Return the campaigns of a run that are not finished, in order."""
        with self._lock:
            campaigns = self.db.execute(
                "select position, note from campaigns where run_id = ? and not done order by position", (run_id,)
            ).fetchall()
            left: dict[int, list[tuple[int, Reading]]] = {}
            for position, step, line in self.db.execute(
                "select position, step, line from readings where run_id = ? and not done order by position, step",
                (run_id,),
            ):
                left.setdefault(position, []).append((step, _reading(line)))
        return [Open(position, _note(note), tuple(left.get(position, ()))) for position, note in campaigns]

    def readings(self, run_id: str) -> list[tuple[str, Reading]]:
        """Return every reading of a run with the id of its campaign, finished or not, in order."""
        with self._lock:
            rows = self.db.execute(
                "select campaign_id, line from readings join campaigns using (run_id, position) where run_id = ?"
                " order by position, step",
                (run_id,),
            ).fetchall()
        return [(campaign_id, _reading(line)) for campaign_id, line in rows]

    def rows_left(self, run_id: str) -> int:
        """Return how many rows the counters promise that were not read yet."""
        with self._lock:
            rows = self.db.execute("select line from readings where run_id = ? and not done", (run_id,)).fetchall()
        return sum(max(reading.expected - reading.rows, 0) for reading in (_reading(line) for (line,) in rows))

    def mark(self, run_id: str, place: tuple[int, int], reading: Reading, spent: Spent, *, done: bool = False) -> Run:
        """Keep how far a report was read, and what it took.

        Args:
            run_id: whose.
            place: position of the campaign and step in it.
            reading: as it stands now; everything before `next_page` is in the inbox.
            spent: since the last mark of this reading.
            done: whether the report is finished.
        """
        with self.transaction():
            self.db.execute(
                "update readings set line = ?, done = ? where run_id = ? and position = ? and step = ?",
                (_encode(reading).decode(), done, run_id, *place),
            )
            return self._spend(run_id, spent)

    def spend(self, run_id: str, spent: Spent) -> Run:
        """Count rows and calls that belong to no report."""
        with self.transaction():
            return self._spend(run_id, spent)

    def _spend(self, run_id: str, spent: Spent) -> Run:
        run = self.run(run_id)
        return self._change(
            run_id,
            rows=run.rows + spent.rows,
            calls=run.calls + spent.calls,
            calls_min=run.calls_min + spent.calls_min,
        )

    def finish_campaign(self, run_id: str, position: int, **fields: Any) -> Run:
        """Mark a campaign as finished, whatever is left of it."""
        with self.transaction():
            for table in ("campaigns", "readings"):
                self.db.execute(f"update {table} set done = 1 where run_id = ? and position = ?", (run_id, position))  # noqa: S608 - two names of our own
            done = self.db.execute("select count(*) from campaigns where run_id = ? and done", (run_id,)).fetchone()[0]
            return self._change(run_id, done=done, **fields)

    def _one(self, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with self._lock:
            found: tuple[Any, ...] | None = self.db.execute(statement, values).fetchone()
        return found

    def _runs(self, statement: str, values: tuple[Any, ...]) -> list[Run]:
        with self._lock:
            rows = self.db.execute(statement, values).fetchall()
        return [_run(line) for (line,) in rows]
