"""What a store promises: a place where something about people lies, that can count it and take it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from headwater.privacy.person import Person


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a regulation goes.

    Attributes:
        sources: ids of the sources whose records are meant, with their schemas in warehouses.
        workspace_id: whose they are.
        is_whole: the whole workspace is meant; else one source of it.
        is_alone: there is no other workspace: what is of a source that was deleted is meant as well.
    """

    workspace_id: str
    sources: Mapping[str, str]
    is_whole: bool = True
    is_alone: bool = False

    def holds(self, source_id: str) -> bool:
        """Tell whether records of a source are meant."""
        return source_id in self.sources or (self.is_whole and self.is_alone)


class Store(Protocol):
    """One place. Both methods may be called again after a crash, and each ends within a bounded memory.

    Attributes:
        name: as the receipt tells it, such as `log.events`.
    """

    @property
    def name(self) -> str:
        """What the receipt calls it."""
        ...

    async def count(self, person: Person, reach: Reach) -> int:
        """Return how many records of the person are there; what was erased does not count."""
        ...

    async def erase(self, person: Person, reach: Reach) -> int:
        """Take them out for good and return how many; a second time finds nothing.

        Raises:
            HeadwaterError: not now; the runner tries again.
        """
        ...
