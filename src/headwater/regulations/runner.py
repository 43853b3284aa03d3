"""Carries regulations out: who else is meant, store by store, destinations, the proof.

Who is meant is found, and suppressed, as soon as a regulation is there; deletions are done one after the other.

What is done is noted after each step, so that a kill at any moment costs a step; every step may be done twice. What
fails is tried again, ever later, for 72 hours; then it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from headwater import sqlite
from headwater.clock import Clock
from headwater.errors import ConflictError, CorruptLogError, HeadwaterError, UnsupportedError
from headwater.eventlog.contract import Reader
from headwater.privacy.person import Person
from headwater.privacy.regulation import RegulationType, Status
from headwater.privacy.subjects import Kind, Subject, person
from headwater.regulations.linking import UserOf, linked
from headwater.regulations.receipt import DestinationResult, Receipt, StoreResult, overall, receipt_of
from headwater.regulations.searching import search
from headwater.regulations.stores import Reach, Store

RETRY_FOR: Final = timedelta(hours=72)  # ours: as for events that are delivered
_RETRY_FIRST: Final = timedelta(seconds=10)
_RETRY_MAX: Final = timedelta(hours=1)
_EVERY_S: Final = 2.0  # ours: how soon a new regulation is seen
_PASSES_MAX: Final = 3  # ours: of one try over a store into which events under way still fall

_FAILURES: Final = (HeadwaterError, OSError, sqlite.Error)
"""What one store or destination may meet, such as a full disk, without keeping others from their turn."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Work:
    """A regulation that is to be carried out.

    Attributes:
        subjects: who was named; once the others were found, they too.
        begins_at: from then on it is tried, for 72 hours.
        receipt: how far it is.
    """

    id: str
    type: RegulationType
    subjects: frozenset[Subject] = field(repr=False)
    reach: Reach
    follows_links: bool
    begins_at: datetime
    receipt: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A destination of the sources that are meant."""

    id: str
    name: str
    type: str
    source_id: str


class Books(Protocol):
    """Where regulations are kept; every method blocks and is called in a thread."""

    def due(self) -> Sequence[Work]:
        """Return what is to be done now, oldest first."""
        ...

    def resolved(self, work: Work, because: Mapping[Subject, Subject], receipt: Mapping[str, Any]) -> None:
        """Keep who else is meant, and suppress them where the type says so; returns once that is stored."""
        ...

    def note(self, work: Work, status: Status, receipt: Mapping[str, Any], reason: str) -> bool:
        """Keep how far it is; False where it was undone."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What regulations are carried out on.

    Attributes:
        stores: gives the stores of a reach, in the order in which they are emptied.
        targets: gives the destinations of a reach.
        ask: tells a destination to delete; False where it has no way to.
        users_of: see `linking.UserOf`.
        settle: returns once a suppression is in force in this process.
    """

    reader: Reader
    data_dir: Path
    stores: Callable[[Reach], Sequence[Store]]
    targets: Callable[[Reach], Sequence[Target]]
    ask: Callable[[Target, Person], Awaitable[bool]]
    users_of: Sequence[UserOf]
    settle: Callable[[], Awaitable[None]]


class Runner:
    """Works until it is cancelled."""

    def __init__(self, books: Books, ground: Ground, clock: Clock) -> None:
        self._books, self._ground, self._clock = books, ground, clock
        self.woken, self._found = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Carry out what is due, and look for more; nobody's suppression waits while somebody else is deleted."""
        await asyncio.gather(self._always(self.find, self.woken), self._always(self.delete, self._found))

    async def _always(self, work: Callable[[], Awaitable[None]], woken: asyncio.Event) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the outermost loop: a full disk passes, the next look goes on
                _log.error("regulations.failed", error=type(error).__name__)
            woken.clear()
            try:
                async with asyncio.timeout(_EVERY_S):
                    await woken.wait()
            except TimeoutError:
                continue

    async def step(self) -> None:
        """Try everything that is due once."""
        await self.find()
        await self.delete()

    async def find(self) -> None:
        """Find out who is meant by what is new, and suppress them where the type says so."""
        due = await self._due()
        new = [each for each in due if not each[1].is_resolved]
        for work, receipt in new:
            await self._try(work, receipt, self._find)
            self._found.set()
        suppressed = [(work, receipt) for work, receipt in due if receipt.is_resolved and not work.type.deletes]
        if suppressed:
            await self._ground.settle()
        for work, receipt in suppressed:
            await self._end(work, receipt)

    async def delete(self) -> None:
        """Delete those who were found, one regulation after the other."""
        for work, receipt in await self._due():
            if receipt.is_resolved and work.type.deletes:
                await self._try(work, receipt, self._delete)

    async def _due(self) -> list[tuple[Work, Receipt]]:
        now, due = self._clock(), await asyncio.to_thread(self._books.due)
        found = [(work, receipt_of(work.receipt)) for work in due]
        return [
            (work, receipt)
            for work, receipt in found
            if receipt.next_try_at is None or datetime.fromisoformat(receipt.next_try_at) <= now
        ]

    async def preview(self, subjects: frozenset[Subject], reach: Reach, *, follows_links: bool) -> dict[str, Any]:
        """Return {"linked": [...], "stores": [{"name", "count"}], "destinations": [...]} without a change."""
        because = await self._resolve(subjects, reach, follows_links=follows_links)
        whom = person(set(because))
        return {
            "linked": [
                {"kind": each.kind.value, "value": each.value, "isNamed": each in subjects} for each in sorted(because)
            ],
            "stores": [
                {"name": store.name, "count": await store.count(whom, reach)} for store in self._ground.stores(reach)
            ],
            "destinations": [
                {"id": each.id, "name": each.name, "type": each.type} for each in self._ground.targets(reach)
            ],
        }

    async def _resolve(
        self, subjects: frozenset[Subject], reach: Reach, *, follows_links: bool
    ) -> dict[Subject, Subject]:
        if not follows_links:
            return {each: each for each in subjects}
        return await linked(self._ground.reader, subjects, reach, self._ground.users_of)

    async def _try(self, work: Work, receipt: Receipt, carry_out: Callable[[Work, Receipt], Awaitable[None]]) -> None:
        """Do what is left of a regulation, and note how that ended."""
        receipt.tries += 1
        receipt.next_try_at = None
        if not await self._noted(work, Status.RUNNING, receipt):
            return
        try:
            await carry_out(work, receipt)
        except _FAILURES as error:
            await self._later(work, receipt, error)

    async def _find(self, work: Work, receipt: Receipt) -> None:
        """Keep who is meant, and suppress them; what is tried from then on is the deletion."""
        because = await self._resolve(work.subjects, work.reach, follows_links=work.follows_links)
        receipt.linked = {kind.value: sum(each.kind is kind for each in because) for kind in Kind}
        receipt.is_resolved, receipt.tries = True, 0 if work.type.deletes else receipt.tries
        await asyncio.to_thread(self._books.resolved, work, because, receipt.shape())

    async def _delete(self, work: Work, receipt: Receipt) -> None:
        """Empty all stores, tell destinations, and search."""
        await self._ground.settle()
        whom = person(work.subjects)
        await self._empty(work, receipt, whom)
        if work.type.asks_destinations:
            await self._ask_destinations(work, receipt, whom)
        if _is_over(receipt) and await self._is_found(receipt, whom):
            # What was under way while a store was emptied has come to rest in it since: a delivery that failed then.
            for each in receipt.stores:
                each.status = Status.RUNNING
            await self._empty(work, receipt, whom)
            await self._is_found(receipt, whom)
        if _is_over(receipt):
            await self._end(work, receipt)
        else:
            await self._later(work, receipt, None)

    async def _is_found(self, receipt: Receipt, whom: Person) -> bool:
        found = await asyncio.to_thread(search, self._ground.data_dir, whom)
        receipt.note_search(found)
        return bool(found.found)

    async def _end(self, work: Work, receipt: Receipt) -> None:
        await self._noted(work, overall(each.status for each in _parts(receipt)), receipt)
        _log.info("regulation.finished", regulation=work.id, type=work.type.value, tries=receipt.tries)

    async def _empty(self, work: Work, receipt: Receipt, whom: Person) -> None:
        """Empty one store after the other; one that fails keeps none of the others from it."""
        for store in self._ground.stores(work.reach):
            result = receipt.store(store.name)
            if result.status.is_over:
                continue
            try:
                await self._emptied(store, result, work, receipt, whom)
            except CorruptLogError as error:
                result.error = str(error)
            except _FAILURES as error:
                result.error = _sentence(error)
            await self._noted(work, Status.RUNNING, receipt)

    async def _emptied(self, store: Store, result: StoreResult, work: Work, receipt: Receipt, whom: Person) -> None:
        if result.status is Status.INITIALIZED:
            result.before, result.status = await store.count(whom, work.reach), Status.RUNNING
            await self._noted(work, Status.RUNNING, receipt)  # after a kill in the next line it could not be told
        for _ in range(_PASSES_MAX):
            result.erased += await store.erase(whom, work.reach)
            left = result.after = await store.count(whom, work.reach)
            if not left:
                break
        result.before = max(result.before, result.erased)
        result.erased = max(result.erased, result.before - left)
        if left:
            result.error = f"{left} records are still there; they are tried again."
            return
        result.status, result.error, result.finished_at = Status.FINISHED, "", self._now()

    async def _ask_destinations(self, work: Work, receipt: Receipt, whom: Person) -> None:
        known = {each.id: each for each in receipt.destinations}
        for target in self._ground.targets(work.reach):
            if target.id not in known:
                made = DestinationResult(target.id, target.name, target.type, target.source_id)
                receipt.destinations.append(made)
                known[target.id] = made
            result = known[target.id]
            if result.status.is_over:
                continue
            try:
                is_supported = await self._ground.ask(target, whom)
            except UnsupportedError as error:
                result.status, result.error, result.finished_at = Status.NOT_SUPPORTED, str(error), self._now()
            except _FAILURES as error:
                result.status, result.error = Status.RUNNING, _sentence(error)
            else:
                result.status = Status.FINISHED if is_supported else Status.NOT_SUPPORTED
                result.error = "" if is_supported else "It offers no deletion that Headwater knows; delete them there."
                result.finished_at = self._now()
            await self._noted(work, Status.RUNNING, receipt)

    async def _later(self, work: Work, receipt: Receipt, error: Exception | None) -> None:
        """Try again after a while, or give up."""
        reason = "" if error is None else _sentence(error)
        parts = _parts(receipt)
        if isinstance(error, ConflictError) or self._clock() >= work.begins_at + RETRY_FOR:
            for each in parts:
                if not each.status.is_over:
                    each.status = Status.FAILED
            told = reason or next((each.error for each in parts if each.status is Status.FAILED), "")
            status = overall([each.status for each in parts] or [Status.FAILED])
            await self._noted(work, Status.FAILED if error else status, receipt, told)
            _log.error("regulation.given_up", regulation=work.id, status=status.value)
            return
        wait = min(_RETRY_MAX, _RETRY_FIRST * 2 ** min(receipt.tries - 1, 10))
        receipt.next_try_at = (self._clock() + wait).isoformat()
        told = reason or next((each.error for each in parts if each.error), "")
        await self._noted(work, Status.RUNNING, receipt, told)

    async def _noted(self, work: Work, status: Status, receipt: Receipt, reason: str = "") -> bool:
        return await asyncio.to_thread(self._books.note, work, status, receipt.shape(), reason)

    def _now(self) -> str:
        return self._clock().isoformat()


def _parts(receipt: Receipt) -> list[StoreResult | DestinationResult]:
    return [*receipt.stores, *receipt.destinations]


def _is_over(receipt: Receipt) -> bool:
    return all(each.status.is_over for each in _parts(receipt))


def _sentence(error: Exception) -> str:
    """Return why something failed; an error that is not ours may hold an address or a path."""
    return str(error) if isinstance(error, HeadwaterError) else f"It failed with {type(error).__name__}; tried again."
