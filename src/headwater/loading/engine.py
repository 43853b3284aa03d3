"""The loading engine: a task for each warehouse, so that a slow or broken one delays nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog

from headwater import clock, sqlite
from headwater.clock import Clock
from headwater.errors import ConflictError, DeliveryError, NotFoundError, UnauthorizedError
from headwater.eventlog.contract import Reader, Topic
from headwater.loading.loader import EVENTS_MAX, Loader
from headwater.loading.runs import Runs, RunStatus, SyncRun, Totals
from headwater.loading.target import Target

__all__ = ["Loading", "State", "Status", "Target"]

INTERVAL_S: Final = 1.0  # ours: between loads while events trickle in; a full batch waits for nothing
INTERVAL_S_MAX: Final = 5.0
BUSY_SHARE: Final = 0.3  # ours: what of the time trickling loads may take, so that many tables mean fewer loads
RETRY_S: Final = 1.0
RETRY_S_MAX: Final = 300.0
_WAIT_S: Final = 1.0  # how soon a stop or a changed configuration is noticed

_log = structlog.get_logger(__name__)


class State(StrEnum):
    """What a warehouse is doing."""

    READY = "ready"
    FAILING = "failing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Status:
    """Where a warehouse stands.

    Attributes:
        cursor: the first event that is not loaded; None while the warehouse was never reached.
        lag: how many stored events are behind the cursor.
        last_error: "" once a load worked again.
    """

    warehouse_id: str
    type: str
    state: State
    cursor: int | None
    lag: int
    totals: Totals
    last_sync: datetime | None
    last_error: str


class _Line:
    """One warehouse: its loader, its task and what went wrong last."""

    def __init__(self, loader: Loader, after: asyncio.Task[None] | None = None) -> None:
        self.loader = loader
        self.after = after  # the end of the line that this one replaces: both use one scratch directory
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        self.woken = asyncio.Event()
        self.failures = 0
        self.error = ""
        self.unauthorized = False
        self.last_sync: datetime | None = None
        self.durations_s = (0.0, 0.0)

    @property
    def target(self) -> Target:
        """The warehouse as it is configured now."""
        return self.loader.target

    def pause_s(self, every_s: float) -> float:
        """How long to wait between two loads of a few events; one slow load, such as a first one, changes nothing."""
        return max(every_s, min(min(self.durations_s) / BUSY_SHARE, INTERVAL_S_MAX))

    @property
    def retry_s(self) -> float:
        """How long to wait after a failure: doubled each time."""
        return float(min(RETRY_S * 2 ** min(self.failures - 1, 16), RETRY_S_MAX))


class Loading:
    """Reads the log for every enabled warehouse and loads it, in batches, exactly once.

    `apply` before or while `run` runs; everything that blocks is done in threads.
    """

    def __init__(
        self, reader: Reader, directory: Path, *, every_s: float = INTERVAL_S, clock: Clock = clock.now
    ) -> None:
        """Keep sync runs, scratch files and the warehouses that were given no directory below `directory`.

        While events trickle in, they are loaded every `every_s` seconds, in full batches as they come.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._reader = reader
        self._directory = directory
        self._every_s = every_s
        self._clock = clock
        self._runs = Runs(directory / "loading.sqlite")
        self._lines: dict[str, _Line] = {}
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._stopping = False

    def apply(self, warehouses: Sequence[Target]) -> None:
        """Take a configuration; `run` follows it within a second."""
        wanted = {target.id: target for target in warehouses}
        for warehouse_id, target in wanted.items():
            line = self._lines.get(warehouse_id)
            if line is None or _place(line.target) != _place(target):
                loader = Loader(target, self._reader, self._directory, self._clock)
                self._lines[warehouse_id] = _Line(loader, self._retire(line))
            elif line.target != target:
                line.loader.target = target
                line.woken.set()
        for warehouse_id in self._lines.keys() - wanted.keys():
            self._retire(self._lines.pop(warehouse_id))
        self._changed.set()

    async def run(self) -> None:
        """Load until `stop`."""
        while not self._stopping:
            self._changed.clear()
            for line in self._lines.values():
                if line.target.enabled and (line.task is None or line.task.done()):
                    line.task = asyncio.create_task(self._follow(line), name=f"loading {line.target.id}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _WAIT_S)
        await self._close_all()

    async def stop(self) -> None:
        """Finish the batch that is being loaded and close everything."""
        self._stopping = True
        self._changed.set()
        for line in self._lines.values():
            line.woken.set()
        await self._close_all()

    async def sync(self, warehouse_id: str | None, upto: int) -> list[SyncRun]:
        """Load now; return the runs once every event before `upto` is loaded, or where a warehouse failed.

        Args:
            warehouse_id: None for every enabled warehouse.
            upto: such as the end of the log when the user asked.

        Raises:
            NotFoundError: there is no such warehouse, or it is disabled.
            ConflictError: it was changed or disabled meanwhile, or the engine stops.
        """
        if warehouse_id is not None and not self._is_enabled(warehouse_id):
            raise NotFoundError("There is no enabled warehouse with this id; `headwater warehouses list` shows them.")
        lines = [self._lines[warehouse_id]] if warehouse_id is not None else self._enabled()
        runs = await asyncio.gather(*(self._sync_one(line, upto) for line in lines))
        return [run for part in runs for run in part]

    def status(self) -> list[Status]:
        """Return where each warehouse stands."""
        end = self._reader.end(Topic.EVENTS)
        return [self._status(line, end) for line in list(self._lines.values())]  # may be asked from a thread

    def runs(self, warehouse_id: str, count: int = 50) -> list[SyncRun]:
        """Return the newest sync runs of a warehouse, newest first; an idle log makes none."""
        return self._runs.latest(warehouse_id, count)

    async def _follow(self, line: _Line) -> None:
        """Load one warehouse until it is disabled, replaced or stopped."""
        while self._is_current(line):
            position = None if line.error else line.loader.cursor  # what failed is tried without waiting for news
            if position is not None and not await self._reader.wait(Topic.EVENTS, position, timeout_s=_WAIT_S):
                continue
            started = time.monotonic()
            run = await self._load(line)
            line.durations_s = (line.durations_s[1], time.monotonic() - started)
            if line.error:
                await self._rest(line, line.retry_s)
            elif run is None or run.events + run.filtered < EVENTS_MAX // 2:
                await self._rest(line, line.pause_s(self._every_s))

    async def _rest(self, line: _Line, seconds: float) -> None:
        """Wait, but notice a stop or a change."""
        line.woken.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(line.woken.wait(), seconds)

    async def _sync_one(self, line: _Line, upto: int) -> list[SyncRun]:
        """Load one warehouse up to a sequence; stop at its first failure."""
        runs: list[SyncRun] = []
        while line.error or line.loader.cursor is None or line.loader.cursor < upto:
            if not self._is_current(line):
                raise ConflictError("The warehouse was changed or the server stops; synchronize again.")
            run = await self._load(line)
            if run is not None:
                runs.append(run)
            if line.error:
                break
            if run is None and (line.loader.cursor or 0) < upto:
                await asyncio.sleep(_WAIT_S / 4)  # a source that the configuration does not name yet
        return runs

    async def _load(self, line: _Line) -> SyncRun | None:
        """Load one batch and note how it went; never raises for what a warehouse does."""
        if line.after is not None:
            await asyncio.wait({line.after})
        async with line.lock:
            return await asyncio.to_thread(self._load_now, line)

    def _load_now(self, line: _Line) -> SyncRun | None:
        """Do what blocks: one batch, its run and the clean-up after it."""
        started_at, started = self._clock(), time.perf_counter()
        try:
            run = line.loader.step()
        except Exception as error:  # noqa: BLE001 - the outermost loop: a broken warehouse must not end the engine
            run = self._failed(line, error, started_at, started)
            if line.failures > 1 and self._repeats(run):
                return run
        else:
            line.failures, line.error, line.unauthorized = 0, "", False
            line.last_sync = self._clock()
        if run is not None and (run.events or run.notices or run.error):
            self._note(run)
            _log.info("batch.loaded" if not run.error else "batch.failed", **_figures(run))
            line.loader.tidy()
        return run

    def _note(self, run: SyncRun) -> None:
        """Store a run; a disk that is full for this file must not make a load look failed."""
        try:
            self._runs.add(run)
        except sqlite.Error as error:
            _log.error("run.not_stored", warehouse_id=run.warehouse_id, error=type(error).__name__)

    def _failed(self, line: _Line, error: Exception, started_at: datetime, started: float) -> SyncRun:
        """Note a failure; the next try asks the warehouse anew where it stands."""
        line.failures += 1
        line.unauthorized = isinstance(error, UnauthorizedError)
        ours = isinstance(error, DeliveryError)
        line.error = (
            str(error) if ours else f"Loading failed with {type(error).__name__}; the log of the server has more."
        )
        if not ours:
            _log.error("batch.crashed", warehouse_id=line.target.id, error=type(error).__name__, exc_info=error)
        cursor = line.loader.cursor or 0
        line.loader.close()
        return SyncRun(
            warehouse_id=line.target.id,
            status=RunStatus.FAILED,
            started_at=started_at,
            duration_ms=round((time.perf_counter() - started) * 1000),
            first=cursor,
            next=cursor,
            error=line.error,
        )

    def _repeats(self, run: SyncRun) -> bool:
        """Return whether the newest stored run says the same: an outage is one entry, not one a minute."""
        latest = self._runs.latest(run.warehouse_id, 1)
        return bool(latest) and replace(latest[0], id=0, started_at=run.started_at, duration_ms=run.duration_ms) == run

    def _status(self, line: _Line, end: int) -> Status:
        """Return where one warehouse stands."""
        working = State.FAILING if line.error else State.READY
        return Status(
            warehouse_id=line.target.id,
            type=line.target.type,
            state=working if line.target.enabled else State.PAUSED,
            cursor=line.loader.cursor,
            lag=max(0, end - (line.loader.cursor or 0)),
            totals=self._runs.totals(line.target.id),
            last_sync=line.last_sync,
            last_error=line.error,
        )

    def _is_current(self, line: _Line) -> bool:
        """Return whether a line is still to be followed."""
        return not self._stopping and self._is_enabled(line.target.id) and self._lines[line.target.id] is line

    def _is_enabled(self, warehouse_id: str) -> bool:
        """Return whether there is such a warehouse and it is on."""
        return warehouse_id in self._lines and self._lines[warehouse_id].target.enabled

    def _enabled(self) -> list[_Line]:
        """Return the lines that are on."""
        return [line for line in self._lines.values() if line.target.enabled]

    def _retire(self, line: _Line | None) -> asyncio.Task[None] | None:
        """Let a line that was replaced or removed finish its batch and close; return the task that does."""
        if line is None:
            return None
        line.woken.set()
        with suppress(RuntimeError):  # before `run` there is no event loop and nothing to close
            task = asyncio.get_running_loop().create_task(self._close(line))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            return task
        return None

    async def _close_all(self) -> None:
        """Close every line, then the file of runs."""
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(self._close(line) for line in lines))
        if lines:
            self._runs.close()

    async def _close(self, line: _Line) -> None:
        """Wait for the line's task and give the warehouse free."""
        if line.task is not None:
            await asyncio.gather(line.task, return_exceptions=True)
        async with line.lock:
            await asyncio.to_thread(line.loader.close)


def _place(target: Target) -> tuple[str, object]:
    """Return what makes it another warehouse: its type and its settings."""
    return target.type, target.settings


def _figures(run: SyncRun) -> dict[str, object]:
    """Return what the log of the server says of a run."""
    return {
        "warehouse_id": run.warehouse_id,
        "first": run.first,
        "count": run.events,
        "rows": sum(run.rows.values()),
        "duration_ms": run.duration_ms,
        "notices": len(run.notices),
    }
