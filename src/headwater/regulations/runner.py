"""Carries regulations out, one after the other: who else is meant, store by store, destinations, the proof.

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
        self.woken = asyncio.Event()

    async def run(self) -> None:
        """Carry out what is due, and look for more."""
        while True:
            try:
                await self.step()
            except Exception as error:  # noqa: BLE001 - the outermost loop: a full disk passes, the next look goes on
                _log.error("regulations.failed", error=type(error).__name__)
            self.woken.clear()
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self.woken.wait()
            except TimeoutError:
                continue

    async def step(self) -> None:
        """Try everything that is due once."""
        for work in await asyncio.to_thread(self._books.due):
            receipt = receipt_of(work.receipt)
            if receipt.next_try_at is None or datetime.fromisoformat(receipt.next_try_at) <= self._clock():
                await self._try(work, receipt)

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

    async def _try(self, work: Work, receipt: Receipt) -> None:
        """Do what is left of a regulation, and note how that ended."""
        receipt.tries += 1
        receipt.next_try_at = None
        if not await self._noted(work, Status.RUNNING, receipt):
            return
        try:
            whom = await self._whom(work, receipt)
            if work.type.deletes:
                await self._empty(work, receipt, whom)
                if work.type.asks_destinations:
                    await self._ask_destinations(work, receipt, whom)
        except (HeadwaterError, OSError) as error:
            await self._later(work, receipt, error)
            return
        parts: list[StoreResult | DestinationResult] = [*receipt.stores, *receipt.destinations]
        if any(not each.status.is_over for each in parts):
            await self._later(work, receipt, None)
            return
        if work.type.deletes:
            receipt.note_search(await asyncio.to_thread(search, self._ground.data_dir, whom))
        await self._noted(work, overall(each.status for each in parts), receipt)
        _log.info("regulation.finished", regulation=work.id, type=work.type.value, tries=receipt.tries)

    async def _whom(self, work: Work, receipt: Receipt) -> Person:
        if receipt.is_resolved:
            return person(work.subjects)
        because = await self._resolve(work.subjects, work.reach, follows_links=work.follows_links)
        receipt.linked = {kind.value: sum(each.kind is kind for each in because) for kind in Kind}
        receipt.is_resolved = True
        await asyncio.to_thread(self._books.resolved, work, because, receipt.shape())
        await self._ground.settle()
        return person(set(because))

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
            except (HeadwaterError, OSError) as error:
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
            except (HeadwaterError, OSError) as error:
                result.status, result.error = Status.RUNNING, _sentence(error)
            else:
                result.status = Status.FINISHED if is_supported else Status.NOT_SUPPORTED
                result.error = "" if is_supported else "It offers no deletion that Headwater knows; delete them there."
                result.finished_at = self._now()
            await self._noted(work, Status.RUNNING, receipt)

    async def _later(self, work: Work, receipt: Receipt, error: Exception | None) -> None:
        """Try again after a while, or give up."""
        reason = "" if error is None else _sentence(error)
        parts: list[StoreResult | DestinationResult] = [*receipt.stores, *receipt.destinations]
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


def _sentence(error: Exception) -> str:
    """Return why something failed; an error that is not ours may hold an address or a path."""
    return str(error) if isinstance(error, HeadwaterError) else f"It failed with {type(error).__name__}; tried again."
