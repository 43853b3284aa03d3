"""Everything that runs for one connection: new events, retries, backlogs and replays, each at a pace of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from headwater import sqlite
from headwater.clock import Clock
from headwater.delivery import backlog
from headwater.delivery.attempt import why_ended
from headwater.delivery.connection import Connection, Rules
from headwater.delivery.course import Course
from headwater.delivery.fate import Attempt, Done, Fate, Filtered, Item, fate_of
from headwater.delivery.ledger import Ledger
from headwater.delivery.masking import mask_of
from headwater.delivery.order import Breaks, Queue
from headwater.delivery.replays import begin
from headwater.delivery.screen import Screen
from headwater.delivery.selection import Selection, cursor_at
from headwater.delivery.settlement import Lane, Move, Settlement
from headwater.delivery.settling import Settling
from headwater.delivery.stretch import Piece, Stretch
from headwater.delivery.tail import Tail
from headwater.delivery.thread import OwnThread
from headwater.delivery.turns import Rank, Turns
from headwater.destinations.contract import Card, Delivered, Destination
from headwater.eventlog.contract import Reader, Topic
from headwater.privacy.suppression import Suppressed, nobody
from headwater.protocols.gate import Gates

_IDLE_S: Final = 5.0  # how long one wait lasts; something new ends it at once
_FAILURE_WAIT_S: Final = 1.0
_FAILURE_WAIT_MAX_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What every worker of one engine shares."""

    reader: Reader
    tail: Tail
    ledger: Ledger
    in_ledger: OwnThread
    clock: Clock
    rules: Rules
    settle: Settling
    suppressed: Suppressed = nobody
    gates: Gates = field(default_factory=Gates)

    def now(self) -> float:
        """Return the wall clock in epoch seconds."""
        return self.clock().timestamp()


class Worker:
    """Carries one connection's events until it is stopped.

    Args of the constructor:
        lane: where its new events stand.
        queue: whose events must wait; None where the destination does not need each user's events in order.
    """

    def __init__(
        self,
        connection: Connection,
        card: Card,
        destination: Destination,
        lane: Lane,
        parts: Parts,
        queue: Queue | None = None,
    ) -> None:
        self.connection, self._lane, self._parts, self._queue = connection, lane, parts, queue
        self._rules = parts.rules.tuned(connection.tuning, card)
        self._own_lanes, self._breaks = {lane.id}, Breaks()
        self._screen = Screen(connection, card, parts.suppressed, parts.gates)
        self._log = structlog.get_logger().bind(destination=connection.id, source=connection.source_id)
        self._failures_logged: set[str] = set()
        turns, mask = Turns(self._rules.in_flight, self._rules.rate_per_s), mask_of(connection)
        self._live, self._retries, self._backlog, self._replays = self._courses = tuple(
            Course(rank, destination, self._rules, turns, self._code_failed, queue, mask=mask) for rank in Rank
        )
        self._is_stopping = self._is_paused = False
        self._stretch: Stretch | None = None

    @property
    def passed(self) -> int:
        """The sequence before which nothing of the log is left to do for new events, apart from retries."""
        return self._stretch.passed if self._stretch else 0

    async def run(self) -> None:
        """Return once `stop` was called and everything under way is settled."""
        self._is_paused = await self._parts.in_ledger(self._parts.ledger.pause, self.connection.id) is not None
        await asyncio.gather(
            self._supervise(self._live, self._deliver_new),
            self._supervise(self._retries, self._retry),
            self._supervise(self._backlog, self._catch_up),
            self._supervise(self._replays, self._replay),
        )

    def stop(self) -> None:
        """Start nothing new."""
        self._is_stopping = True
        for course in self._courses:
            course.sender.halt()
        self.wake()

    def cut(self) -> None:
        """Do not wait for answers any longer."""
        for course in self._courses:
            course.sender.cut()

    def wake(self) -> None:
        """Look again at what is to be done: something was added from outside."""
        for course in self._courses:
            course.changed.set()

    def resume(self) -> None:
        """Go on after a pause that the ledger has ended."""
        self._is_paused = False
        for course in self._courses:
            course.sender.go_on()
            course.pace.recover()
        self.wake()

    async def _supervise(self, course: Course, loop: Callable[[], Awaitable[None]]) -> None:
        wait_s = _FAILURE_WAIT_S
        while not self._is_stopping:
            began = time.monotonic()
            try:
                await loop()
            except Exception as error:  # noqa: BLE001 - the outermost loop: a full disk passes, delivery goes on
                if time.monotonic() - began > _FAILURE_WAIT_MAX_S:  # it had recovered meanwhile
                    wait_s = _FAILURE_WAIT_S
                self._log.error("delivery.failed", course=course.name, error=type(error).__name__)
                await course.sleep(wait_s)
                wait_s = min(_FAILURE_WAIT_MAX_S, wait_s * 2)

    async def _deliver_new(self) -> None:
        lane = await self._parts.in_ledger(self._parts.ledger.lane, self._lane.id)
        self._stretch = stretch = Stretch(self._parts.tail, lane)
        while not self._is_stopping:
            if await self._must_wait(self._live):
                continue
            piece = await self._next(stretch)
            if piece is None:
                if 0 < await asyncio.to_thread(self._parts.reader.end, Topic.EVENTS) < stretch.cursor:
                    await self._begin_again(stretch.cursor)
                    return
                await self._live.sleep_until(self._parts.reader.wait(Topic.EVENTS, stretch.cursor, timeout_s=_IDLE_S))
            elif await self._round(self._live, piece.wanted, piece.filtered, piece.move) and self._queue is None:
                stretch = self._stretch = await self._jumped(stretch)

    async def _next(self, stretch: Stretch) -> Piece | None:
        if stretch.is_at_hand:  # the way to a thread and back would take longer than the piece
            return stretch.take(self._live.pace.window, self._screen)
        return await asyncio.to_thread(stretch.take, self._live.pace.window, self._screen)

    async def _jumped(self, stretch: Stretch) -> Stretch:
        """Return where new events are read on: at the log's end when too much lies before it, else where they were.

        Only while the destination takes events: until then the backlog costs nothing, and would be jumped over twice.
        """
        parts, rules = self._parts, self._rules
        now, late_s = parts.now(), rules.split_after_s
        if await asyncio.to_thread(stretch.end_of_backlog, now - late_s, rules.split_events) is None:
            return stretch
        # Twice as late for each one that is still carried: what is always slower than its input would add ever more.
        late_s *= 2.0 ** len(await parts.in_ledger(parts.ledger.backlogs, self.connection.id))
        end = await asyncio.to_thread(stretch.end_of_backlog, now - late_s, rules.split_events)
        if end is None:
            return stretch
        lane = await parts.in_ledger(backlog.split, parts.ledger, self._lane.id, stretch.settled, end, parts.now())
        if lane is None:
            return stretch
        self._log.info("backlog.split", cursor=stretch.settled, until=end)
        self._backlog.changed.set()
        return Stretch(parts.tail, lane)

    async def _catch_up(self) -> None:
        """Carry what new events have jumped over, the oldest outage first."""
        ledger = self._parts.ledger
        while not self._is_stopping:
            for lane in await self._parts.in_ledger(ledger.backlogs, self.connection.id):
                self._own_lanes.add(lane.id)
                self._backlog.pace.start_small()
                await self._carry_backlog(lane)
            if not self._is_stopping:
                await self._backlog.sleep(_IDLE_S)

    async def _carry_backlog(self, lane: Lane) -> None:
        parts, course = self._parts, self._backlog
        stretch = Stretch(parts.tail, lane)
        while not stretch.is_finished and not self._is_stopping:
            if await self._must_wait(course):
                continue
            if (await parts.in_ledger(parts.ledger.lane, lane.id)).finished_at is not None:
                return  # the log was replaced by an older copy
            piece = await asyncio.to_thread(stretch.take, course.pace.window, self._screen)
            if piece is None:
                break
            await self._round(course, piece.wanted, piece.filtered, piece.move)
        if stretch.is_finished:
            await parts.in_ledger(parts.ledger.finish, lane.id, parts.now())
            self._log.info("backlog.finished", until=lane.until)

    async def _begin_again(self, cursor: int) -> None:
        """Go on in an older copy of the log with what arrived after the last delivery: the rest was delivered before.

        Its sequences were used already, so waiting for the cursor would skip as many new events as the copy lacks.
        """
        parts = self._parts
        _, delivered_at = await parts.in_ledger(parts.ledger.last_seen, self.connection.id)
        since = datetime.fromtimestamp(delivered_at or self._lane.started_at, UTC)
        first = await asyncio.to_thread(cursor_at, parts.reader, since)
        lane = await parts.in_ledger(parts.ledger.lane, self._lane.id)
        self._lane = await parts.in_ledger(backlog.begin_again, parts.ledger, lane, first, parts.now())
        self._own_lanes.add(self._lane.id)
        self._log.error("log.older_copy", cursor=cursor, first=first)

    async def _retry(self) -> None:
        ledger, destination = self._parts.ledger, self.connection.id
        while not self._is_stopping:
            if await self._must_wait(self._retries) or not self.connection.enabled:
                await self._retries.sleep(0 if self.connection.enabled else _IDLE_S)
                continue
            items = await self._parts.in_ledger(ledger.due, destination, self._parts.now(), self._retries.pace.window)
            if items:
                reasons = [self._screen.withheld(item.event) for item in items]  # also of what waits for long already
                kept = [item for item, reason in zip(items, reasons, strict=True) if not reason]
                out = [(item, Filtered(reason)) for item, reason in zip(items, reasons, strict=True) if reason]
                await self._round(self._retries, kept, out)
                continue
            due_at = await self._parts.in_ledger(ledger.next_due_at, destination)
            await self._retries.sleep(_IDLE_S if due_at is None else min(_IDLE_S, due_at - self._parts.now()))

    async def _replay(self) -> None:
        while not self._is_stopping:
            lanes = await self._parts.in_ledger(self._parts.ledger.replays, self.connection.id)
            lane = next((lane for lane in lanes if lane.finished_at is None), None)
            if lane is not None and self.connection.enabled and await self._send_again(lane):
                continue
            if not self._is_stopping:  # the wake that tells of it may have ended another sleep
                await self._replays.sleep(_IDLE_S)

    async def _send_again(self, lane: Lane) -> bool:
        """Carry a replay on; return True when it has ended, False when this cannot go on now."""
        parts, course = self._parts, self._replays
        rate_per_s = await parts.in_ledger(begin, parts.ledger, lane, parts.rules.replay_per_s, parts.now())
        screen = self._screen.again(Selection.from_json(lane.selection or "{}"))
        stretch, free_at = Stretch(parts.tail, lane), 0.0
        while not stretch.is_finished and not self._is_stopping:
            if await self._must_wait(course):
                continue
            if (hold_s := free_at - time.monotonic()) > 0:
                await course.sleep(hold_s)
                continue
            if (await parts.in_ledger(parts.ledger.lane, lane.id)).finished_at is not None:
                return True  # cancelled
            window = max(1, min(course.pace.window, int(rate_per_s)))
            piece = await asyncio.to_thread(stretch.take, window, screen)
            if piece is None:
                break
            free_at = time.monotonic() + len(piece.wanted) / rate_per_s
            await self._round(course, piece.wanted, piece.filtered, piece.move)
        if stretch.is_finished:
            await parts.in_ledger(parts.ledger.finish, lane.id, parts.now())
            self._log.info("replay.finished", replay=lane.id)
        return stretch.is_finished

    async def _round(
        self,
        course: Course,
        wanted: Sequence[Item],
        filtered: Sequence[tuple[Item, Filtered]] = (),
        move: Move | None = None,
    ) -> bool:
        """Carry some events to the destination and settle every one of them; return whether it took or judged any."""
        started = time.monotonic()
        attempts = await course.sender.attempt(wanted)
        now = self._parts.now()
        fates = [(attempt.item, self._fate(attempt, now)) for attempt in attempts]
        refusal = why_ended(attempt.outcome for attempt in attempts if not isinstance(attempt.outcome, Delivered))
        settlement = Settlement(
            connection=self.connection.id,
            fates=[*fates, *filtered],
            move=move,
            paused=refusal,
            revision=self.connection.revision,
            is_ordered=self._queue is not None,
            overtaken=self._breaks.note(fates),
        )
        waits = await self._settled(course, settlement, now)
        if self._queue is not None:
            self._queue.follow(waits)
        goes_well = course.pace.note(attempts)
        self._learn(course, refusal, goes_well=goes_well)
        self._report(course, settlement, time.monotonic() - started)
        return goes_well

    async def _settled(self, course: Course, settlement: Settlement, now: float) -> Mapping[str, bool]:
        """Commit a round as soon as the disk lets it: what was delivered is not sent again because it is full."""
        wait_s = _FAILURE_WAIT_S
        while True:
            try:
                return await self._parts.settle(settlement, now)
            except sqlite.OperationalError as error:
                if self._is_stopping:
                    raise
                self._log.error("delivery.unsettled", course=course.name, error=type(error).__name__)
                await course.sleep(wait_s)
                wait_s = min(_FAILURE_WAIT_MAX_S, wait_s * 2)

    def _fate(self, attempt: Attempt, now: float) -> Fate:
        fate = fate_of(attempt, self._rules, now)
        # A replayed event is as old as it is: its age says nothing about the speed of delivery.
        is_new = attempt.item.lane in self._own_lanes
        return fate if is_new or not isinstance(fate, Done) else Done(fate.first_try, None)

    def _learn(self, course: Course, refusal: str | None, *, goes_well: bool) -> None:
        if goes_well:
            for other in self._courses:
                other.pace.recover()
        elif course is self._live and course.pace.is_failing:
            self._retries.pace.start_small()  # what just failed need not fail as a crowd again
        if refusal is not None:
            self._is_paused = True
            for other in self._courses:
                other.sender.halt()
            self._log.warning("connection.paused", reason=refusal)

    def _report(self, course: Course, settlement: Settlement, seconds: float) -> None:
        counts = {
            "delivered": len(settlement.done),
            "filtered": len(settlement.filtered),
            "waiting": len(settlement.waiting),
            "dead": len(settlement.dead),
        }
        happened = "batch.retried" if counts["waiting"] and not counts["delivered"] else "batch.delivered"
        self._log.info(happened, course=course.name, **counts, duration_ms=round(seconds * 1000))
        if counts["waiting"]:
            self._retries.changed.set()
        if settlement.move is not None and settlement.move.missed:
            self._log.error("log.gap", cursor=settlement.move.cursor, missed=settlement.move.missed)

    async def _must_wait(self, course: Course) -> bool:
        """Wait a while, and return True, when this course may not start a round now."""
        hold_s = course.pace.wait_s()
        if self._is_paused or hold_s > 0:
            await course.sleep(max(hold_s, _IDLE_S) if self._is_paused else hold_s)
            # A pause that was ended while its round was still being settled would go on here for ever.
            if self._is_paused and await self._parts.in_ledger(self._parts.ledger.pause, self.connection.id) is None:
                self.resume()
            return True
        return False

    def _code_failed(self, error: BaseException) -> None:
        if type(error).__name__ not in self._failures_logged:
            self._failures_logged.add(type(error).__name__)
            self._log.error("destination.failed", error=type(error).__name__)
