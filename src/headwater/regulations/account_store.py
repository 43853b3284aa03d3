"""What sources remember of people: who is who, and which events wait for a second telling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from headwater.privacy.person import Person
from headwater.regulations.stores import Reach


class Remembers(Protocol):
    """A source's worker, as far as it can forget."""

    def held(self, workspace_id: str, source_ids: Sequence[str], emails: Iterable[str]) -> int:
        """Return how many entries are about these addresses."""
        ...

    def forget(self, workspace_id: str, source_ids: Sequence[str], emails: Iterable[str]) -> int:
        """Remove them for good and return how many there were."""
        ...


class AccountStore:
    """The memory of one type of source."""

    def __init__(self, name: str, worker: Remembers) -> None:
        self._name, self._worker = name, worker

    @property
    def name(self) -> str:
        """What the receipt calls it."""
        return f"source.{self._name}"

    async def count(self, person: Person, reach: Reach) -> int:
        """Return how many entries are theirs."""
        return await self._each(self._worker.held, person, reach)

    async def erase(self, person: Person, reach: Reach) -> int:
        """Remove them."""
        return await self._each(self._worker.forget, person, reach)

    async def _each(self, act: Callable[[str, Sequence[str], Iterable[str]], int], person: Person, reach: Reach) -> int:
        return await asyncio.to_thread(act, reach.workspace_id, list(reach.sources), sorted(person.emails))
