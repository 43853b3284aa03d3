"""What regulations need of the rest: where they are kept, and the places of a person's data in this installation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from headwater.app.suppressing import Following
from headwater.clock import Clock
from headwater.control.privacy.regulations import Regulation, Task
from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.delivery.engine import Delivery
from headwater.errors import NotFoundError
from headwater.eventlog.contract import Eraser, Reader, Topic
from headwater.loading.engine import Loading
from headwater.observing.book import Book
from headwater.privacy.person import Person
from headwater.privacy.regulation import Status
from headwater.privacy.subjects import Kind, Subject, subject
from headwater.regulations.account_store import AccountStore, Remembers
from headwater.regulations.delivery_store import DeliveryStore
from headwater.regulations.log_store import LogStore
from headwater.regulations.observed_store import ObservedStore
from headwater.regulations.runner import Ground, Runner, Target, Work
from headwater.regulations.stores import Reach, Store
from headwater.regulations.warehouse_store import Place, WarehouseStore
from headwater.sources.contract import Worker

_SETTLED_S: Final = 3.0  # ours: by then every process follows the list of the suppressed, which it looks at each second


class Books:
    """Regulations as the control database keeps them, for the runner."""

    def __init__(self, control: Control, reach_of: Callable[[str, str | None], Reach], clock: Clock) -> None:
        self._control, self._reach_of, self._clock = control, reach_of, clock
        self._known: dict[str, Regulation] = {}

    def due(self) -> list[Work]:
        """Return what is to be done now, oldest first."""
        tasks = self._control.regulations.due(self._clock())
        self._known = {task.regulation.id: task.regulation for task in tasks}
        found: list[Work] = []
        for task in tasks:
            try:
                found.append(self._work(task))
            except NotFoundError as error:
                self._control.regulations.note(task.regulation.id, Status.FAILED, task.regulation.receipt, str(error))
        return found

    def resolved(self, work: Work, because: Mapping[Subject, Subject], receipt: Mapping[str, Any]) -> None:
        """Keep who else is meant."""
        self._control.regulations.resolved(self._known[work.id], because, receipt)

    def note(self, work: Work, status: Status, receipt: Mapping[str, Any], reason: str) -> bool:
        """Keep how far it is."""
        return self._control.regulations.note(work.id, status, receipt, reason)

    def _work(self, task: Task) -> Work:
        told = task.regulation
        reach = self._reach_of(told.workspace_id, told.source_id)
        return Work(told.id, told.type, task.subjects, reach, told.follows_links, told.begins_at, told.receipt)


class People:
    """What the web role asks about people; see `control.pipeline.Pipeline`."""

    def __init__(self, runner: Runner, reach_of: Callable[[str, str | None], Reach]) -> None:
        self._runner, self._reach_of = runner, reach_of

    async def preview(
        self, workspace_id: str, subjects: Sequence[tuple[str, str]], source_id: str | None, *, follows_links: bool
    ) -> dict[str, Any]:
        """Return what a regulation would find."""
        named = frozenset(subject(Kind(kind), value) for kind, value in subjects)
        reach = self._reach_of(workspace_id, source_id)
        return await self._runner.preview(named, reach, follows_links=follows_links)

    def wake(self) -> None:
        """Let the runner look for new regulations now."""
        self._runner.woken.set()


class Regulating:
    """Knows the places of a person's data in the present configuration."""

    def __init__(
        self,
        reader: Reader,
        eraser: Eraser,
        delivery: Delivery,
        loading: Loading,
        workers: Mapping[str, Worker],
        data_dir: Path,
        *,
        book: Book,
    ) -> None:
        self._reader, self._eraser, self._book = reader, eraser, book
        self._delivery, self._loading, self._workers, self._data_dir = delivery, loading, workers, data_dir
        self._snapshot = Snapshot(0, (), (), ())

    def use(self, snapshot: Snapshot) -> None:
        """Take over a new configuration."""
        self._snapshot = snapshot

    def runner(self, control: Control, following: Following, clock: Clock) -> Runner:
        """Return what carries regulations out."""

        async def settle() -> None:
            await following.refresh()
            await asyncio.sleep(_SETTLED_S)

        users_of = [worker.user_of for worker in self._workers.values()]

        async def ask(target: Target, person: Person) -> bool:
            return await self._delivery.erase_person(target.id, person)

        ground = Ground(self._reader, self._data_dir, self._stores, self._targets, ask, users_of, settle)
        return Runner(Books(control, self.reach, clock), ground, clock)

    def reach(self, workspace_id: str, source_id: str | None) -> Reach:
        """Return which records a regulation is about.

        Raises:
            NotFoundError: the workspace never had this source.
        """
        here = [each for each in self._snapshot.sources if each.workspace_id == workspace_id]
        gone = [each for each in self._snapshot.deleted_sources if each.workspace_id == workspace_id]
        ours = {each.id: each.schema_name for each in here} | {each.id: each.schema_name for each in gone}
        if source_id is not None:
            if source_id not in ours:
                raise NotFoundError("There is no such source, and none of this id was deleted here.")
            return Reach(workspace_id, {source_id: ours[source_id]}, is_whole=False)
        everything = len(self._snapshot.sources) + len(self._snapshot.deleted_sources)
        return Reach(workspace_id, ours, is_alone=len(ours) == everything)

    def _stores(self, reach: Reach) -> Sequence[Store]:
        """Return the places, in the order in which they are emptied: first what others are made of."""
        stores: list[Store] = [LogStore(self._reader, self._eraser, topic) for topic in Topic]
        stores += [DeliveryStore(self._delivery.forgetting), ObservedStore(self._book)]
        remembering: dict[str, Remembers] = dict(self._workers)
        stores += [AccountStore(name, worker) for name, worker in remembering.items()]
        stores += [
            WarehouseStore(
                Place(each.id, each.name, each.type, each.settings, self._data_dir / "warehouses" / each.id),
                self._loading.orders.remove,
            )
            for each in self._snapshot.warehouses
            if each.workspace_id == reach.workspace_id
        ]
        return stores

    def _targets(self, reach: Reach) -> Sequence[Target]:
        return [
            Target(each.id, each.name, each.type, each.source_id)
            for each in self._snapshot.destinations
            if each.source_id in reach.sources
        ]
