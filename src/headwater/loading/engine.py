"""The loading engine: a task and a thread for each warehouse, so that a slow or broken one delays nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from headwater import clock
from headwater.clock import Clock
from headwater.errors import ConflictError, NotFoundError
from headwater.eventlog.contract import Reader, Topic
from headwater.loading import runs, standings, stretch
from headwater.loading.conservation import FILE
from headwater.loading.journal import Journal
from headwater.loading.line import Line, Past
from headwater.loading.loader import Loader
from headwater.loading.orders import Orders
from headwater.loading.reloads import Reason, Reload
from headwater.loading.runs import SyncRun
from headwater.loading.status import State, Status, status
from headwater.loading.target import Target
from headwater.loading.working import Working
from headwater.privacy.suppression import Suppressions
from headwater.protocols.gate import Gates

__all__ = ["Loading", "State", "Status", "Target"]

INTERVAL_S: Final = 1.0  # ours: between loads while events trickle in; a full batch waits for nothing
TURNS_MAX: Final = 8  # ours: full batches of new events after which a reload has its turn too
_WAIT_S: Final = 1.0  # how soon a stop or a changed configuration is noticed


class Loading:
    """Reads the log for every enabled warehouse and loads it, in batches, exactly once.

    `apply` before or while `run` runs; everything that blocks is done in threads. What people ask of a warehouse
    besides is in `orders`.
    """

    def __init__(
        self,
        reader: Reader,
        directory: Path,
        *,
        every_s: float = INTERVAL_S,
        clock: Clock = clock.now,
        suppressions: Suppressions | None = None,
        gates: Gates | None = None,
    ) -> None:
        """Keep the journal, scratch files and the warehouses that were given no directory below `directory`.

        While events trickle in, they are loaded every `every_s` seconds, in full batches as they come.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._reader = reader
        self._directory = directory
        self._every_s = every_s
        self._clock, self._suppressions, self._gates = clock, suppressions, gates
        self._journal = Journal(directory / FILE)
        self._working = Working(self._journal, clock)
        self._lines: dict[str, Line] = {}
        self.orders = Orders(reader, self._journal, self._lines, clock)
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._stopping = False

    def apply(self, warehouses: Sequence[Target]) -> None:
        """Take a configuration; `run` follows it within a second."""
        wanted = {target.id: target for target in warehouses}
        for warehouse_id, target in wanted.items():
            line = self._lines.get(warehouse_id)
            if line is None or line.target.place != target.place:
                loader = self._loader(target)
                self._lines[warehouse_id] = Line(loader, self._past(target), self._clock, self._retire(line))
            elif line.target != target:
                line.use(target)
        for warehouse_id in self._lines.keys() - wanted.keys():
            self._retire(self._lines.pop(warehouse_id))
        self._changed.set()

    def _loader(self, target: Target) -> Loader:
        made = partial(Loader, target, self._reader, self._directory, self._journal, self._clock)
        return made(suppressions=self._suppressions, gates=self._gates)

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

    async def sync(self, warehouse_id: str | None, upto: int, *, among: Sequence[str] | None = None) -> list[SyncRun]:
        """Load now; return the runs once every event before `upto` is loaded, or where a warehouse failed.

        History that is wanted since before the call is loaded too; what a warehouse has refused lately is not.

        Args:
            warehouse_id: None for every enabled warehouse.
            upto: such as the end of the log when the user asked.
            among: of which warehouses, where none is named; None is of all.

        Raises:
            NotFoundError: there is no such warehouse, or it is disabled.
            ConflictError: it was changed or disabled meanwhile, or the engine stops.
        """
        if warehouse_id is not None and not self._is_enabled(warehouse_id):
            raise NotFoundError("There is no enabled warehouse with this id; `headwater warehouses list` shows them.")
        lines = [self._lines[warehouse_id]] if warehouse_id is not None else self._enabled(among)
        found = await asyncio.gather(*(self._sync_one(line, upto) for line in lines))
        return [run for part in found for run in part]

    def status(self) -> list[Status]:
        """Return where each warehouse stands; may be asked from a thread."""
        end = self._reader.end(Topic.EVENTS)
        return [status(line, self._journal, end) for line in list(self._lines.values())]

    def runs(self, warehouse_id: str, count: int = 50) -> list[SyncRun]:
        """Return the newest sync runs of a warehouse, newest first; an idle log makes none."""
        with self._journal.reading() as connection:
            return runs.latest(connection, warehouse_id, count)

    async def _follow(self, line: Line) -> None:
        """Load one warehouse until it is disabled, replaced or stopped."""
        while self._is_current(line):
            line.woken.clear()
            await self._keep(line)
            if line.is_scheduled:
                await self._by_schedule(line)
            else:
                await self._always(line)
        if not line.target.enabled:  # paused: others may load into it, or move it
            await line.in_thread(line.loader.close)

    async def _always(self, line: Line) -> None:
        """Load what is new, else a piece of what is to be loaded again; wait when there is neither."""
        reload = await line.in_thread(line.next_reload)
        is_due = line.error or line.is_changed  # these are not made to wait for news
        position = None if is_due else line.loader.cursor
        patience_s = 0.0 if reload else _WAIT_S
        if position is not None and not await self._reader.wait(Topic.EVENTS, position, timeout_s=patience_s):
            if reload is not None:
                await self._again(line, reload)
            return
        started = time.monotonic()
        run = await line.in_thread(partial(self._working.load, line))
        line.took(time.monotonic() - started)
        if line.error:
            await self._rest(line, line.retry_s)
            return
        is_full = run is not None and run.events + run.filtered >= stretch.EVENTS_MAX // 2
        line.turns = line.turns + 1 if is_full else TURNS_MAX
        if reload is not None and line.turns >= TURNS_MAX:
            line.turns = 0
            await self._again(line, reload)
        elif not is_full:
            await self._rest(line, line.pause_s(self._every_s))

    async def _by_schedule(self, line: Line) -> None:
        """Load everything when it is time; until then only what people ask to be loaded again."""
        wait_s = line.pace.wait_s()
        if wait_s == 0:
            with suppress(ConflictError):
                await self._sync_one(line, await line.in_thread(partial(self._reader.end, Topic.EVENTS)))
                if line.error:
                    await self._rest(line, line.retry_s)
                    return
                line.pace.done()
                await line.in_thread(partial(self._working.synced, line))
            return
        reload = await line.in_thread(partial(line.next_reload, Reason.ASKED))
        if reload is not None:
            await self._again(line, reload)
            return
        await self._rest(line, _WAIT_S if wait_s is None else min(_WAIT_S, wait_s))

    async def _keep(self, line: Line) -> None:
        """Renew views that are configured anew, and remove rows whose time is over."""
        if line.is_stale:
            line.is_stale = False
            await line.in_thread(partial(self._working.tidy, line))
        if (before := line.expiry()) is not None:
            await line.in_thread(partial(self._working.expire, line, before))

    async def _again(self, line: Line, reload: Reload) -> bool:
        """Load one batch of a reload; return whether it worked."""
        return await line.in_thread(partial(self._working.reload, line, reload))

    async def _rest(self, line: Line, seconds: float) -> None:
        """Wait, but notice a stop or a change, also one since the line's round began."""
        with suppress(TimeoutError):
            await asyncio.wait_for(line.woken.wait(), seconds)

    async def _sync_one(self, line: Line, upto: int) -> list[SyncRun]:
        """Load one warehouse up to a sequence, then what is to be loaded again; stop at its first failure."""
        done: list[SyncRun] = []
        while line.error or line.is_changed or line.loader.cursor is None or line.loader.cursor < upto:
            self._refuse_another(line)
            run = await line.in_thread(partial(self._working.load, line))
            if run is not None:
                done.append(run)
            if line.error:
                return done
            if run is None and (line.loader.cursor or 0) < upto:
                await asyncio.sleep(_WAIT_S / 4)  # a source that the configuration does not name yet
        failed: set[str] = set()
        while (reload := await line.in_thread(line.next_reload)) is not None and reload.id not in failed:
            self._refuse_another(line)
            if not await self._again(line, reload):
                failed.add(reload.id)
        return done

    def _refuse_another(self, line: Line) -> None:
        """Refuse to go on with a line that is not the warehouse's any more."""
        if not self._is_current(line):
            raise ConflictError("The warehouse was changed or the server stops; synchronize again.")

    def _past(self, target: Target) -> Past:
        """Return how a warehouse did before."""
        with self._journal.reading() as connection:
            standing = standings.get(connection, target.id)
            newest = runs.latest(connection, target.id, 1)
        if standing is None:
            return Past()
        return Past(
            last_sync=None,
            synced_at=standing.synced_at,
            failures=standing.failures,
            failing_since=standing.failing_since,
            error=newest[0].error if newest and standing.failures else "",
        )

    def _is_current(self, line: Line) -> bool:
        """Return whether a line is still to be followed."""
        return not self._stopping and self._is_enabled(line.target.id) and self._lines[line.target.id] is line

    def _is_enabled(self, warehouse_id: str) -> bool:
        """Return whether there is such a warehouse and it is on."""
        return warehouse_id in self._lines and self._lines[warehouse_id].target.enabled

    def _enabled(self, among: Sequence[str] | None = None) -> list[Line]:
        """Return the lines that are on."""
        every = self._lines.items()
        return [line for key, line in every if line.target.enabled and (among is None or key in among)]

    def _retire(self, line: Line | None) -> asyncio.Task[None] | None:
        """Let a line that was replaced or removed finish its batch and close; return the task that does."""
        if line is None:
            return None
        line.woken.set()
        with suppress(RuntimeError):  # before `run` there is no event loop and nothing to close
            task = asyncio.get_running_loop().create_task(line.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            return task
        return None

    async def _close_all(self) -> None:
        """Close every line, then the journal."""
        lines = list(self._lines.values())
        self._lines.clear()
        await asyncio.gather(*(line.close() for line in lines), *self._closing)
        self.orders.close()
        if lines:
            self._journal.close()
