"""Replays: runs over stored events that go on beside new ones, one at a time for each connection, oldest first."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.delivery.ledger import Ledger
from headwater.delivery.screen import Screened
from headwater.delivery.selection import Selection
from headwater.delivery.settlement import Balance, Lane
from headwater.delivery.stretch import Stretch
from headwater.delivery.tail import Tail
from headwater.delivery.thread import OwnThread
from headwater.errors import ConflictError, NotFoundError
from headwater.eventlog.contract import Reader

COUNTED: Final = "counted"
RUNNING: Final = "running"
WAITING: Final = "waiting"
DONE: Final = "done"
CANCELLED: Final = "cancelled"

UNFINISHED_MAX: Final = 20  # ours, a connection: more would wait for days
SHOWN_MAX: Final = 100  # ours: the newest; older ones are kept, not listed
COUNT_S: Final = 20.0  # ours: how long a dry run may read; what it did not reach is told
_PIECE: Final = 1_000

_LISTED: Final = (
    "select lane.id, connection, source, first, cursor, until, selection, started_at, finished_at,"
    " replay.rate_per_s, replay.begun_at, replay.begun from lane join replay on replay.lane = lane.id"
    " where (:connection is null or connection = :connection)"
    " and (:among is null or connection in (select value from json_each(:among))) order by lane.id desc limit :limit"
)


@dataclass(frozen=True, slots=True)
class Replay:
    """A run over stored events.

    Attributes:
        id: 0 for a dry run.
        state: running, waiting (for its turn, or while the connection rests), done, cancelled; a dry run is counted.
        total: records of the log, of any source, that it goes through; `passed` of them are behind it. A dry run
            whose time was up has not passed all.
        selected: events chosen so far, those that filters keep out left out.
        rate_per_s: events a second at most.
        eta_s: how long the rest takes at the pace since it was taken up last; None when it does not run.
        started_at, finished_at: epoch seconds.
    """

    id: int
    destination_id: str
    source_id: str
    state: str
    total: int
    passed: int
    selected: int
    delivered: int
    retrying: int
    dead: int
    filtered: Mapping[str, int] = field(default_factory=dict)
    rate_per_s: float = 0.0
    eta_s: float | None = None
    started_at: float = 0.0
    finished_at: float | None = None
    selection: Selection = field(default_factory=Selection)


class Replays:
    """Every connection's replays.

    Args of the constructor:
        now: epoch seconds.
    """

    def __init__(self, reader: Reader, ledger: Ledger, in_ledger: OwnThread, now: Callable[[], float]) -> None:
        self._reader, self._ledger, self._in_ledger, self._now = reader, ledger, in_ledger, now

    async def plan(self, connection: str, source: str, selection: Selection, rate_per_s: float) -> Plan:
        """Return a replay that is not stored yet: its stretch of the log is found."""
        first, end = await asyncio.to_thread(selection.bounds, self._reader)
        lane = Lane(0, connection, source, first, first, end, selection.to_json(), self._now())
        return Plan(lane, selection, rate_per_s)

    async def count(self, plan: Plan, screen: Screened) -> Replay:
        """Return what a replay would send, as far as COUNT_S suffices."""
        return await asyncio.to_thread(counted, self._reader, plan, screen, time.monotonic)

    async def add(self, plan: Plan) -> Replay:
        """Store a replay; whoever runs it finds it.

        Raises:
            ConflictError: too many wait already.
        """
        number = await self._in_ledger(add, self._ledger, plan)
        found = await self.all(plan.lane.connection)
        return next(each for each in found if each.id == number)

    async def all(
        self,
        connection: str | None = None,
        *,
        resting: frozenset[str] = frozenset(),
        among: Sequence[str] | None = None,
    ) -> list[Replay]:
        """Return the newest replays of a connection, or of all, newest first.

        Args:
            connection: whose; None for all.
            resting: connections that are disabled or paused.
            among: only of these connections.
        """
        return await self._in_ledger(listed, self._ledger, connection, self._now(), resting, among)

    async def cancel(self, number: int) -> str:
        """Read no further for this replay; return its connection. What waits for a retry of it stays waiting.

        Raises:
            NotFoundError: no such replay.
        """
        return await self._in_ledger(cancel, self._ledger, number, self._now())


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay goes through, chooses and does not exceed."""

    lane: Lane
    selection: Selection
    rate_per_s: float


def add(ledger: Ledger, plan: Plan) -> int:
    """Store a replay and return its number."""
    lane = plan.lane
    with ledger.transaction():
        unfinished = ledger.db.execute(
            "select count(*) from lane join replay on replay.lane = lane.id"
            " where connection = ? and finished_at is null",
            (lane.connection,),
        ).fetchone()
        if unfinished[0] >= UNFINISHED_MAX:
            raise ConflictError(f"{UNFINISHED_MAX} replays wait already; cancel some, or wait until they are done.")
        ledger.db.execute("insert or ignore into connection (id) values (?)", (lane.connection,))
        number = ledger.db.execute(
            "insert into lane (connection, source, kind, first, cursor, until, selection, started_at)"
            " values (?, ?, 'replay', ?, ?, ?, ?, ?)",
            (lane.connection, lane.source, lane.first, lane.cursor, lane.until, lane.selection, lane.started_at),
        ).lastrowid
        ledger.db.execute("insert into replay (lane, rate_per_s) values (?, ?)", (number, plan.rate_per_s))
    return int(number)


def begin(ledger: Ledger, lane: Lane, rate_per_s: float, now: float) -> float:
    """Note that a replay is taken up (again); return its events a second: `rate_per_s` for one that has none."""
    with ledger.transaction():
        ledger.db.execute("insert or ignore into replay (lane, rate_per_s) values (?, ?)", (lane.id, rate_per_s))
        ledger.db.execute("update replay set begun_at = ?, begun = ? where lane = ?", (now, lane.cursor, lane.id))
        found = ledger.db.execute("select rate_per_s from replay where lane = ?", (lane.id,)).fetchone()
    return float(found[0])


def cancel(ledger: Ledger, number: int, now: float) -> str:
    """End a replay where it is; one that has ended stays as it is."""
    with ledger.transaction():
        found = ledger.db.execute(
            "select connection from lane join replay on replay.lane = lane.id where lane.id = ?", (number,)
        ).fetchone()
        if found is None:
            raise NotFoundError(f"There is no replay {number}; `headwater replays list` shows them.")
        ledger.db.execute("update lane set finished_at = ? where id = ? and finished_at is null", (now, number))
    return str(found[0])


def listed(
    ledger: Ledger,
    connection: str | None,
    now: float,
    resting: frozenset[str],
    among: Sequence[str] | None = None,
) -> list[Replay]:
    """Return the newest replays with their progress, newest first; blocks on the ledger."""
    wanted = None if among is None else json.dumps(list(among))
    rows = ledger.rows(_LISTED, {"connection": connection, "among": wanted, "limit": SHOWN_MAX})
    return [_replay(Lane(*row[:9]), ledger.balance(row[0]), _Pace(*row[9:]), now, resting) for row in rows]


@dataclass(frozen=True, slots=True)
class _Pace:
    rate_per_s: float
    begun_at: float | None
    begun: int | None


def _replay(lane: Lane, balance: Balance, pace: _Pace, now: float, resting: frozenset[str]) -> Replay:
    state = _state(lane, pace, is_resting=lane.connection in resting)
    return Replay(
        id=lane.id,
        destination_id=lane.connection,
        source_id=lane.source,
        state=state,
        total=_end(lane) - lane.first,
        passed=min(lane.cursor, _end(lane)) - lane.first,
        selected=balance.read - sum(balance.filtered.values()),
        delivered=balance.delivered_first + balance.delivered_retry,
        retrying=balance.waiting,
        dead=balance.dead,
        filtered=balance.filtered,
        rate_per_s=pace.rate_per_s,
        eta_s=_eta_s(lane, pace, now) if state == RUNNING else None,
        started_at=lane.started_at,
        finished_at=lane.finished_at,
        selection=Selection.from_json(lane.selection or "{}"),
    )


def _state(lane: Lane, pace: _Pace, *, is_resting: bool) -> str:
    if lane.finished_at is not None:
        return DONE if lane.cursor >= _end(lane) else CANCELLED
    return WAITING if is_resting or pace.begun_at is None else RUNNING


def _eta_s(lane: Lane, pace: _Pace, now: float) -> float | None:
    """Return the seconds that the rest takes as fast as the part since it was taken up; None before there is one."""
    passed = lane.cursor - (lane.first if pace.begun is None else pace.begun)
    if pace.begun_at is None or passed <= 0:
        return None
    return (_end(lane) - lane.cursor) * max(0.0, now - pace.begun_at) / passed


def _end(lane: Lane) -> int:
    return lane.first if lane.until is None else lane.until


def counted(reader: Reader, plan: Plan, screen: Screened, monotonic: Callable[[], float]) -> Replay:
    """Return what a replay would send, as far as COUNT_S suffices; blocks on the log."""
    lane, stretch = plan.lane, Stretch(Tail(reader), plan.lane)
    selected, filtered, passed, until_s = 0, Counter[str](), lane.first, monotonic() + COUNT_S
    while monotonic() < until_s and (piece := stretch.take(_PIECE, screen)) is not None:
        passed = piece.move.next_cursor
        selected += len(piece.wanted)
        filtered.update(fate.reason for _, fate in piece.filtered)
    shown: dict[str, Any] = {"rate_per_s": plan.rate_per_s, "started_at": lane.started_at, "selection": plan.selection}
    return Replay(
        id=0,
        destination_id=lane.connection,
        source_id=lane.source,
        state=COUNTED,
        total=_end(lane) - lane.first,
        passed=min(passed, _end(lane)) - lane.first,
        selected=selected,
        delivered=0,
        retrying=0,
        dead=0,
        filtered=dict(filtered),
        **shown,
    )
