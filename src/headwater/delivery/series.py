"""What happened to a connection's events over time: counts by minute, hour and day, and latencies beside them.

Every settlement adds to a row of the present minute, hour and day for each kind of thing that happened, in its own
commit: a handful of rows a round, however many events it holds. A minute is kept for 48 hours, an hour for 30 days,
a day for 400 days (the first two as Segment's Public API keeps its delivery metrics).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headwater import sqlite
from headwater.delivery.latency import bucket_of, percentile
from headwater.delivery.selection import NOT_SELECTED
from headwater.delivery.settlement import Settlement
from headwater.errors import InvalidRequestError

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
SPANS: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}
KEPT_S: Final = {MINUTE: 48 * HOUR, HOUR: 30 * DAY, DAY: 400 * DAY}
SHOWN_S: Final = {MINUTE: HOUR, HOUR: DAY, DAY: 30 * DAY}  # ours: what is shown unless something else is asked for
POINTS_MAX: Final = 1_500  # ours: a day of minutes; keeps one answer below a megabyte
REASONS_MAX: Final = 50  # ours, a connection: a destination that words every reason differently fills no disk
OTHER_REASONS: Final = "OTHER"

RECEIVED: Final = "received"
FILTERED: Final = "filtered"
DELIVERED_FIRST_TRY: Final = "delivered_first_try"
DELIVERED_ON_RETRY: Final = "delivered_on_retry"
RETRIED: Final = "retried"
FAILED: Final = "failed"
DISCARDED: Final = "discarded"
_LATENCY: Final = "latency"

Happened = Counter[tuple[str, str]]
"""Counts by (what, detail): detail is the reason of what was filtered, the bucket of a latency, else ""."""


@dataclass(frozen=True, slots=True)
class Point:
    """What happened between `at` and the next point; `at` in epoch seconds.

    Attributes:
        received: events taken from the log; for a replay, those that it selects.
        filtered: by reason.
        retried: attempts that have to be repeated.
        failed: events that became dead letters.
        discarded: dead letters that a user gave up.
        p50_s, p95_s, p99_s: from the server's receipt to delivery, replays left out.
    """

    at: float
    received: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    delivered_first_try: int = 0
    delivered_on_retry: int = 0
    retried: int = 0
    failed: int = 0
    discarded: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Points without gaps, oldest first, and what they come to together."""

    granularity: str
    points: tuple[Point, ...]
    totals: Point


class Series:
    """The table `series` of the ledger; callers hold the ledger's lock, or its transaction for what writes."""

    def __init__(self, db: sqlite.Connection) -> None:
        self._db = db
        self._cleared_at: dict[str, int] = {}
        self._reasons: defaultdict[str, set[str]] = defaultdict(set)

    def note(self, settlement: Settlement, now: float) -> None:
        """Count what a round leads to."""
        self.add(settlement.connection, happened(settlement), now)

    def add(self, connection: str, counts: Mapping[tuple[str, str], int], now: float) -> None:
        """Add to the counts of the present minute, hour and day; `now` in epoch seconds."""
        rows = [
            (connection, span, int(now // span) * span, what, self._known(connection, what, detail), count)
            for (what, detail), count in counts.items()
            if count
            for span in KEPT_S
        ]
        if not rows:
            return
        self._db.executemany(
            "insert into series (connection, span, at, what, detail, count) values (?, ?, ?, ?, ?, ?)"
            " on conflict do update set count = count + excluded.count",
            rows,
        )
        if self._cleared_at.get(connection) != (hour := int(now // HOUR)):
            self._cleared_at[connection] = hour
            self._clear(connection, now)

    def metrics(
        self, connection: str, since: float | None, until: float | None, granularity: str, now: float
    ) -> Metrics:
        """Return the points from the one that holds `since` to the one before `until`, epoch seconds.

        Raises:
            InvalidRequestError: no such granularity, an empty span, or more than POINTS_MAX points.
        """
        first, end, span = bounds(since, until, granularity, now)
        rows = self._db.execute(
            "select at, what, detail, count from series where connection = ? and span = ? and at >= ? and at < ?",
            (connection, span, first, end),
        ).fetchall()
        by_moment: defaultdict[int, Happened] = defaultdict(Counter)
        together: Happened = Counter()
        for at, what, detail, count in rows:
            by_moment[at][what, detail] += count
            together[what, detail] += count
        points = tuple(_point(at, by_moment.get(at, Counter())) for at in range(first, end, span))
        return Metrics(granularity, points, _point(first, together))

    def latencies(self, connection: str, since: float) -> dict[int, int]:
        """Return the counts of each latency bucket in the hours after `since`, epoch seconds."""
        rows = self._db.execute(
            "select detail, sum(count) from series where connection = ? and span = ? and at > ? and what = ?"
            " group by detail",
            (connection, HOUR, since, _LATENCY),
        ).fetchall()
        return {int(bucket): count for bucket, count in rows}

    def _known(self, connection: str, what: str, detail: str) -> str:
        if what != FILTERED:
            return detail
        known = self._reasons[connection]
        if detail not in known and len(known) >= REASONS_MAX:
            return OTHER_REASONS
        known.add(detail)
        return detail

    def _clear(self, connection: str, now: float) -> None:
        self._db.executemany(
            "delete from series where connection = ? and span = ? and at < ?",
            [(connection, span, now - kept_s) for span, kept_s in KEPT_S.items()],
        )


def happened(settlement: Settlement) -> Happened:
    """Return what a round comes to.

    What a replay passes without selecting it is neither received nor filtered: nobody asked for it.
    """
    done = settlement.done
    on_retry = sum(not fate.first_try for _, fate in done)
    again = sum(fate.attempts > item.attempts for item, fate in settlement.waiting)
    counts: Happened = Counter({(DELIVERED_FIRST_TRY, ""): len(done) - on_retry, (DELIVERED_ON_RETRY, ""): on_retry})
    counts[RETRIED, ""] = again
    counts[FAILED, ""] = len(settlement.dead)
    for reason, count in Counter(fate.reason for _, fate in settlement.filtered).items():
        counts[FILTERED, reason] = count
    read = settlement.move.read if settlement.move else 0
    counts[RECEIVED, ""] = read - counts.pop((FILTERED, NOT_SELECTED), 0)
    for latency_s, count in Counter(fate.latency_s for _, fate in done).items():  # those of one request share it
        if latency_s is not None:
            counts[_LATENCY, str(bucket_of(latency_s))] += count
    return counts


def bounds(since: float | None, until: float | None, granularity: str, now: float) -> tuple[int, int, int]:
    """Return begin and end of the points, whole spans in epoch seconds, and the span.

    Raises:
        InvalidRequestError: see `Series.metrics`.
    """
    if granularity not in SPANS:
        raise InvalidRequestError(f"granularity is one of {', '.join(SPANS)}", field="granularity")
    span = SPANS[granularity]
    end_at = now + span if until is None else until
    end = -int(-end_at // span) * span if until is not None else int(end_at // span) * span
    first = int((end - SHOWN_S[span] if since is None else since) // span) * span
    if first >= end:
        raise InvalidRequestError("since is not before until", field="since")
    if (end - first) // span > POINTS_MAX:
        told = f"More than {POINTS_MAX:,} points: ask for a shorter time or a coarser granularity."
        raise InvalidRequestError(told, field="granularity")
    return first, end, span


def _point(at: int, counts: Happened) -> Point:
    latencies = {int(detail): count for (what, detail), count in counts.items() if what == _LATENCY}
    return Point(
        at=at,
        received=counts[RECEIVED, ""],
        filtered={detail: count for (what, detail), count in sorted(counts.items()) if what == FILTERED},
        delivered_first_try=counts[DELIVERED_FIRST_TRY, ""],
        delivered_on_retry=counts[DELIVERED_ON_RETRY, ""],
        retried=counts[RETRIED, ""],
        failed=counts[FAILED, ""],
        discarded=counts[DISCARDED, ""],
        p50_s=percentile(latencies, 0.50),
        p95_s=percentile(latencies, 0.95),
        p99_s=percentile(latencies, 0.99),
    )
