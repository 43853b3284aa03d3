"""Read the identify calls out of the log, for sources that want to know whose an e-mail address is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from headwater import sqlite
from headwater.errors import CorruptLogError
from headwater.eventlog.contract import Reader, Topic
from headwater.eventlog.cursors import Cursors
from headwater.spec.event import Batch

NAME: Final = "identify feed"
"""The reader's cursor."""

_RECORDS_MAX: Final = 5_000  # ours: a batch: one call of a thread
_BYTES_MAX: Final = 4 * 1024 * 1024  # likewise
_IDLE_S: Final = 1.0  # ours: while nobody wants to know
_WAIT_S: Final = 1.0
_PAUSE_S: Final = 0.5
_PAUSE_S_MAX: Final = 30.0
_MARK: Final = b'"identify"'  # in every line that can be an identify call: what is stored is JSON without escapes here

_log = structlog.get_logger()

WorkspaceOf = Callable[[str], str | None]
"""Returns the workspace of a source, None for one that is not there (any more)."""

Saw = Callable[[str, Sequence[bytes]], None]
"""Takes a workspace and lines of it that may be identify calls, in log order; called in a thread."""


class IdentifyFeed:
    """A reader of `events` with a cursor of its own. It begins with the oldest event once somebody wants to know."""

    def __init__(
        self, reader: Reader, cursors: Cursors, workspace_of: WorkspaceOf, saw: Saw, is_wanted: Callable[[], bool]
    ) -> None:
        """Take the log, the cursors (an object of its own: it is used in other threads), and who wants to know."""
        self._reader, self._cursors = reader, cursors
        self._workspace_of, self._saw, self._is_wanted = workspace_of, saw, is_wanted
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Hand on what is in the log and what arrives, until `stop`; what fails is tried again, nothing is skipped."""
        pause_s = _PAUSE_S
        while not self._stopped.is_set():
            try:
                await self._step()
                pause_s = _PAUSE_S
            except (CorruptLogError, OSError, sqlite.Error) as error:
                _log.error("identify_feed.failed", error=type(error).__name__, pause_s=pause_s)
                await self._stopped_within(pause_s)
                pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    async def stop(self) -> None:
        """End `run` after the batch it is working on."""
        self._stopped.set()

    async def _step(self) -> None:
        if not self._is_wanted():
            await self._stopped_within(_IDLE_S)
            return
        cursor = await asyncio.to_thread(self._carry)
        if 0 < (end := self._reader.end(Topic.EVENTS)) < cursor:  # an older copy of the log: learnt once more
            await asyncio.to_thread(self._cursors.rewind, NAME, self._reader.start(Topic.EVENTS))
        elif end <= cursor:
            await self._arrival(cursor)

    def _carry(self) -> int:
        """Hand on one batch and return where the reader stands then. Runs in a thread."""
        cursor = self._cursors.get(NAME)
        batch = self._reader.read(Topic.EVENTS, cursor, records_max=_RECORDS_MAX, bytes_max=_BYTES_MAX)
        if batch.next_cursor <= cursor:
            return cursor
        for damage in batch.damage:
            _log.error("identify_feed.damaged", first=damage.first, last=damage.last, file=damage.file)
        for workspace_id, lines in self._identifies(batch).items():
            self._saw(workspace_id, lines)
        self._cursors.advance(NAME, batch.next_cursor)
        return batch.next_cursor

    def _identifies(self, batch: Batch) -> dict[str, list[bytes]]:
        """Return the lines that can be identify calls, by workspace; all others cost one search in their frame."""
        found: dict[str, list[bytes]] = {}
        for frame in batch.frames:
            if _MARK not in frame.lines:
                continue
            workspace_id = self._workspace_of(frame.source_id)
            if workspace_id is not None:
                found.setdefault(workspace_id, []).extend(line for line in frame.lines.split(b"\n") if _MARK in line)
        return found

    async def _arrival(self, cursor: int) -> None:
        """Return when something arrived, after a while, or at once when stopped."""
        arrival = asyncio.ensure_future(self._reader.wait(Topic.EVENTS, cursor, timeout_s=_WAIT_S))
        stop = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({arrival, stop}, return_when=asyncio.FIRST_COMPLETED)
            if arrival.done():
                arrival.result()  # what the log raises is raised here
        finally:
            arrival.cancel()
            stop.cancel()

    async def _stopped_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
