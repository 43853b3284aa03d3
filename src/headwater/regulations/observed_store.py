"""Names of events and properties that somebody was written into: no values are kept, but a sender may name so."""

from __future__ import annotations

import asyncio
from typing import Final

from headwater.observing.book import Book
from headwater.privacy.person import Person
from headwater.regulations.stores import Reach

_CHARS_MIN: Final = 8  # ours: a shorter id stands in names that have nothing to do with anybody


class ObservedStore:
    """The book of what sources have sent. What is taken out is seen anew if it is ever sent again."""

    def __init__(self, book: Book) -> None:
        self._book = book

    @property
    def name(self) -> str:
        """What the receipt calls it."""
        return "schema"

    async def count(self, person: Person, reach: Reach) -> int:
        """Return how many names hold one of their identifiers."""
        return await asyncio.to_thread(self._book.names_holding, list(reach.sources), _texts(person))

    async def erase(self, person: Person, reach: Reach) -> int:
        """Forget those names."""
        return await asyncio.to_thread(self._book.forget_names, list(reach.sources), _texts(person))


def _texts(person: Person) -> list[str]:
    ids = {each for each in person.user_ids | person.anonymous_ids if len(each) >= _CHARS_MIN}
    return sorted(person.emails | ids)
