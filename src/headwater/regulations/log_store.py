"""The log as a store: found by reading here, erased by the one process that writes it."""

from __future__ import annotations

from typing import Final

from headwater.eventlog.contract import Eraser, Reader, Topic
from headwater.privacy.matching import Matcher
from headwater.privacy.person import Person
from headwater.regulations.reading import hits
from headwater.regulations.stores import Reach

_AT_ONCE_MAX: Final = 100_000  # ours: records that one call erases; some 4 MB of numbers


class LogStore:
    """One topic."""

    def __init__(self, reader: Reader, eraser: Eraser, topic: Topic) -> None:
        self._reader, self._eraser, self._topic = reader, eraser, topic

    @property
    def name(self) -> str:
        """What the receipt calls it."""
        return f"log.{self._topic}"

    async def count(self, person: Person, reach: Reach) -> int:
        """Return how many records are theirs."""
        matcher = Matcher(person)
        return sum([len(found) async for found in hits(self._reader, self._topic, matcher, reach)])

    async def erase(self, person: Person, reach: Reach) -> int:
        """Put a tombstone in place of each."""
        erased, waiting = 0, list[int]()
        async for found in hits(self._reader, self._topic, Matcher(person), reach):
            waiting += [hit.seq for hit in found]
            if len(waiting) >= _AT_ONCE_MAX:
                erased += (await self._eraser.erase(self._topic, waiting)).records
                waiting = []
        if waiting:
            erased += (await self._eraser.erase(self._topic, waiting)).records
        return erased
