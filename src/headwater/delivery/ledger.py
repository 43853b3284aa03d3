"""The ledger of delivery: where each connection stands, and a row for each event that is not finished.

`settle` is the only way an event changes its state: outcomes, retries, dead letters, counters and the cursor move in
one transaction, so that a crash before it means the same stretch of the log is read again, and after it nothing is.
For each lane holds at any time: read = delivered + filtered + waiting + dead + dropped + expired.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater import sqlite
from headwater.delivery.fate import HELD_AT, Dead, Fate, Item, Waiting
from headwater.delivery.order import line_up, user_of
from headwater.delivery.series import Metrics, Series
from headwater.delivery.settlement import Balance, Lane, Move, Pause, Settlement
from headwater.delivery.upgrade import upgrade
from headwater.errors import ConfigError
from headwater.spec.event import Body, Event

FILE: Final = "delivery.sqlite"
_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_WAIT_S_MAX: Final = 4 * 3600.0  # ours: above any wait; what is due later was noted while the clock was ahead
_UNUSABLE: Final = (
    "{file} in the data directory cannot be used ({error}). If the disk is full or read-only, mend that. If the file is"
    " damaged, put a backup in its place, or move it away with its -wal and -shm: every destination then gets what the"
    " log holds for it once more, with the same ids; what waited or was a dead letter is gone with the file."
)
_decode = msgspec.json.Decoder(Body).decode


class Ledger:
    """One SQLite file, one writer; methods block and may be called from any thread."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        try:
            self.db = sqlite.connect(directory / FILE, read_only=read_only)
            if not read_only:
                upgrade(self.db)
                self.db.executescript(_SCHEMA.read_text())
        except sqlite.Error as error:
            raise ConfigError(_UNUSABLE.format(file=FILE, error=error)) from error
        self.series = Series(self.db)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one commit; nothing of it stays when it raises."""
        with self._lock, sqlite.transaction(self.db):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let what is read inside be of one instant."""
        with self._lock:
            self.db.execute("begin")
            try:
                yield
            finally:
                self.db.execute("commit")

    def rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a reading statement finds."""
        with self._lock:
            return list(self.db.execute(statement, values).fetchall())

    def settle(self, settlement: Settlement, now: float) -> Mapping[str, bool]:
        """Commit what a round leads to; all of it or nothing.

        Args:
            settlement: the round's fates, and the cursor's move.
            now: epoch seconds.

        Returns:
            whether something waits now, for each user of an ordered settlement; empty for others.
        """
        return self.settle_all([(settlement, now)])[0]

    def settle_all(self, rounds: Sequence[tuple[Settlement, float]]) -> list[Mapping[str, bool]]:
        """Commit what several rounds lead to; all of it or nothing. As `settle`, one answer a round."""
        with self.transaction():
            return [self._settle(settlement, now) for settlement, now in rounds]

    def live_lane(self, connection: str, source: str, cursor: int, now: float) -> Lane:
        """Return the connection's live lane; a new one starts at `cursor`."""
        with self.transaction():
            self.db.execute("insert or ignore into connection (id) values (?)", (connection,))
            self.db.execute(
                "insert or ignore into lane (connection, source, kind, first, cursor, started_at)"
                " values (?, ?, 'live', ?, ?, ?)",
                (connection, source, cursor, cursor, now),
            )
            return self._lanes("live", connection)[0]

    def live_lanes(self, connection: str) -> list[Lane]:
        """Return the connection's live lane; empty when it is new here."""
        with self._lock:
            return self._lanes("live", connection)

    def connections(self) -> set[str]:
        """Return the connections that something is kept for."""
        with self._lock:
            return {row[0] for row in self.db.execute("select id from connection")}

    def backlogs(self, connection: str) -> list[Lane]:
        """Return what is still to be caught up beside the live lane, oldest first."""
        with self._lock:
            return [lane for lane in self._lanes("backlog", connection) if lane.finished_at is None]

    def replays(self, connection: str) -> list[Lane]:
        """Return the connection's replays, oldest first."""
        with self._lock:
            return self._lanes("replay", connection)

    def lane(self, number: int) -> Lane:
        """Return a lane as it stands."""
        with self._lock:
            row = self.db.execute(
                "select id, connection, source, first, cursor, until, selection, started_at, finished_at"
                " from lane where id = ?",
                (number,),
            ).fetchone()
        return Lane(*row)

    def finish(self, lane: int, now: float) -> None:
        """Mark a replay or a backlog as finished: nothing more is read for it."""
        with self.transaction():
            self.db.execute("update lane set finished_at = ? where id = ? and kind <> 'live'", (now, lane))

    def forget(self, connection: str) -> None:
        """Remove everything that is kept for a connection."""
        with self.transaction():
            for table in ("waiting", "dead", "series"):
                self.db.execute(f"delete from {table} where connection = ?", (connection,))  # noqa: S608 - names of ours
            for table in ("filtered", "expired", "replay"):
                self.db.execute(
                    f"delete from {table} where lane in (select id from lane where connection = ?)",  # noqa: S608 - names of ours
                    (connection,),
                )
            self.db.execute("delete from lane where connection = ?", (connection,))
            self.db.execute("delete from connection where id = ?", (connection,))

    def due(self, connection: str, now: float, limit: int) -> list[Item]:
        """Return what waits and may be tried now, the longest due first; also what only a wrong clock put far off."""
        with self._lock:
            rows = self.db.execute(
                "select id, lane, seq, source, line, attempts, first_at from waiting"
                " where connection = ? and (due_at <= ? or (due_at > ? and due_at < ?)) order by due_at limit ?",
                (connection, now, now + _WAIT_S_MAX, HELD_AT, limit),
            ).fetchall()
        return [
            Item(lane, Event(seq, source, bytes(line), _decode(line)), row, attempts, first_at)
            for row, lane, seq, source, line, attempts, first_at in rows
        ]

    def next_due_at(self, connection: str) -> float | None:
        """Return when (epoch seconds) the first waiting event may be tried, None when none waits."""
        with self._lock:
            found = self.db.execute(
                "select min(due_at) from waiting where connection = ? and due_at < ?", (connection, HELD_AT)
            ).fetchone()
        return None if found[0] is None else float(found[0])

    def waiting_users(self, connection: str) -> set[str]:
        """Return the users who have something waiting, where their order counts."""
        rows = self.rows("select distinct who from waiting where connection = ? and who <> ''", (connection,))
        return {who for (who,) in rows}

    def held_back(self, connection: str) -> int:
        """Return how many events wait behind an earlier one of the same user."""
        rows = self.rows("select count(*) from waiting where connection = ? and due_at >= ?", (connection, HELD_AT))
        return int(rows[0][0])

    def overtaken(self, connection: str) -> int:
        """Return how many events were delivered after a later one of the same user."""
        rows = self.rows("select overtaken from connection where id = ?", (connection,))
        return int(rows[0][0]) if rows else 0

    def pause(self, connection: str) -> Pause | None:
        """Return why the connection rests, None when it does not."""
        with self._lock:
            row = self.db.execute(
                "select paused_reason, paused_at, paused_revision from connection"
                " where id = ? and paused_reason is not null",
                (connection,),
            ).fetchone()
        return Pause(*row) if row else None

    def paused(self) -> set[str]:
        """Return the connections that rest."""
        return {row[0] for row in self.rows("select id from connection where paused_reason is not null")}

    def resume(self, connection: str, now: float) -> None:
        """End a pause; what waits may be tried at once, and its retry time starts anew."""
        with self.transaction():
            self.db.execute("update connection set paused_reason = null where id = ?", (connection,))
            self.db.execute(
                "update waiting set due_at = ?, first_at = case when first_at is null then null else ? end"
                " where connection = ? and due_at < ?",
                (now, now, connection, HELD_AT),
            )

    def balance(self, lane: int) -> Balance:
        """Return the lane's counters, and the rows that stand for it, at one instant."""
        with self.snapshot():
            counters = self.db.execute(
                "select read, delivered_first, delivered_retry, dropped, missed,"
                " (select count(*) from waiting where lane = lane.id),"
                " (select count(*) from dead where lane = lane.id),"
                " coalesce((select count from expired where lane = lane.id), 0) from lane where id = ?",
                (lane,),
            ).fetchone()
            filtered = self.db.execute("select reason, count from filtered where lane = ?", (lane,)).fetchall()
        read, first, retry, dropped, missed, waiting, dead, expired = counters
        return Balance(read, first, retry, dropped, missed, waiting, dead, expired, dict(filtered))

    def latencies(self, connection: str, since: float) -> dict[int, int]:
        """Return the counts of each latency bucket in the hours after `since`, epoch seconds."""
        with self._lock:
            return self.series.latencies(connection, since)

    def metrics(
        self, connection: str, since: float | None, until: float | None, granularity: str, now: float
    ) -> Metrics:
        """Return what happened to a connection's events over time; see `Series.metrics`."""
        with self._lock:
            return self.series.metrics(connection, since, until, granularity, now)

    def last_seen(self, connection: str) -> tuple[str | None, float | None]:
        """Return the last error and when something was delivered last."""
        with self._lock:
            row = self.db.execute(
                "select last_error, last_delivered_at from connection where id = ?", (connection,)
            ).fetchone()
        return row or (None, None)

    def _lanes(self, kind: str, connection: str) -> list[Lane]:
        rows = self.db.execute(
            "select id, connection, source, first, cursor, until, selection, started_at, finished_at from lane"
            " where kind = ? and connection = ? order by id",
            (kind, connection),
        ).fetchall()
        return [Lane(*row) for row in rows]

    def _settle(self, settlement: Settlement, now: float) -> Mapping[str, bool]:
        if settlement.move is not None:
            self._move(settlement.move)
        self._count(settlement)
        self._leave_waiting(settlement)
        self._keep_waiting(settlement)
        self._bury(settlement, now)
        self._note(settlement, now)
        self.series.note(settlement, now)
        return line_up(self.db, settlement, now) if settlement.is_ordered else {}

    def _move(self, move: Move) -> None:
        moved = self.db.execute(
            "update lane set cursor = ?, read = read + ?, missed = missed + ? where id = ? and cursor = ?",
            (move.next_cursor, move.read, move.missed, move.lane, move.cursor),
        ).rowcount
        assert moved == 1, "two readers moved one cursor"  # noqa: S101 - checks our own work

    def _count(self, settlement: Settlement) -> None:
        done = Counter((item.lane, fate.first_try) for item, fate in settlement.done)
        for (lane, first_try), count in done.items():
            self.db.execute(
                "update lane set delivered_first = delivered_first + ?, delivered_retry = delivered_retry + ?"
                " where id = ?",
                (count if first_try else 0, 0 if first_try else count, lane),
            )
        kept_out = Counter((item.lane, fate.reason) for item, fate in settlement.filtered)
        self.db.executemany(
            "insert into filtered (lane, reason, count) values (?, ?, ?)"
            " on conflict do update set count = count + excluded.count",
            [(lane, reason, count) for (lane, reason), count in kept_out.items()],
        )

    def _leave_waiting(self, settlement: Settlement) -> None:
        over = chain[tuple[Item, Fate]](settlement.done, settlement.filtered, settlement.dead)
        rows = [(item.row,) for item, _ in over if item.row is not None]
        self.db.executemany("delete from waiting where id = ?", rows)

    def _keep_waiting(self, settlement: Settlement) -> None:
        waiting = settlement.waiting
        self.db.executemany(
            "update waiting set attempts = ?, first_at = ?, due_at = ?, reason = ?, status = ? where id = ?",
            [
                (fate.attempts, fate.first_at, fate.due_at, fate.reason, fate.status, item.row)
                for item, fate in waiting
                if item.row is not None
            ],
        )
        self.db.executemany(
            "insert into waiting (connection, lane, seq, source, line, attempts, first_at, due_at, reason, status, who)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *_origin(settlement.connection, item),
                    item.event.line,
                    *_try(fate),
                    fate.due_at,
                    fate.reason,
                    fate.status,
                    user_of(item.event) if settlement.is_ordered else "",
                )
                for item, fate in waiting
                if item.row is None
            ],
        )

    def _bury(self, settlement: Settlement, now: float) -> None:
        self.db.executemany(
            "insert into dead (connection, lane, seq, source, line, attempts, first_at, died_at, reason, status,"
            " message_id, type, event, answer, request) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *_origin(settlement.connection, item),
                    item.event.line,
                    *_try(fate),
                    now,
                    fate.reason,
                    fate.status,
                    *_shown(item.event),
                    fate.answer,
                    fate.request,
                )
                for item, fate in settlement.dead
            ],
        )

    def _note(self, settlement: Settlement, now: float) -> None:
        failed = [
            fate.reason
            for item, fate in (settlement.fates if settlement.waiting or settlement.dead else ())
            if isinstance(fate, Waiting | Dead) and fate.attempts > item.attempts
        ]
        if settlement.done:
            self.db.execute("update connection set last_delivered_at = ? where id = ?", (now, settlement.connection))
        if failed:
            self.db.execute(
                "update connection set last_error = ?, last_error_at = ? where id = ?",
                (failed[-1], now, settlement.connection),
            )
        if settlement.overtaken:
            self.db.execute(
                "update connection set overtaken = overtaken + ? where id = ?",
                (settlement.overtaken, settlement.connection),
            )
        if settlement.paused is not None:
            self.db.execute(
                "update connection set paused_reason = ?, paused_at = ?, paused_revision = ? where id = ?",
                (settlement.paused, now, settlement.revision, settlement.connection),
            )


def _origin(connection: str, item: Item) -> tuple[str, int, int, str]:
    return connection, item.lane, item.event.seq, item.event.source_id


def _try(fate: Waiting | Dead) -> tuple[int, float | None]:
    return fate.attempts, fate.first_at


def _shown(event: Event) -> tuple[str, str, str]:
    """Return what a list of dead letters shows and filters by."""
    return event.message_id, event.type, str(event.body.get("event", ""))
