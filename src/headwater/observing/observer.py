"""Reads the log to learn what sources send: a reader with a cursor of its own, which may lag and slows nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb
import structlog

from headwater import clock as wall
from headwater import sqlite
from headwater.clock import Clock
from headwater.errors import HeadwaterError
from headwater.eventlog.contract import Appender, Reader, Topic
from headwater.observing.book import FILE, Book
from headwater.observing.bulk import Bulk
from headwater.observing.findings import Findings
from headwater.observing.judging import judge
from headwater.protocols.gate import Gate, Gates
from headwater.spec.event import Record

_RECORDS_MAX: Final = 20_000  # ours: a batch, and with it the memory
_BYTES_MAX: Final = 16 * 1024 * 1024  # likewise
_FORWARD_MAX: Final = 500  # ours: records of one append
_WAIT_S: Final = 1.0
_GATHER_S: Final = 2.0  # ours: a batch costs some 10 ms however small it is, and events come all the time
_PAUSE_S: Final = 1.0
_PAUSE_S_MAX: Final = 30.0

_log = structlog.get_logger()


class Observer:
    """Learns from every event once. `run` works until `stop`."""

    def __init__(
        self, reader: Reader, directory: Path, gates: Gates, appender: Appender | None = None, clock: Clock = wall.now
    ) -> None:
        """Keep the book in `directory`; without an appender nothing is forwarded."""
        self.book = Book(directory / FILE)
        self._reader, self._gates, self._appender, self._clock = reader, gates, appender, clock
        self._bulk = Bulk(directory / "observing")
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Look at what is in the log and what arrives; what fails is tried again, nothing is skipped."""
        pause_s = _PAUSE_S
        while not self._stopped.is_set():
            try:
                await self.step()
                place = await asyncio.to_thread(self._place)
                if self._reader.end(Topic.EVENTS) - place < _RECORDS_MAX:
                    await self._reader.wait(Topic.EVENTS, place, timeout_s=_WAIT_S)
                    await self._stopped_within(_GATHER_S)
                pause_s = _PAUSE_S
            except (HeadwaterError, OSError, sqlite.Error, duckdb.Error) as error:
                _log.error("observing.failed", error=type(error).__name__, pause_s=pause_s)
                await self._stopped_within(pause_s)
                pause_s = min(pause_s * 2, _PAUSE_S_MAX)

    async def step(self) -> bool:
        """Look at one batch; return whether there was any."""
        found = await asyncio.to_thread(self._look)
        if found is None:
            return False
        findings, cursor = found
        for source_id, records in findings.forwarded.items():
            await self._forward(source_id, records)  # again after a crash: the same ids, stored once
        await asyncio.to_thread(self.book.write, findings, cursor, self._clock())
        return True

    async def stop(self) -> None:
        """End `run` after the batch it is working on."""
        self._stopped.set()

    def close(self) -> None:
        """Close the files; call it when `run` has ended."""
        self._bulk.close()
        self.book.close()

    def _place(self) -> int:
        place = self.book.place()
        start, end = self._reader.start(Topic.EVENTS), self._reader.end(Topic.EVENTS)
        if place is None:
            return start
        return min(place, end) if end else place  # an older copy of the log: what it lacks was counted

    def _look(self) -> tuple[Findings, int] | None:
        cursor = self._place()
        batch = self._reader.read(Topic.EVENTS, cursor, records_max=_RECORDS_MAX, bytes_max=_BYTES_MAX)
        if batch.next_cursor <= cursor:
            return None
        findings, gates = Findings(), self._gates.present
        if batch.frames:
            self._bulk.look(batch.frames, findings)
        told = _told(gates)
        for frame in batch.frames:
            gate = gates.get(frame.source_id)
            if gate is not None:
                forwards = self._appender is not None and frame.source_id not in told
                judge(frame, gate, findings, self._clock(), forwards=forwards)
        return findings, batch.next_cursor

    async def _forward(self, source_id: str, records: list[Record]) -> None:
        if self._appender is None:
            return
        for first in range(0, len(records), _FORWARD_MAX):
            part = records[first : first + _FORWARD_MAX]
            await self._appender.append(Topic.EVENTS, source_id, self._clock(), part)

    async def _stopped_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return


def _told(gates: Mapping[str, Gate]) -> frozenset[str]:
    """Return the sources that others forward to: they forward nothing, so that nothing goes round."""
    controls = [gate.spec.controls for gate in gates.values()]
    return frozenset(each for one in controls for each in (one.violations_to, one.blocked_to) if each)
