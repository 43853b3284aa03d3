"""What a connection's new events have jumped over after an outage: stretches of the log, caught up beside them."""

from __future__ import annotations

from typing import Final

from headwater.delivery.ledger import Ledger
from headwater.delivery.settlement import Balance, Lane

BACKLOGS_MAX: Final = 16  # ours, a connection: outages whose events are still to be caught up; after it nothing jumps


def split(ledger: Ledger, live: int, cursor: int, to: int, now: float) -> Lane | None:
    """Let the live lane go on at `to`, and a new lane carry what lies between; one commit.

    Args:
        ledger: where both stand.
        live: the live lane's number.
        cursor: where it stands.
        to: behind the last event that is jumped over.
        now: epoch seconds.

    Returns:
        the live lane, or None when BACKLOGS_MAX are to be caught up already.
    """
    lane = ledger.lane(live)
    with ledger.transaction():
        if len(ledger.backlogs(lane.connection)) >= BACKLOGS_MAX:
            return None
        moved = ledger.db.execute("update lane set cursor = ? where id = ? and cursor = ?", (to, live, cursor)).rowcount
        assert moved == 1, "two readers moved one cursor"  # noqa: S101 - checks our own work
        ledger.db.execute(
            "insert into lane (connection, source, kind, first, cursor, until, started_at)"
            " values (?, ?, 'backlog', ?, ?, ?, ?)",
            (lane.connection, lane.source, cursor, cursor, to, now),
        )
    return ledger.lane(live)


def begin_again(ledger: Ledger, lane: Lane, cursor: int, now: float) -> Lane:
    """Return a new live lane at `cursor`: the log is an older copy that ends before the present one's.

    What it had before, also what was caught up, is kept as finished replays, for what waits or died on them: sequences
    are used twice now. What was still to be caught up and lies before `cursor` stays to be.
    """
    told = f"The log is an older copy: delivery goes on at {cursor} instead of {lane.cursor}."
    begin = "insert into lane (connection, source, kind, first, cursor, until, started_at) values (?, ?, ?, ?, ?, ?, ?)"
    with ledger.transaction():
        unfinished = ledger.backlogs(lane.connection)
        ledger.db.execute(
            "update lane set kind = 'replay', until = cursor, finished_at = coalesce(finished_at, ?)"
            " where id = ? or (connection = ? and kind = 'backlog')",
            (now, lane.id, lane.connection),
        )
        for old in unfinished:
            if old.cursor < (until := min(old.until or cursor, cursor)):
                ledger.db.execute(begin, (old.connection, old.source, "backlog", old.cursor, old.cursor, until, now))
        ledger.db.execute(begin, (lane.connection, lane.source, "live", cursor, cursor, None, now))
        ledger.db.execute(
            "update connection set last_error = ?, last_error_at = ? where id = ?", (told, now, lane.connection)
        )
        return ledger.live_lanes(lane.connection)[0]


def fold(ledger: Ledger, connection: str) -> None:
    """Add finished backlog lanes to the live one, so that outages leave no rows behind.

    Only while nothing of the connection is under way: an answer that is still to be settled names its lane.
    """
    with ledger.transaction():
        live = ledger.live_lanes(connection)
        rows = ledger.rows(
            "select id from lane where connection = ? and kind = 'backlog' and finished_at is not null", (connection,)
        )
        for (lane,) in rows if live else []:
            _add(ledger, lane, live[0].id)


def left(ledger: Ledger, connection: str) -> int:
    """Return the sequences, of any source, that the backlog lanes have still to pass."""
    return sum((lane.until or lane.cursor) - lane.cursor for lane in ledger.backlogs(connection))


def balance(ledger: Ledger, connection: str) -> Balance:
    """Return the counters of a connection's new events: of its live lane and of what was jumped over."""
    rows = ledger.rows("select id from lane where connection = ? and kind in ('live', 'backlog')", (connection,))
    together = Balance(0, 0, 0, 0, 0, 0, 0)
    for (lane,) in rows:
        together = together.plus(ledger.balance(lane))
    return together


def _add(ledger: Ledger, lane: int, live: int) -> None:
    for table in ("waiting", "dead"):
        ledger.db.execute(f"update {table} set lane = ? where lane = ?", (live, lane))  # noqa: S608 - names of ours
    for table, key in (("filtered", "lane, reason"), ("expired", "lane")):
        others = ", reason" if "reason" in key else ""
        ledger.db.execute(
            f"insert into {table} ({key}, count) select ?{others}, count from {table} where lane = ?"  # noqa: S608
            " on conflict do update set count = count + excluded.count",
            (live, lane),
        )
        ledger.db.execute(f"delete from {table} where lane = ?", (lane,))  # noqa: S608 - names of ours
    counters = ("read", "delivered_first", "delivered_retry", "dropped", "missed")
    for name in counters:
        ledger.db.execute(
            f"update lane set {name} = {name} + (select {name} from lane where id = ?) where id = ?",  # noqa: S608
            (lane, live),
        )
    ledger.db.execute("delete from lane where id = ?", (lane,))
