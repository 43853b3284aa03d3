"""What people ask of warehouses beside the loading of new events: reloads, removals, tests, and how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import structlog

from headwater.clock import Clock
from headwater.errors import ConflictError, HeadwaterError, InvalidRequestError, NotFoundError
from headwater.eventlog.contract import Reader, Topic
from headwater.loading import overflowed, reloads, standings, trends
from headwater.loading.journal import Journal
from headwater.loading.line import Line
from headwater.loading.loader import make
from headwater.loading.overflowed import Overflowed
from headwater.loading.reloads import Reason, Reload, ReloadState
from headwater.loading.target import Target
from headwater.loading.trends import Day
from headwater.privacy.person import Person

OPEN_MAX: Final = 50  # ours, a warehouse: reloads that people may have waiting
CHECK_S_MAX: Final = 20.0  # ours: how long a connection test may take
CHECKS_MAX: Final = 4  # ours: threads for them; a server that never answers holds one for its own time-out

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal found in one warehouse: rows by `schema.table`, or why it failed."""

    warehouse_id: str
    rows: Mapping[str, int]
    error: str = ""


class Orders:
    """Used inside the engine's event loop; what blocks is done in threads."""

    def __init__(self, reader: Reader, journal: Journal, lines: Mapping[str, Line], clock: Clock) -> None:
        self._reader, self._journal, self._lines, self._clock = reader, journal, lines, clock
        self._checks = ThreadPoolExecutor(CHECKS_MAX, thread_name_prefix="warehouse check")

    async def reload(
        self,
        warehouse_id: str,
        *,
        source_ids: Sequence[str] | None = None,
        collections: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Reload:
        """Store that stretches of the log are to be loaded again, and return that at once.

        Args:
            warehouse_id: into which.
            source_ids: None for every source that is connected.
            collections: names of tables; None for all that are selected.
            since: only what was received at or after this instant.
            until: only what was received before this one.

        Raises:
            NotFoundError: there is no such warehouse.
            InvalidRequestError: a source is not connected to it, or the times are the wrong way round.
            ConflictError: too many wait already.
        """
        line = self._line(warehouse_id)
        for source_id in source_ids or ():
            if not line.target.sources.get(source_id):
                raise InvalidRequestError(f"Source {source_id[:60]} is not connected to it.", field="sourceIds")
        if source_ids is not None and not source_ids:
            raise InvalidRequestError("Name a source, or leave them out for all.", field="sourceIds")
        if since is not None and until is not None and since >= until:
            raise InvalidRequestError("The reload ends before it begins; choose an earlier beginning.", field="until")
        added = await asyncio.to_thread(
            partial(
                self._add,
                line,
                source_ids=None if source_ids is None else tuple(source_ids),
                collections=None if collections is None else tuple(collections),
                since=since,
                until=until,
            )
        )
        line.woken.set()
        return added

    async def reloads(self, warehouse_id: str | None, count: int) -> list[Reload]:
        """Return the newest reloads, newest first."""

        def read() -> list[Reload]:
            with self._journal.reading() as connection:
                return reloads.listed(connection, warehouse_id, min(count, reloads.FINISHED_MAX))

        return await asyncio.to_thread(read)

    async def cancel(self, reload_id: str) -> Reload:
        """End a reload where it is and return it; what it has loaded stays.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: it is no reload that a person asked for: without it rows would be missing.
        """
        ended = await asyncio.to_thread(self._cancel, reload_id)
        if (line := self._lines.get(ended.warehouse_id)) is not None:
            line.is_stale = True
            line.woken.set()
        return ended

    async def trends(self, warehouse_id: str, days: int) -> list[Day]:
        """Return what a warehouse took day by day."""
        self._line(warehouse_id)

        def read() -> list[Day]:
            with self._journal.reading() as connection:
                return trends.days(connection, warehouse_id, self._clock(), max(1, days))

        return await asyncio.to_thread(read)

    async def misfits(self, warehouse_id: str) -> list[Overflowed]:
        """Return which values did not fit their columns."""
        self._line(warehouse_id)

        def read() -> list[Overflowed]:
            with self._journal.reading() as connection:
                return overflowed.listed(connection, warehouse_id)

        return await asyncio.to_thread(read)

    async def remove(
        self, person: Person, warehouse_id: str | None = None, schemas: frozenset[str] | None = None
    ) -> list[Removed]:
        """Delete a person's rows from one warehouse, or from all, also from disabled ones; all schemas or some."""
        lines = list(self._lines.values()) if warehouse_id is None else [self._line(warehouse_id)]
        return list(await asyncio.gather(*(line.in_thread(partial(_remove, line, person, schemas)) for line in lines)))

    async def check(self, type_: str, settings: Mapping[str, Any]) -> str:
        """Return why a warehouse with these settings does not work, "" when it does."""
        task = asyncio.get_running_loop().run_in_executor(self._checks, _check, Target("check", type_, settings))
        try:
            return await asyncio.wait_for(task, CHECK_S_MAX)
        except TimeoutError:
            return f"It did not answer within {CHECK_S_MAX:.0f} seconds; look at its address and at firewalls between."

    def close(self) -> None:
        """Begin no connection test any more; one that hangs ends with its own time-out."""
        self._checks.shutdown(wait=False, cancel_futures=True)

    def _add(self, line: Line, **chosen: Any) -> Reload:
        """Store a reload of everything that the log still has and that new events are past."""
        first, cursor = self._reader.start(Topic.EVENTS), line.loader.cursor
        with self._journal.changing() as connection:
            waiting = reloads.open_ones(connection, line.target.id)
            if sum(each.reason is Reason.ASKED for each in waiting) >= OPEN_MAX:
                raise ConflictError(f"{OPEN_MAX} reloads wait for this warehouse; cancel some, or wait for them.")
            if cursor is None:
                standing = standings.get(connection, line.target.id)
                cursor = standing.position if standing else 0
            added = reloads.new(line.target.id, Reason.ASKED, min(first, cursor), cursor, **chosen)
            reloads.add(connection, added)
        return added

    def _cancel(self, reload_id: str) -> Reload:
        with self._journal.changing() as connection:
            found = reloads.get(connection, reload_id)
            if found is None:
                raise NotFoundError("There is no such reload; `headwater warehouses reloads` lists them.")
            if found.is_open and found.reason is not Reason.ASKED:
                raise ConflictError("Without this reload rows would be missing; deselect its source or table instead.")
            reloads.end(connection, found, ReloadState.CANCELLED, self._clock())
            return reloads.get(connection, reload_id) or found

    def _line(self, warehouse_id: str) -> Line:
        if warehouse_id not in self._lines:
            raise NotFoundError("There is no such warehouse; `headwater warehouses list` shows them.")
        return self._lines[warehouse_id]


def _remove(line: Line, person: Person, schemas: frozenset[str] | None) -> Removed:
    """Delete a person's rows from one warehouse; never raises for what that does."""
    try:
        found = line.loader.remove(person, schemas)
    except Exception as error:  # noqa: BLE001 - one warehouse must not hide what the others did
        line.loader.close()
        return Removed(line.target.id, {}, _sentence(error))
    if not line.target.enabled:
        line.loader.close()
    return Removed(line.target.id, found)


def _sentence(error: Exception) -> str:
    """Return why something failed; a driver's own error may hold an address or a password."""
    if isinstance(error, HeadwaterError):
        return str(error)
    _log.error("warehouse.crashed", error=type(error).__name__)
    return f"It failed with {type(error).__name__}; look at the settings and at the log of the server."


def _check(target: Target) -> str:
    """Return why a warehouse does not work, "" when it does; changes nothing."""
    with TemporaryDirectory(prefix="headwater-check-") as home:
        try:
            make(target, Path(home)).check()
        except Exception as error:  # noqa: BLE001 - people ask with any settings, and get a sentence
            return _sentence(error)
    return ""
