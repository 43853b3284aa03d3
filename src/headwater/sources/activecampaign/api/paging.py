"""Read a report page by page, although nobody says how long a page is, how many there are, or whether there are any.

A page may hold 20 rows or 100; the parameter may be ignored, so that every page is the whole list; rows come and go
meanwhile. The end is an empty page, or one that tells nothing new, or a shorter one once the campaign's own counter
is reached.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from headwater.errors import DeliveryError
from headwater.sources.activecampaign.api.rows import ClickRow, OpenRow

T = TypeVar("T")

PAGE_ROWS_MIN: Final = 20  # ActiveCampaign's smallest known page: a first one with fewer rows is the last
PAGES_MAX: Final = 100_000  # ours: of one report; two million rows at 20 a page


class Page(list[T]):
    """One page of a report whose entries may have no row, as a link that nobody followed.

    Attributes:
        entries: what names each entry: a page without rows is not the end while it has entries.
    """

    def __init__(self, rows: Iterable[T], entries: Iterable[Hashable]) -> None:
        """Take the rows, and what names the entries that they come from."""
        super().__init__(rows)
        self.entries = tuple(entries)


async def pages(
    fetch: Callable[[int], Awaitable[list[T]]], *, first: int = 1, expected: int = 0, ahead: int = 4
) -> AsyncIterator[tuple[int, list[T]]]:
    """Yield the pages of a report with their numbers, in order, until there are no more.

    Args:
        fetch: reads one page.
        first: the page to begin with: where an earlier reading stopped.
        expected: rows of the whole report by the campaign's counter, 0 where it is not known. It may be wrong: it
            only tells how many pages can be asked for at once, and when a short page needs no page after it.
        ahead: pages that are asked for at the same time at most.

    Raises:
        DeliveryError: there is no end to it; and whatever `fetch` raises, after the pages before were yielded.
    """
    reading: _Reading[T] = _Reading(first, expected)
    under_way: deque[asyncio.Future[list[T]]] = deque()
    try:
        for number in range(first, first + PAGES_MAX):
            while len(under_way) < reading.at_once(number, ahead):
                under_way.append(asyncio.ensure_future(fetch(number + len(under_way))))
            rows = reading.taken(await under_way.popleft())
            if rows:
                yield number, rows
            if reading.ended:
                return
    finally:
        for waiting in under_way:
            waiting.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    raise DeliveryError("ActiveCampaign's report has no end; reading it was given up.")


class _Reading(Generic[T]):
    """What the pages so far tell about the rest; holds two pages' names, however long the report is."""

    def __init__(self, first: int, expected: int) -> None:
        self._first, self._expected = first, expected
        self._beginning: frozenset[int] = frozenset()
        self._before: frozenset[int] = frozenset()
        self._size = self._count = self._rows = self._repeats = 0
        self.ended = False

    def at_once(self, number: int, ahead: int) -> int:
        """Return how many pages from `number` on may be asked for together.

        One by one until the second has shown that pages are numbered at all, and after the last that the counter
        promises: a page too many costs a request that others wait for.
        """
        if self._count < 2 or self._repeats:  # noqa: PLR2004 - the second page
            return 1
        last = -(-self._expected // self._size)
        return max(1, min(ahead, last - number + 1))

    def taken(self, page: list[T]) -> list[T]:
        """Return the rows of the next page that are to be passed on, and see whether it was the last."""
        length = len(page) or (len(page.entries) if isinstance(page, Page) else 0)
        if not length:
            self.ended = True
            return []
        names = _names(page)
        self._count += 1
        if self._count == 1:
            self._beginning = self._before = names
            self._size, self._rows = length, len(page)
            self.ended = self._first == 1 and length < PAGE_ROWS_MIN and self._is_complete()
            return page
        if self._repeats_itself(names):
            known = self._beginning | self._before
            self._repeats += 1
            # A list that grows at its front shifts a whole page into the next: only a second repeat in a row is sure.
            self.ended = self._repeats > (self._rows < self._expected)
            page = [row for row in page if hash(_about(row)) not in known]
        else:
            self._repeats = 0
            self._before = names
            self.ended = False
        self._rows += len(page)
        if self._first == 1 and length < self._size and self._is_complete():
            self.ended = True
        return page

    def _is_complete(self) -> bool:
        return 0 < self._expected <= self._rows

    def _repeats_itself(self, names: frozenset[int]) -> bool:
        return any(names <= known or known <= names for known in (self._beginning, self._before))


def _names(page: list[T]) -> frozenset[int]:
    """Return what tells the page from others: its rows, or where it has none its entries."""
    named: Iterable[Hashable] = page.entries if isinstance(page, Page) and not page else map(_about, page)
    return frozenset(map(hash, named))


def _about(row: object) -> Hashable:
    """Return what a row is about: its counter may grow between two pages that are the same."""
    match row:
        case OpenRow():
            return row.contact_id, row.email
        case ClickRow():
            return row.link, row.contact_id, row.email
        case _:
            return row
