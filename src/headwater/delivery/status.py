"""How a connection and a replay do, as the control plane shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headwater.delivery import backlog
from headwater.delivery.concerns import Concern, Facts, concerns
from headwater.delivery.connection import Connection
from headwater.delivery.latency import percentile
from headwater.delivery.ledger import Ledger
from headwater.limits import RETRY_FOR_S

ACTIVE: Final = "active"
PAUSED: Final = "paused"
DISABLED: Final = "disabled"
_OLDEST_OF: Final = 200  # ours: waiting events that a state looks at
_LATENCY_S: Final = 24 * 3600.0  # ours: percentiles are about the last day


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection's state; plain numbers, also for the metrics.

    Attributes:
        state: active, paused (nothing is tried, everything is kept) or disabled.
        reason: why it is paused, "" otherwise.
        behind: records of the log, of any source, that its cursor has still to pass.
        read: events taken from the log; = delivered + filtered + retrying + dead + dropped + expired.
        retrying: events that wait for another try.
        dead: dead letters that stand.
        dropped: dead letters that a user discarded.
        expired: dead letters that were older than the retention.
        missed: records, of any source, that were damaged or expired before they were read.
        p50_s, p95_s, p99_s: from the server's receipt to delivery, over the last day.
        backlog: records of the log, of any source, that were jumped over after an outage and are still to be read.
        overtaken: retried events that were delivered after a later one of the same user.
        held_back: of those retrying, the ones that wait behind an earlier one of the same user.
        unaccounted: events of any lane, replays too, that are in no place or in two; 0, or something is broken.
        warnings: what somebody should know.
    """

    destination_id: str
    source_id: str
    state: str
    reason: str
    cursor: int
    behind: int
    read: int
    delivered_first_try: int
    delivered_on_retry: int
    filtered: dict[str, int]
    retrying: int
    dead: int
    dropped: int
    expired: int
    missed: int
    last_error: str | None
    last_delivered_at: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    backlog: int = 0
    overtaken: int = 0
    held_back: int = 0
    unaccounted: int = 0
    warnings: tuple[Concern, ...] = ()

    @property
    def pending(self) -> int:
        """Everything not finished: exact for what was read, an upper bound for what was not."""
        return self.behind + self.backlog + self.retrying


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known outside the ledger.

    Attributes:
        end: the log's end.
        passed: how far a running worker is beyond the stored cursor.
        unusable: why the settings cannot be used, None when they can.
    """

    end: int
    passed: int = 0
    unusable: str | None = None


def status_of(ledger: Ledger, connection: Connection, seen: Seen, now: float) -> ConnectionStatus:
    """Return a connection's state at `now`, epoch seconds; blocks on the ledger."""
    lanes = ledger.live_lanes(connection.id)
    cursor = max(lanes[0].cursor, seen.passed) if lanes else seen.end
    balance = backlog.balance(ledger, connection.id)
    pause = ledger.pause(connection.id)
    reason = seen.unusable or (pause.reason if pause else "")
    counts = ledger.latencies(connection.id, now - _LATENCY_S)
    last_error, last_delivered_at = ledger.last_seen(connection.id)
    facts = Facts(
        rests_because=reason,
        unaccounted=unaccounted(ledger, connection.id),
        oldest_s=_oldest_s(ledger, connection.id, now),
        retry_for_s=connection.tuning.retry_for_s or RETRY_FOR_S,
        retrying=balance.waiting,
        dead=balance.dead,
        missed=balance.missed,
        backlog=backlog.left(ledger, connection.id),
        overtaken=ledger.overtaken(connection.id),
    )
    return ConnectionStatus(
        destination_id=connection.id,
        source_id=connection.source_id,
        state=DISABLED if not connection.enabled else PAUSED if reason else ACTIVE,
        reason=reason,
        cursor=cursor,
        behind=max(0, seen.end - cursor),
        read=balance.read,
        delivered_first_try=balance.delivered_first,
        delivered_on_retry=balance.delivered_retry,
        filtered=balance.filtered,
        retrying=balance.waiting,
        dead=balance.dead,
        dropped=balance.dropped,
        expired=balance.expired,
        missed=balance.missed,
        last_error=last_error,
        last_delivered_at=last_delivered_at,
        p50_s=percentile(counts, 0.50),
        p95_s=percentile(counts, 0.95),
        p99_s=percentile(counts, 0.99),
        backlog=facts.backlog,
        overtaken=facts.overtaken,
        held_back=ledger.held_back(connection.id),
        unaccounted=facts.unaccounted,
        warnings=tuple(concerns(facts)),
    )


def unaccounted(ledger: Ledger, connection: str) -> int:
    """Return by how many events a connection's lanes break the law of conservation, each lane for itself."""
    rows = ledger.rows(
        "select read - delivered_first - delivered_retry - dropped"
        " - (select count(*) from waiting where lane = lane.id) - (select count(*) from dead where lane = lane.id)"
        " - coalesce((select sum(count) from filtered where lane = lane.id), 0)"
        " - coalesce((select count from expired where lane = lane.id), 0) from lane where connection = ?",
        (connection,),
    )
    return sum(abs(difference) for (difference,) in rows)


def _oldest_s(ledger: Ledger, connection: str, now: float) -> float:
    """Return for how long the oldest of those that are due next has been tried; looks at a few, not at all."""
    rows = ledger.rows(
        "select min(first_at) from (select first_at from waiting where connection = ? order by due_at limit ?)",
        (connection, _OLDEST_OF),
    )
    return 0.0 if rows[0][0] is None else max(0.0, now - rows[0][0])
