"""Ask one account who its contacts are, and keep what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import structlog

from headwater import sqlite
from headwater.budget import Priority
from headwater.clock import Clock
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.api.rows import ContactRow
from headwater.sources.activecampaign.people.batching import Batcher
from headwater.sources.activecampaign.people.breaker import PAUSE_S, Breaker
from headwater.sources.activecampaign.people.contact_book import ContactBook, Entry
from headwater.sources.activecampaign.people.recent import Recent

Key = tuple[str, str]
"""Source and contact."""

NOBODY: Final = b""
"""In place of an address: the contact has none, or is gone."""

_log = structlog.get_logger()


class Enquiry:
    """One account's questions about contacts; answers go into the book and into what is held of it."""

    def __init__(
        self,
        connected: Connected,
        book: ContactBook,
        recent: Recent[Key, Entry],
        clock: Clock,
        *,
        seconds: Callable[[], float] = time.monotonic,
        pause_s: float = PAUSE_S,
    ) -> None:
        """Take the account, where answers are kept, and the clocks."""
        self.connected = connected
        self._book, self._recent, self._clock = book, recent, clock
        self.breaker = Breaker(seconds, pause_s)
        self._batcher = Batcher(self._fetched, self.breaker)

    @property
    def source_id(self) -> str:
        """Whose contacts."""
        return self.connected.account.source_id

    async def within(self, wait_s: float, ids: Collection[str]) -> None:
        """Ask for contacts and return once all are answered, after `wait_s`, or at once where waiting is no use."""
        futures = self._batcher.ask(ids)
        if not futures or not self.breaker.is_worth_waiting():
            return
        before = self.breaker.answers
        _, late = await asyncio.wait(futures, timeout=wait_s)
        if late:
            self.breaker.waited(before)

    def refresh(self, ids: Iterable[str]) -> None:
        """Ask for contacts again when there is time."""
        self._batcher.refresh(ids)

    async def ask(self, ids: Sequence[str], priority: Priority) -> dict[str, Entry]:
        """Ask for contacts in one request, keep and return the answer; who is not in the account is nobody's user.

        Raises:
            RetryableError, UnauthorizedError, DeliveryError: as the account's API.
        """
        rows = await self.connected.api.contacts(ids, priority=priority)
        now = int(self._clock().timestamp())
        told = {row.id: self.entry(row, now) for row in rows}
        entries = {id_: told.get(id_) or Entry("", NOBODY, private=False, looked_at=now) for id_ in ids}
        self._recent.changed({(self.source_id, id_): entry for id_, entry in entries.items()})
        try:
            await asyncio.to_thread(self._book.keep, self.source_id, entries.items())
        except sqlite.Error as error:  # what is held answers until the disk is well again
            _log.warning("contacts.not_kept", error=type(error).__name__, count=len(entries))
        return entries

    def entry(self, row: ContactRow, now_s: int) -> Entry:
        """Return a contact as it is kept."""
        return Entry(row.user_id.strip(), self._book.hashed(row.email), row.privacy, now_s)

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._batcher.stop()

    async def _fetched(self, ids: Sequence[str], priority: Priority) -> None:
        await self.ask(ids, priority)
