"""One account's API: every call that the source makes, as values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from headwater.budget import Budget, Priority
from headwater.outgoing import Http
from headwater.sources.activecampaign.api.address import Address
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

T = TypeVar("T")


class AccountApi:
    """Every call raises RetryableError, UnauthorizedError or DeliveryError, and nothing else."""

    def __init__(self, http: Http, budget: Budget, address: Address, key: str) -> None:
        """Take the guarded client, the account's bucket, its address and its key."""
        self._http, self._budget, self.address, self._key = http, budget, address, key

    async def me(self, *, priority: Priority = Priority.NORMAL) -> str:
        """Return whom the key belongs to: the check of address and key."""
        raise NotImplementedError

    async def campaigns(self, *, priority: Priority = Priority.NORMAL) -> list[Campaign]:
        """Return all campaigns, in the order of their ids."""
        raise NotImplementedError

    async def campaign(self, id_: str, *, priority: Priority = Priority.NORMAL) -> Campaign | None:
        """Return one campaign with its message ids and subject, None when there is none."""
        raise NotImplementedError

    async def message(self, id_: str, *, priority: Priority = Priority.NORMAL) -> Message | None:
        """Return one email, None when there is none."""
        raise NotImplementedError

    async def lists(self, *, priority: Priority = Priority.NORMAL) -> dict[str, str]:
        """Return the names of all lists by their ids."""
        raise NotImplementedError

    async def contacts(self, ids: Sequence[str], *, priority: Priority = Priority.NORMAL) -> list[ContactRow]:
        """Return the contacts that exist of `ids`: any number, 100 a request."""
        raise NotImplementedError

    async def contacts_after(
        self, after_id: str, *, updated_after: datetime | None = None, priority: Priority = Priority.NORMAL
    ) -> list[ContactRow]:
        """Return the next contacts by ascending id, up to 100; [] at the end. "0" begins."""
        raise NotImplementedError

    def unsubscribed_contacts(
        self, updated_after: datetime | None = None, *, priority: Priority = Priority.NORMAL
    ) -> AsyncIterator[list[UnsubscribeRow]]:
        """Return who left a list, page by page: with list, campaign and reason where the account knows them."""
        raise NotImplementedError

    async def webhooks(self, url: str = "", *, priority: Priority = Priority.NORMAL) -> list[WebhookRow]:
        """Return the webhooks that are registered; with `url` those that post exactly there."""
        raise NotImplementedError

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
        """Register a webhook and return it; never two, also where an answer got lost."""
        raise NotImplementedError

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
        """Make a webhook like this and return it."""
        raise NotImplementedError

    async def delete_webhook(self, id_: str, *, priority: Priority = Priority.NORMAL) -> None:
        """Remove a webhook; that it is gone already is fine."""
        raise NotImplementedError

    async def opens(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[OpenRow]:
        """Return one page (from 1) of who opened."""
        raise NotImplementedError

    async def unopens(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[UnopenRow]:
        """Return one page (from 1) of who did not open."""
        raise NotImplementedError

    async def bounces(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[BounceRow]:
        """Return one page (from 1) of the bounces."""
        raise NotImplementedError

    async def unsubscribes(
        self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL
    ) -> list[UnsubscribeRow]:
        """Return one page (from 1) of who left."""
        raise NotImplementedError

    async def clicks(self, campaign_id: str, page: int, *, priority: Priority = Priority.NORMAL) -> list[ClickRow]:
        """Return one page (from 1) of who followed which link."""
        raise NotImplementedError


def pages(
    fetch: Callable[[int], Awaitable[list[T]]], *, first: int = 1, expected: int = 0, ahead: int = 4
) -> AsyncIterator[tuple[int, list[T]]]:
    """Yield the pages of a report, numbered, until there are no more."""
    raise NotImplementedError
