"""The history of the connected accounts: back-fills and reconciliations, one of each an account at a time.

Runs are kept in a file and carried by tasks of `run`; an account that does not answer makes its run wait, a stop or a
crash makes it go on after the next start. An account that is switched off begins anew when it is switched on again:
what happened meanwhile is not wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from headwater import sqlite
from headwater.budget import Priority
from headwater.errors import (
    ConflictError,
    DeliveryError,
    InvalidRequestError,
    LogUnavailableError,
    NotFoundError,
    RetryableError,
    UnauthorizedError,
)
from headwater.sources.activecampaign import settings as source_settings
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.history.backfill import backfill, estimate, since_of
from headwater.sources.activecampaign.history.carrying import Known, total
from headwater.sources.activecampaign.history.marks import Marks
from headwater.sources.activecampaign.history.pace import Pace
from headwater.sources.activecampaign.history.reading import Desk, Meter, People
from headwater.sources.activecampaign.history.reconcile import reconcile
from headwater.sources.activecampaign.history.run import Run, RunKind, RunState
from headwater.sources.activecampaign.history.runs import Runs
from headwater.sources.contract import Answer, Room
from headwater.spec.times import format_time

_COMPARISONS_MAX: Final = 1_000  # ours: campaigns in one answer, those that were sent last
_CAMPAIGN_IDS_MAX: Final = 1_000  # ours: campaigns that can be named in one request
_RUNS_SHOWN_MAX: Final = 100
_ETA_ROWS_MIN: Final = 500
"""ours: rows from which the pace can be told; before, most calls ask who the contacts are."""
_BEGINS: Final = {
    RunKind.BACKFILL: "Looking which campaigns there are; who the contacts are is read first.",
    RunKind.RECONCILIATION: "Comparing the counters; webhooks on their way are waited for.",
}
_TICK_S: Final = 5.0  # ours: how often it is looked whether a reconciliation is due

_log = structlog.get_logger()


class History:
    """See the module. Everything but `use` may be called while `run` works; nothing is carried before it does."""

    def __init__(self, room: Room, ledger: Known, identities: People, runs: Runs, *, pace: Pace | None = None) -> None:
        self._room, self._ledger, self._identities, self._runs = room, ledger, identities, runs
        self._pace = pace or Pace()
        self._accounts: dict[str, Connected] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._soon: set[str] = set()
        self._news = asyncio.Event()
        self._stopped = False

    def use(self, accounts: Mapping[str, Connected]) -> None:
        """Work for these accounts (by source id) from now on; runs of others wait."""
        before, self._accounts = self._accounts, {each.account.id: each for each in accounts.values()}
        for connection_id, connected in self._accounts.items():
            former = before.get(connection_id)
            Marks(self._runs, connection_id, connected.account.source_id).forget_other_sources()
            if not connected.account.enabled:
                self._begin_anew(connected, "The account was switched off.", RunKind.RECONCILIATION)
            elif former is None or former.account != connected.account:
                self._soon.add(connection_id)  # after a start, or with a key that opens what the old one did not
            if former and former.account.url != connected.account.url:
                self._begin_anew(connected, "The connection leads to another address now.", *RunKind)
        for run_id, task in self._tasks.items():
            run = self._runs.run(run_id)
            if self._accounts.get(run.connection_id) != before.get(run.connection_id):
                task.cancel()  # goes on with the account as it is now
        self._news.set()

    def _begin_anew(self, connected: Connected, why: str, *ended: RunKind) -> None:
        """Forget what was compared, and end what is under way of some kinds; a back-fill of others waits."""
        account = connected.account
        Marks(self._runs, account.id, account.source_id).forget()
        for kind in RunKind:
            run = self._runs.under_way(account.id, kind)
            if run and kind in ended:
                self._end(run.id, RunState.CANCELLED, why)
            elif run:
                self._runs.change(run.id, state=RunState.WAITING, message=f"{why} It goes on once it is on again.")

    async def run(self) -> None:
        """Carry on what is unfinished and reconcile on schedule, until `stop`."""
        self._stopped = False
        try:
            while not self._stopped:
                self._news.clear()
                try:
                    await self._begin_what_is_due()
                except (sqlite.Error, OSError) as error:
                    _log.error("history.failed", error=type(error).__name__)
                try:
                    await asyncio.wait_for(self._news.wait(), _TICK_S)
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    async def stop(self) -> None:
        """End `run` soon; what is unfinished goes on after the next start."""
        self._stopped = True
        self._news.set()

    async def _begin_what_is_due(self) -> None:
        self._tasks = {run_id: task for run_id, task in self._tasks.items() if not task.done()}
        self._begun = {run_id: begun for run_id, begun in self._begun.items() if run_id in self._tasks}
        for connected in self._accounts.values():
            if connected.account.enabled:
                await self._schedule(connected)
        for run in await asyncio.to_thread(self._runs.unfinished):
            user = self._accounts.get(run.connection_id)
            if run.id in self._tasks or user is None or not user.account.enabled:
                continue
            if user.account.source_id != run.source_id:
                self._end(run.id, RunState.FAILED, "The account sends to another source now; begin it again.")
                continue
            self._begun[run.id] = (time.monotonic(), run.rows)
            self._tasks[run.id] = asyncio.create_task(self._carry(run, user))

    async def _schedule(self, connected: Connected) -> None:
        """Begin a reconciliation: after each start, for what was missed before it, after a change, and hourly."""
        account = connected.account
        last = await asyncio.to_thread(self._runs.latest, account.id, RunKind.RECONCILIATION)
        if last and not last.state.is_over:
            return
        if last and account.id not in self._soon:
            spread = random.Random(last.id).uniform(1.0, 1.1)  # noqa: S311 - the same until the next one
            since_s = (self._room.clock() - last.created_at).total_seconds()
            if 0 <= since_s < self._pace.every_s * spread:  # a clock that was set back makes it due
                return
        self._soon.discard(account.id)
        with contextlib.suppress(ConflictError):  # somebody asked for one meanwhile
            self._begin(connected, RunKind.RECONCILIATION)

    def _begin(self, connected: Connected, kind: RunKind, *, since: str = "", campaigns: Sequence[str] = ()) -> Run:
        account = connected.account
        return self._runs.begin(
            account.id, account.source_id, kind, at=self._room.clock(), since=since, campaigns=campaigns
        )

    async def _carry(self, run: Run, connected: Connected) -> None:
        """Carry a run to its end, as often as it takes."""
        pause_s = self._pace.retry_s
        while (wait_s := await self._try(run, connected, pause_s)) is not None:
            await asyncio.sleep(wait_s)
            before, run = run, self._runs.run(run.id)
            pause_s = self._pace.retry_s if run.rows > before.rows else min(pause_s * 2, self._pace.retry_max_s)

    async def _try(self, run: Run, connected: Connected, pause_s: float) -> float | None:
        """Carry a run as far as it comes; returns the seconds to wait before it goes on, None when it has ended."""
        started_at = run.started_at or self._room.clock()
        try:
            run = self._runs.change(run.id, state=RunState.RUNNING, message="", started_at=started_at)
            await self._work(run, connected)
        except UnauthorizedError as error:  # a passing disorder looks the same, and hours may have been read already
            message = f"{error} It goes on by itself once the key is taken, or with another one."
            self._runs.change(run.id, state=RunState.WAITING, message=message)
            return pause_s
        except RetryableError as error:
            self._runs.change(run.id, state=RunState.WAITING, message=str(error))
            return max(error.after_s or 0.0, pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries
        except DeliveryError as error:
            self._end(run.id, RunState.FAILED, str(error))
        except (LogUnavailableError, sqlite.Error, OSError) as error:
            _log.error("history.run_interrupted", run=run.id, error=type(error).__name__)
            return pause_s
        except Exception as error:  # noqa: BLE001 - outermost: a defect costs its own run
            _log.error("history.run_failed", run=run.id, error=type(error).__name__)
            self._end(run.id, RunState.FAILED, "It failed; this is a defect of Headwater. Its log names it.")
        return None

    async def _work(self, run: Run, connected: Connected) -> None:
        marks = Marks(self._runs, run.connection_id, run.source_id)
        desk = Desk(
            run=run,
            connected=connected,
            settings=source_settings.read(connected.account.settings),
            runs=self._runs,
            people=self._identities,
            deposit=self._room.deposit,
            clock=self._room.clock,
            pace=self._pace,
            meter=Meter(connected),
            priority=Priority.BACKGROUND,
            since=datetime.fromisoformat(run.since) if run.since else None,
        )
        if run.kind is RunKind.BACKFILL:
            await backfill(desk, self._ledger, marks)
        else:
            await reconcile(desk, self._ledger, marks)

    def _end(self, run_id: str, state: RunState, message: str) -> Run:
        return self._runs.change(run_id, state=state, message=message, ended_at=self._room.clock())

    def _connected(self, connection_id: str) -> Connected:
        connected = self._accounts.get(connection_id)
        if connected is None:
            raise NotFoundError("There is no such connection, or it is not known here yet; try again in a moment.")
        return connected

    def _enabled(self, connection_id: str) -> Connected:
        connected = self._connected(connection_id)
        if not connected.account.enabled:
            raise ConflictError("The connection is switched off; switch it on first.")
        return connected

    async def backfill(
        self,
        connection_id: str,
        *,
        since: str | None = None,
        campaigns: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Begin to read history, or only count it; returns the run (of a dry run: "dryRun", with what it would take).

        Raises:
            InvalidRequestError: `since` is no date, or too many campaigns are named.
            ConflictError: a back-fill is under way, or the connection is switched off.
            NotFoundError: no such connection.
            RetryableError, UnauthorizedError: the account does not answer (dry run).
        """
        connected, start, ids = self._enabled(connection_id), since_of(since), _ids(campaigns)
        if dry_run:
            found = await connected.api.campaigns()
            settings = source_settings.read(connected.account.settings)
            would = estimate(found, settings, since=start, asked=ids, now=self._room.clock())
            return _dry(start, would.campaigns, would.rows, would.calls, would.seconds)
        run = self._begin(connected, RunKind.BACKFILL, since=start, campaigns=ids)
        self._news.set()
        return await self._shown(run)

    async def reconcile(self, connection_id: str, *, campaigns: Sequence[str] | None = None) -> Answer:
        """Begin to compare and fill in; returns the run, or the one that compares everything just now.

        Campaigns that are named are read wherever anything is missing, also what was taken for settled.

        Raises:
            InvalidRequestError, ConflictError, NotFoundError: as `backfill`.
        """
        connected, ids = self._enabled(connection_id), _ids(campaigns)
        under_way = self._runs.under_way(connection_id, RunKind.RECONCILIATION)
        if under_way and not ids and not under_way.campaigns:
            return await self._shown(under_way)
        run = self._begin(connected, RunKind.RECONCILIATION, campaigns=ids)
        self._news.set()
        return await self._shown(run)

    async def cancel(self, connection_id: str, run_id: str) -> Answer:
        """End a run where it is and return it; what it has read stays. One that has ended stays as it is.

        Raises:
            NotFoundError: the connection has no such run.
        """
        run = self._runs.run(run_id)
        if run.connection_id != connection_id:
            raise NotFoundError("The connection has no such run; the list of runs names those that are remembered.")
        run = self._end(run_id, RunState.CANCELLED, "It was cancelled; what was read stays.")
        if task := self._tasks.get(run_id):
            task.cancel()
        return await self._shown(run)

    async def runs(self, connection_id: str, count: int = 20) -> Answer:
        """Return {"runs": [...]}, newest first."""
        found = await asyncio.to_thread(self._runs.of, connection_id, max(1, min(count, _RUNS_SHOWN_MAX)))
        return {"runs": [await self._shown(run) for run in found]}

    async def latest(self, connection_id: str) -> Answer:
        """Return {"backfill": run or None, "reconciliation": run or None}."""
        found = {kind.value: await asyncio.to_thread(self._runs.latest, connection_id, kind) for kind in RunKind}
        return {kind: await self._shown(run) if run else None for kind, run in found.items()}

    async def reconciliation(self, connection_id: str) -> Answer:
        """Return {"checkedAt", "since", "campaigns": [...]}, the last sent first; see `difference.comparison`."""
        account = self._connected(connection_id).account
        marks = Marks(self._runs, account.id, account.source_id)
        look = await asyncio.to_thread(marks.look)
        campaigns = await asyncio.to_thread(marks.comparisons, _COMPARISONS_MAX)
        checked_at = look.looked_at.isoformat() if look else None
        return {"checkedAt": checked_at, "since": look.since if look else None, "campaigns": campaigns}

    async def _shown(self, run: Run) -> Answer:
        left, filled = 0, run.filled
        if run.planned and not run.state.is_over:
            left = await asyncio.to_thread(self._runs.rows_left, run.id)
            filled = max(total(await asyncio.to_thread(self._ledger.counts, run.source_id)) - run.known_before, 0)
        return shown(run, filled=filled, eta_s=self._eta_s(run, left))

    def _eta_s(self, run: Run, rows_left: int) -> int | None:
        """Return the seconds that the rest takes at the pace since this process carries the run."""
        begun_at, rows_before = self._begun.get(run.id, (0.0, 0))
        rows = run.rows - rows_before
        if run.state is not RunState.RUNNING or not run.planned or not begun_at or rows < _ETA_ROWS_MIN:
            return None
        return round(rows_left * (time.monotonic() - begun_at) / rows)


def shown(run: Run, *, filled: int, eta_s: int | None) -> Answer:
    """Return a run as the API shows it."""
    return {
        "id": run.id,
        "kind": run.kind.value,
        "state": run.state.value,
        "since": run.since or None,
        "campaigns": {"total": run.total, "done": run.done},
        "rows": run.rows,
        "filled": filled,
        "calls": run.calls,
        "callsMinimum": run.calls_min,
        "etaS": eta_s,
        "createdAt": format_time(run.created_at),
        "startedAt": _iso(run.started_at),
        "endedAt": _iso(run.ended_at),
        "message": run.message or (_BEGINS[run.kind] if run.state is RunState.RUNNING and not run.planned else ""),
    }


def _iso(at: datetime | None) -> str | None:
    return format_time(at) if at else None


def _dry(since: str, campaigns: int, rows: int, calls: int, seconds: int) -> dict[str, Any]:
    return {
        "dryRun": True,
        "kind": RunKind.BACKFILL.value,
        "since": since or None,
        "campaigns": {"total": campaigns, "done": 0},
        "rows": rows,
        "calls": calls,
        "etaS": seconds,
        "message": f"It would read about {rows:,} rows of {campaigns:,} campaigns with up to {calls:,} requests.",
    }


def _ids(campaigns: Sequence[str] | None) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(each.strip() for each in campaigns or () if each.strip()))
    if len(ids) > _CAMPAIGN_IDS_MAX:
        raise InvalidRequestError(f"Name up to {_CAMPAIGN_IDS_MAX} campaigns at a time.", field="campaigns")
    return ids
