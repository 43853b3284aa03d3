"""Read all contacts of an account once, then those that changed: a live event then finds its contact known."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from headwater import sqlite
from headwater.budget import Priority
from headwater.clock import Clock
from headwater.errors import DeliveryError
from headwater.sources.activecampaign.api.rows import ContactRow
from headwater.sources.activecampaign.people.contact_book import ContactBook, Entry
from headwater.sources.activecampaign.people.enquiry import Enquiry, Key
from headwater.sources.activecampaign.people.recent import Recent

EVERY_S: Final = 300.0
"""ours: between two passes over what changed, one request where nothing did."""

_AGAIN_S: Final = 60.0  # ours: before a pass that failed is carried on
_OVERLAP: Final = timedelta(minutes=10)  # ours: clocks that differ, changes that were under way

_log = structlog.get_logger()


class Priming:
    """One account's passes. `run` works until it is cancelled; a pass that was cut is carried on."""

    def __init__(self, enquiry: Enquiry, book: ContactBook, recent: Recent[Key, Entry], clock: Clock) -> None:
        """Take the account's enquiry, where contacts are kept and held, and the clock."""
        self._enquiry, self._book, self._recent, self._clock = enquiry, book, recent, clock
        self.primed_at = 0
        """When the last whole pass began, seconds since 1970; 0 for none. What it saw is no older than that."""

    async def run(self) -> None:
        """Pass after pass; what fails is tried again later."""
        while True:
            try:
                await self.once()
            except (DeliveryError, sqlite.Error) as error:
                _log.info("contacts.pass_cut", source_id=self._enquiry.source_id, reason=type(error).__name__)
                await asyncio.sleep(_AGAIN_S)
            else:
                await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """Carry one pass to its end: over all contacts, or over those that changed since the last one began.

        Raises:
            RetryableError, UnauthorizedError, DeliveryError: as the account's API; the next call goes on there.
        """
        source_id = self._enquiry.source_id
        mark = await asyncio.to_thread(self._book.source, source_id)
        if mark is None:
            return
        self.primed_at = mark.primed_at
        began_at = mark.pass_began_at or int(self._clock().timestamp())
        since = datetime.fromtimestamp(mark.primed_at, UTC) - _OVERLAP if mark.primed_at else None
        after, count = mark.primed_id, 0
        while rows := await self._page(after, since):
            after, count = rows[-1].id, count + len(rows)
            await self._keep(rows, after, began_at)
        await asyncio.to_thread(self._book.end_pass, source_id, began_at)
        self.primed_at = began_at
        _log.info("contacts.passed", source_id=source_id, count=count, all=since is None)

    async def _page(self, after: str, since: datetime | None) -> list[ContactRow]:
        rows = await self._enquiry.connected.api.contacts_after(after, updated_after=since, priority=Priority.NORMAL)
        # an account that ignored `id_greater` would give the first page for ever
        return rows if rows and int(rows[-1].id) > int(after) else []

    async def _keep(self, rows: list[ContactRow], after: str, began_at: int) -> None:
        source_id, now_s = self._enquiry.source_id, int(self._clock().timestamp())
        entries = {row.id: self._enquiry.entry(row, now_s) for row in rows}
        await asyncio.to_thread(self._book.keep_page, source_id, entries.items(), up_to=after, began_at=began_at)
        self._recent.renewed({(source_id, id_): entry for id_, entry in entries.items()})
