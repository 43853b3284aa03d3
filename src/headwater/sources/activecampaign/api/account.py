"""One account's API: every call that the source makes, as values."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

from headwater.activecampaign import values
from headwater.activecampaign.address import Address
from headwater.activecampaign.client import Client, Sleep
from headwater.activecampaign.values import Member
from headwater.budget import Budget, Priority
from headwater.errors import DeliveryError, RetryableError
from headwater.outgoing import Http
from headwater.sources.activecampaign.api import reports, resources
from headwater.sources.activecampaign.api.lookup import Lookup
from headwater.sources.activecampaign.api.paging import pages
from headwater.sources.activecampaign.api.rows import (
    BounceRow,
    Campaign,
    ClickRow,
    ContactRow,
    Message,
    OpenRow,
    UnopenRow,
    UnsubscribeRow,
    WebhookRow,
)

__all__ = ["ROWS_MAX", "AccountApi", "pages"]

T = TypeVar("T")

ROWS_MAX: Final = 100  # ActiveCampaign: of one page of API v3; a higher limit is cut without a word
_PAGES_MAX: Final = 2_000  # ours: of one list; 200,000 campaigns
_CREATE_TRIES: Final = 3  # ours: a webhook whose creation stayed without a clear answer


class AccountApi:
    """Every call raises RetryableError, UnauthorizedError or DeliveryError, and nothing else."""

    def __init__(
        self,
        http: Http,
        budget: Budget,
        address: Address,
        key: str,
        *,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take the guarded client, the account's bucket, its address and its key; clock and chance for tests."""
        self.address = address
        self._client = Client(http, budget, address, key, sleep=sleep, chance=chance)
        self._lookup = Lookup(self._client)

    @property
    def calls(self) -> int:
        """How many requests were sent so far, repeats included."""
        return self._client.calls

    async def me(self, *, priority: Priority = Priority.NORMAL) -> str:
        """Return whom the key belongs to: the check of address and key."""
        user = values.member(await self._client.get("users/me", priority=priority), "user")
        if user is None:
            raise DeliveryError("There is no ActiveCampaign API at this address; check the account URL.")
        name = f"{values.text(user.get('firstName'))} {values.text(user.get('lastName'))}".strip()
        return values.text(user.get("username")) or name or values.text(user.get("id"))

    async def campaigns(self, *, priority: Priority = Priority.NORMAL) -> list[Campaign]:
        """Return all campaigns, in the order of their ids; without their messages."""
        rows = await self._all("campaigns", {"orders[id]": "ASC"}, priority)
        return sorted(map(resources.campaign, rows), key=lambda campaign: _number(campaign.id))

    async def campaign(self, id_: str, *, priority: Priority = Priority.NORMAL) -> Campaign | None:
        """Return one campaign with its message ids and, where it has one message only, the subject; None without."""
        answer = await self._client.get(f"campaigns/{_part(id_)}", holds="campaign", priority=priority)
        row = values.member(answer, "campaign")
        if answer is None or row is None:
            return None
        ids = resources.message_ids(row) or resources.messages_of(values.members(answer.get("campaignMessages")))
        if not ids:
            related = await self._client.get(f"campaigns/{_part(id_)}/campaignMessages", priority=priority) or {}
            ids = resources.messages_of(values.members(related.get("campaignMessages")))
        only = await self.message(ids[0], priority=priority) if len(ids) == 1 else None
        return resources.campaign(row, [only] if only else [Message(each, "") for each in ids])

    async def message(self, id_: str, *, priority: Priority = Priority.NORMAL) -> Message | None:
        """Return one email, None when there is none."""
        answer = await self._client.get(f"messages/{_part(id_)}", holds="message", priority=priority)
        row = values.member(answer, "message")
        return None if row is None else resources.message(row)

    async def lists(self, *, priority: Priority = Priority.NORMAL) -> dict[str, str]:
        """Return the names of all lists by their ids."""
        rows = await self._all("lists", {"orders[id]": "ASC"}, priority)
        return {values.id_of(row.get("id")): values.text(row.get("name")) for row in rows}

    async def contacts(self, ids: Sequence[str], *, priority: Priority = Priority.NORMAL) -> list[ContactRow]:
        """Return the contacts that exist of `ids`: any number, 100 a request; one that is gone is absent."""
        wanted = list(dict.fromkeys(id_ for id_ in ids if id_.isascii() and id_.isdecimal()))
        found: list[ContactRow] = []
        for start in range(0, len(wanted), ROWS_MAX):
            found += await self._lookup.contacts(wanted[start : start + ROWS_MAX], priority)
        return found

    async def contacts_after(
        self, after_id: str, *, updated_after: datetime | None = None, priority: Priority = Priority.NORMAL
    ) -> list[ContactRow]:
        """Return the next contacts by ascending id, up to 100; [] at the end. "0" begins."""
        answer = await self._contacts_page(after_id, {}, updated_after, priority)
        return _ascending(map(resources.contact, values.members(answer.get("contacts"))), after_id)

    async def unsubscribed_contacts(
        self, updated_after: datetime | None = None, *, priority: Priority = Priority.NORMAL
    ) -> AsyncIterator[list[UnsubscribeRow]]:
        """Yield who left a list, page by page: with list, and campaign and reason where the account knows them."""
        after_id = "0"
        while True:
            query = {"status": "2", "include": "contactLists"}
            answer = await self._contacts_page(after_id, query, updated_after, priority)
            contacts = _ascending(map(resources.contact, values.members(answer.get("contacts"))), after_id)
            if not contacts:
                return
            after_id = contacts[-1].id
            if rows := resources.unsubscribes(answer, updated_after):
                yield rows

    async def webhooks(self, url: str = "", *, priority: Priority = Priority.NORMAL) -> list[WebhookRow]:
        """Return the webhooks that are registered; with `url` those that post exactly there."""
        # All are read and looked through here: a filter that the service does not know it ignores without a word.
        rows = await self._all("webhooks", {}, priority)
        return [found for found in map(resources.webhook, rows) if found.url == url or not url]

    async def create_webhook(
        self,
        name: str,
        url: str,
        events: Sequence[str],
        sources: Sequence[str],
        list_id: str = "0",
        *,
        priority: Priority = Priority.NORMAL,
    ) -> WebhookRow:
        """Register a webhook and return it; never two: where an answer got lost, it is looked up before another try."""
        body = _webhook_body(WebhookRow("", name, url, tuple(events), tuple(sources), list_id))
        tries = 0
        while True:
            tries += 1
            try:
                return _webhook(await self._client.post("webhooks", body, priority=priority))
            except RetryableError:
                if there := await self.webhooks(url, priority=priority):
                    return there[-1]
                if tries == _CREATE_TRIES:
                    raise

    async def change_webhook(
        self,
        id_: str,
        *,
        name: str,
        url: str,
        events: Sequence[str],
        sources: Sequence[str],
        list_id: str = "0",
        priority: Priority = Priority.NORMAL,
    ) -> WebhookRow:
        """Make a webhook like this and return it; DeliveryError when it is gone."""
        body = _webhook_body(WebhookRow(id_, name, url, tuple(events), tuple(sources), list_id))
        return _webhook(await self._client.put(f"webhooks/{_part(id_)}", body, priority=priority))

    async def delete_webhook(self, id_: str, *, priority: Priority = Priority.NORMAL) -> None:
        """Remove a webhook; that it is gone already is fine."""
        await self._client.delete(f"webhooks/{_part(id_)}", priority=priority)

    async def opens(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[OpenRow]:
        """Return one page (from 1) of who opened."""
        return await self._report("campaign_report_open_list", campaign_id, page, priority, reports.opens)

    async def unopens(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[UnopenRow]:
        """Return one page (from 1) of who got the email and did not open it."""
        return await self._report("campaign_report_unopen_list", campaign_id, page, priority, reports.unopens)

    async def bounces(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[BounceRow]:
        """Return one page (from 1) of the bounces; `at` is a date alone."""
        return await self._report("campaign_report_bounce_list", campaign_id, page, priority, reports.bounces)

    async def unsubscribes(
        self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL
    ) -> list[UnsubscribeRow]:
        """Return one page (from 1) of who left through this campaign."""
        read = partial(reports.unsubscribes, campaign_id=campaign_id)
        return await self._report("campaign_report_unsubscription_list", campaign_id, page, priority, read)

    async def clicks(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[ClickRow]:
        """Return one page (from 1) of who followed which link; a `paging.Page`, which knows links without clicks."""
        return await self._report("campaign_report_link_list", campaign_id, page, priority, reports.clicks)

    async def _report(
        self, action: str, campaign_id: str, page: int, priority: Priority, read: Callable[[Member], list[T]]
    ) -> list[T]:
        asked = {"campaignid": campaign_id, "page": str(page)}
        answer = await self._client.report(action, asked, priority=priority)
        # beside the loop: where all rows come at once there may be hundreds of thousands
        return await asyncio.to_thread(read, answer)

    async def _contacts_page(
        self, after_id: str, query: Mapping[str, str], updated_after: datetime | None, priority: Priority
    ) -> Member:
        asked = {"status": "-1", "orders[id]": "ASC", "id_greater": after_id or "0", "limit": str(ROWS_MAX), **query}
        if updated_after is not None:
            asked["filters[updated_after]"] = values.central(updated_after)
        return await self._client.listed("contacts", asked, priority=priority)

    async def _all(self, path: str, query: Mapping[str, str], priority: Priority) -> list[Member]:
        """Return every row of a list that is paged by offset, each id once."""
        found: dict[str, Member] = {}
        offset = 0
        for _ in range(_PAGES_MAX):
            asked = {**query, "limit": str(ROWS_MAX), "offset": str(offset)}
            answer = await self._client.listed(path, asked, priority=priority)
            rows = values.members(answer.get(path))
            known, offset = len(found), offset + len(rows)
            found.update((values.id_of(row.get("id")), row) for row in rows)
            # a short page is the last, except where the service gives shorter ones than were asked for
            is_last = len(rows) < ROWS_MAX and offset >= (values.total(answer) or 0)
            if not rows or is_last or len(found) == known:
                return [row for id_, row in found.items() if id_]
        raise DeliveryError(f"ActiveCampaign's list of {path} has no end; reading it was given up.")


def _ascending(rows: Iterable[ContactRow], after_id: str) -> list[ContactRow]:
    """Return the rows after an id, in the order of ids.

    Raises:
        DeliveryError: the service ignored from where to go on, so that reading would never end.
    """
    given = list(rows)
    found = sorted((row for row in given if _number(row.id) > _number(after_id)), key=lambda row: _number(row.id))
    if given and not found:
        raise DeliveryError("ActiveCampaign does not page its contacts by id; they cannot be read.")
    return found


def _webhook_body(row: WebhookRow) -> Mapping[str, object]:
    fields = {"name": row.name, "url": row.url, "events": row.events, "sources": row.sources, "listid": row.list_id}
    return {"webhook": fields}


def _webhook(answer: Member | None) -> WebhookRow:
    if answer is None:
        raise DeliveryError("ActiveCampaign does not know this webhook any more.")
    row = resources.webhook(values.member(answer, "webhook") or {})
    if not row.id:
        raise RetryableError("ActiveCampaign answered without the webhook.")
    return row


def _number(id_: str) -> int:
    return int(id_) if id_.isascii() and id_.isdecimal() else 0


def _part(id_: str) -> str:
    return quote(id_, safe="")
