"""Keep one connection's worker in line with its configuration: begun, replaced and ended without touching others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from headwater.delivery.backlog import fold
from headwater.delivery.connection import Connection
from headwater.delivery.masking import mask_of
from headwater.delivery.order import Queue
from headwater.delivery.rooms import Outside
from headwater.delivery.selection import cursor_at
from headwater.delivery.settlement import Lane
from headwater.delivery.worker import Parts, Worker
from headwater.destinations.contract import Card, Destination, Room
from headwater.errors import ConfigError
from headwater.eventlog.contract import Topic

Built = tuple[Card, Destination]

_REPLACE_S = 1.0  # what the calls under way of a changed connection are waited for
_FAILURE_WAIT_S = 1.0


class Keeper:
    """Runs the worker of one connection.

    Attributes:
        unusable: why the settings cannot be used, None while they can.
    """

    def __init__(self, parts: Parts, outside: Outside, build: Callable[[Connection, Room], Built]) -> None:
        self.unusable: str | None = None
        self._parts, self._outside, self._build = parts, outside, build
        self._wanted: Connection | None = None
        self._changed = asyncio.Event()
        self._worker: Worker | None = None
        self._task: asyncio.Task[None] | None = None
        self._grace_s = _REPLACE_S

    @property
    def passed(self) -> int:
        """See `Worker.passed`; 0 while none runs."""
        return self._worker.passed if self._worker else 0

    def want(self, connection: Connection | None) -> None:
        """Let this be delivered from now on; None ends it."""
        if connection == self._wanted and (connection is None or self._task is not None):
            return
        self._wanted = connection
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())

    async def stop(self, grace_s: float) -> None:
        """End the worker, waiting up to `grace_s` for its answers; return when all is settled."""
        self._grace_s = grace_s
        self.want(None)
        if self._task is not None:
            await self._task

    def resume(self) -> None:
        """Go on after a pause."""
        if self._worker is not None:
            self._worker.resume()

    def wake(self) -> None:
        """Look for new work."""
        if self._worker is not None:
            self._worker.wake()

    async def _keep(self) -> None:
        before: Connection | None = None
        while (connection := self._wanted) is not None:
            self._changed.clear()
            try:
                room = self._outside.room(connection)
                async with room.closing:
                    self._worker = await self._begin(connection, before, room)
                    before = connection
                    await self._work(connection)
            except Exception as error:  # noqa: BLE001 - one connection that cannot start must not stop the others
                structlog.get_logger().error("delivery.failed", destination=connection.id, error=type(error).__name__)
                await asyncio.sleep(_FAILURE_WAIT_S)
            finally:
                self._worker = None

    async def _work(self, connection: Connection) -> None:
        """Let the worker run until another configuration is wanted, or it fails."""
        task = asyncio.create_task(self._worker.run()) if self._worker else None
        while self._wanted == connection and not (task is not None and task.done()):
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait({changed} if task is None else {changed, task}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._changed.clear()
        if self._worker is not None and task is not None:
            self._worker.stop()
            _, late = await asyncio.wait({task}, timeout=self._grace_s)
            if late:
                self._worker.cut()
            await task

    async def _begin(self, connection: Connection, before: Connection | None, room: Room) -> Worker | None:
        try:
            card, destination = self._build(connection, room)
        except ConfigError as error:
            self.unusable = mask_of(connection)(str(error))
            return None
        self.unusable = None
        ledger = self._parts.ledger
        pause = await self._parts.in_ledger(ledger.pause, connection.id)
        renewed = before is not None and before.settings != connection.settings
        if pause is not None and (renewed or pause.revision != connection.revision):
            await self._parts.in_ledger(ledger.resume, connection.id, self._parts.now())
        await self._parts.in_ledger(fold, ledger, connection.id)
        waiting = await self._parts.in_ledger(ledger.waiting_users, connection.id) if card.ordered else ()
        lane = await self._lane(connection)
        return Worker(connection, card, destination, lane, self._parts, Queue(waiting) if card.ordered else None)

    async def _lane(self, connection: Connection) -> Lane:
        ledger, reader = self._parts.ledger, self._parts.reader
        known = await self._parts.in_ledger(ledger.live_lanes, connection.id)
        if known:
            return known[0]
        if connection.first_seq is not None:
            cursor = connection.first_seq
        elif connection.created_at is None:
            cursor = await asyncio.to_thread(reader.start, Topic.EVENTS)
        else:
            cursor = await asyncio.to_thread(cursor_at, reader, connection.created_at)
        return await self._parts.in_ledger(
            ledger.live_lane, connection.id, connection.source_id, cursor, self._parts.now()
        )
