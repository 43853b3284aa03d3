"""The delivery engine: a worker for each connection, replaced as the configuration changes, and its control desk."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater import shelf
from headwater.clock import Clock, now
from headwater.delivery.attempt import NotedHttp
from headwater.delivery.connection import SEND_DEADLINE_S, Connection, Rules
from headwater.delivery.dead_letters import DeadLetter, DeadLetterFilter, DeadLetters, Which
from headwater.delivery.forgetting import Forgetting
from headwater.delivery.keeper import Built, Keeper
from headwater.delivery.ledger import Ledger
from headwater.delivery.masking import mask_of
from headwater.delivery.prepared import prepared
from headwater.delivery.replays import Replay, Replays
from headwater.delivery.rooms import Outside
from headwater.delivery.screen import Screen
from headwater.delivery.selection import Selection
from headwater.delivery.series import Metrics
from headwater.delivery.settling import Settling
from headwater.delivery.status import ConnectionStatus, Seen, status_of
from headwater.delivery.tail import Tail
from headwater.delivery.thread import OwnThread
from headwater.delivery.tryout import Tried, function_tried, tried
from headwater.delivery.worker import Parts
from headwater.destinations.contract import Erases, Room
from headwater.errors import ConfigError, ConflictError, NotFoundError, RetryableError
from headwater.eventlog.contract import Reader, Topic
from headwater.functions.contract import Ended
from headwater.privacy.person import Person
from headwater.privacy.suppression import Suppressed, nobody
from headwater.protocols.gate import Gates

SHELF: Final = "headwater.destinations"
_REPLACE_S: Final = 1.0  # what a changed connection's calls under way are waited for

Builder = Callable[[str, Mapping[str, Any], Room], Built]


def build(kind: str, settings: Mapping[str, Any], room: Room) -> Built:
    """Return a destination from the shelf and how it presents itself.

    Raises:
        ConfigError: no such type, or its settings do not fit.
    """
    try:
        module = shelf.take(SHELF, kind)
    except KeyError as error:
        raise ConfigError(
            f"There is no destination type {kind!r}; `headwater destinations catalog` lists them."
        ) from error
    try:
        chosen = msgspec.convert(dict(settings), module.Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"The destination's settings do not fit: {error}") from error
    return module.CARD, module.Destination(chosen, room)


class Delivery:
    """Carries the log's events to every connection; one instance, in one process.

    `apply` may be called at any time. `run` works until `stop`. The other methods are the control desk: they block no
    event loop and may be called while it runs.
    """

    def __init__(  # noqa: PLR0913 - each is another room's, or a test's
        self,
        reader: Reader,
        directory: Path,
        outside: Outside,
        *,
        clock: Clock = now,
        rules: Rules | None = None,
        builder: Builder = build,
        suppressed: Suppressed = nobody,
        gates: Gates | None = None,
    ) -> None:
        self._rules, self._clock = rules or Rules(), clock
        self._reader, self._build = reader, builder
        self._outside = dataclasses.replace(outside, http=NotedHttp(outside.http))
        self._in_ledger = OwnThread("ledger")
        self._ledger = Ledger(directory)
        settling = Settling(self._ledger, self._in_ledger)
        self._parts = Parts(
            reader,
            Tail(reader),
            self._ledger,
            self._in_ledger,
            clock,
            self._rules,
            settling,
            suppressed,
            gates or Gates(),
        )
        self._wanted: dict[str, Connection] = {}
        self._keepers: dict[str, Keeper] = {}
        self._letters = DeadLetters(self._ledger, self._in_ledger, self._parts.now, self._wake_all)
        self._replays = Replays(reader, self._ledger, self._in_ledger, self._parts.now)
        self.forgetting = Forgetting(self._ledger, self._in_ledger, self._wake_all)
        self._changed = asyncio.Event()
        self._is_stopping = False

    def apply(self, connections: Sequence[Connection]) -> None:
        """Replace the configuration; workers follow within a second or two, untouched ones go on."""
        self._wanted = {connection.id: connection for connection in connections}
        self._changed.set()

    async def run(self) -> None:
        """Deliver until `stop`; returns when everything under way is settled."""
        while not self._is_stopping:
            self._changed.clear()
            for destination_id in self._wanted.keys() | self._keepers.keys():
                self._keeper(destination_id).want(self._wanted.get(destination_id))
            await self._changed.wait()
        await self._drain()

    async def stop(self) -> None:
        """Start nothing new, wait up to `drain_s` for answers under way, settle and close the ledger."""
        self._is_stopping = True
        self._changed.set()
        await self._drain()
        await self._in_ledger(self._ledger.close)
        self._in_ledger.close()

    async def status(self) -> list[ConnectionStatus]:
        """Return how every connection does."""
        end = await asyncio.to_thread(self._reader.end, Topic.EVENTS)
        moment = self._parts.now()
        return [
            await self._in_ledger(status_of, self._ledger, connection, self._seen(connection.id, end), moment)
            for connection in self._wanted.values()
        ]

    async def resume(self, destination_id: str) -> None:
        """End a pause: the waiting events are tried at once, then the cursor moves on."""
        connection = self._connection(destination_id)
        await self._in_ledger(self._ledger.resume, connection.id, self._parts.now())
        if destination_id in self._keepers:
            self._keepers[destination_id].resume()

    async def dead_letters(
        self, chosen: DeadLetterFilter | None = None, *, before: int | None = None, count: int = 50
    ) -> list[DeadLetter]:
        """Return dead letters without their bodies, newest first; the next page is `before` the last one's id."""
        return await self._letters.page(chosen or DeadLetterFilter(), before, count)

    async def count_dead_letters(self, which: Which) -> int:
        """Return how many dead letters there are of these."""
        return await self._letters.count(which)

    async def dead_letter(self, number: int) -> DeadLetter:
        """Return one dead letter with its event, the last request and answer, and advice."""
        return await self._letters.one(number)

    async def retry_dead_letters(self, which: Which) -> int:
        """Try the dead letters again, by number or all that match; return how many."""
        return await self._letters.retry(which)

    async def discard_dead_letters(self, which: Which) -> int:
        """Give the dead letters up for good; return how many."""
        return await self._letters.discard(which)

    async def expire_dead_letters(self, before: datetime) -> int:
        """Remove the dead letters from before this instant; return how many. They stay counted."""
        return await self._letters.expire(before.timestamp())

    async def metrics(
        self,
        destination_id: str,
        since: datetime | None = None,
        until: datetime | None = None,
        granularity: str = "hour",
    ) -> Metrics:
        """Return what happened over time, without gaps; see `series.Series.metrics`.

        Raises:
            NotFoundError: no such connection.
            InvalidRequestError: too many points, an empty span, an unknown granularity.
        """
        connection = self._connection(destination_id)
        begin, end = (None if each is None else each.timestamp() for each in (since, until))
        return await self._in_ledger(self._ledger.metrics, connection.id, begin, end, granularity, self._parts.now())

    async def replay(
        self,
        destination_id: str,
        selection: Selection | None = None,
        *,
        source_id: str | None = None,
        rate_per_s: float | None = None,
        dry_run: bool = False,
    ) -> Replay:
        """Send stored events to a destination again, with their ids and times; runs in the background.

        Args:
            destination_id: where to.
            selection: which; all if None.
            source_id: whose; the connection's own source if None.
            rate_per_s: events a second at most; the engine's own bound if None.
            dry_run: only count what would be sent, as far as `replays.COUNT_S` suffices.

        Raises:
            NotFoundError: no such connection.
            ConflictError: the destination is disabled, or too many replays wait.
        """
        connection, chosen = self._connection(destination_id), selection or Selection()
        if not connection.enabled:
            raise ConflictError("The destination is disabled; enable it, then replay.")
        rate_per_s = rate_per_s or self._rules.replay_per_s
        plan = await self._replays.plan(destination_id, source_id or connection.source_id, chosen, rate_per_s)
        if dry_run:
            room = self._outside.room(connection)
            async with room.closing:
                card, _ = self._made(connection, room)
            screen = Screen(connection, card, self._parts.suppressed, self._parts.gates)
            return await self._replays.count(plan, screen.again(chosen))
        replay = await self._replays.add(plan)
        self._wake(destination_id)
        return replay

    async def replays(self, destination_id: str | None = None, *, among: Sequence[str] | None = None) -> list[Replay]:
        """Return the newest replays of a destination, or of all (`among` these), with progress, newest first."""
        paused = await self._in_ledger(self._ledger.paused)
        disabled = {each.id for each in self._wanted.values() if not each.enabled}
        return await self._replays.all(destination_id, resting=frozenset(paused | disabled), among=among)

    async def cancel_replay(self, replay_id: int) -> None:
        """Read no further for this replay; what waits for a retry of it stays waiting.

        Raises:
            NotFoundError: no such replay.
        """
        self._wake(await self._replays.cancel(replay_id))

    async def test(self, kind: str, settings: Mapping[str, Any]) -> None:
        """Try a destination's settings.

        Raises:
            ConfigError, UnauthorizedError, RetryableError, DeliveryError: why they do not work.
        """
        room = self._outside.room()
        mask = mask_of(Connection("", "", kind, kind, enabled=True, settings=settings))
        with mask.errors():
            try:
                async with room.closing, asyncio.timeout(SEND_DEADLINE_S):
                    _, destination = self._build(kind, settings, room)
                    await destination.check()
            except TimeoutError as error:
                raise RetryableError(f"No answer within {SEND_DEADLINE_S:g} s; compare the address.") from error

    async def try_event(
        self,
        kind: str,
        settings: Mapping[str, Any],
        event: Mapping[str, Any],
        *,
        destination_id: str | None = None,
        as_is: bool = False,
    ) -> Tried:
        """Send one event and return what became of it; nothing is counted or tried again. See `tryout.tried`.

        Args:
            kind: the destination's type.
            settings: its settings, which need not be stored yet.
            event: a call as the Tracking API takes it.
            destination_id: whose filters, mappings and functions apply.
            as_is: past filters, mappings and functions.

        Raises:
            ConfigError: the settings cannot be used.
            InvalidRequestError: it is no event.
        """
        known = self._wanted.get(destination_id or "")
        blank = Connection(destination_id or "", "", kind, kind, enabled=True, settings=settings)
        connection = blank if known is None else dataclasses.replace(known, type=kind, settings=settings)
        room = self._outside.room(connection if known else None, is_trial=True)
        async with room.closing:
            return await tried(connection, event, room, self._build, self._clock(), as_is=as_is)

    async def run_function(self, kind: str, code: str, settings: Mapping[str, Any], event: Mapping[str, Any]) -> Ended:
        """Run a function once and return how it ended; see `tryout.function_tried`."""
        return await function_tried(self._outside.runtime, self._outside.http, kind, code, settings, event)

    async def erase_person(self, destination_id: str, person: Person) -> bool:
        """Tell a destination to delete people, also a disabled one; return False where it has no way to.

        Raises:
            NotFoundError, ConfigError, DeliveryError: it did not take it, as a sentence for people.
        """
        connection = self._connection(destination_id)
        room = self._outside.room(connection)
        with mask_of(connection).errors():
            try:
                async with room.closing, asyncio.timeout(SEND_DEADLINE_S):
                    _, destination = self._build(connection.type, connection.settings, room)
                    if not isinstance(destination, Erases):
                        return False
                    await destination.erase(person)
            except TimeoutError as error:
                raise RetryableError(f"No answer within {SEND_DEADLINE_S:g} s; it is asked again.") from error
        return True

    async def known(self) -> set[str]:
        """Return the destinations that something is kept for, also those that were deleted meanwhile."""
        return await self._in_ledger(self._ledger.connections)

    async def forget(self, destination_id: str) -> None:
        """Remove what is kept for a deleted destination: cursor, counters, waiting events, dead letters.

        Raises:
            ConflictError: it is still configured.
        """
        if destination_id in self._wanted:
            raise ConflictError("The destination still exists; delete it first.")
        if destination_id in self._keepers:
            await self._keepers[destination_id].stop(_REPLACE_S)
        await self._in_ledger(self._ledger.forget, destination_id)

    def _connection(self, destination_id: str) -> Connection:
        try:
            return self._wanted[destination_id]
        except KeyError as error:
            raise NotFoundError("There is no such destination.") from error

    def _keeper(self, destination_id: str) -> Keeper:
        if destination_id not in self._keepers:
            self._keepers[destination_id] = Keeper(self._parts, self._outside, self._made)
        return self._keepers[destination_id]

    def _made(self, connection: Connection, room: Room) -> Built:
        card, destination = self._build(connection.type, connection.settings, room)
        return card, prepared(destination, connection, room)

    def _seen(self, destination_id: str, end: int) -> Seen:
        keeper = self._keepers.get(destination_id)
        return Seen(end, keeper.passed, keeper.unusable) if keeper else Seen(end)

    def _wake(self, destination_id: str) -> None:
        if destination_id in self._keepers:
            self._keepers[destination_id].wake()

    def _wake_all(self) -> None:
        for destination_id in self._keepers:
            self._wake(destination_id)

    async def _drain(self) -> None:
        await asyncio.gather(*(keeper.stop(self._rules.drain_s) for keeper in self._keepers.values()))
