"""Webhooks over real HTTP, as carelessly as the service sends them: one POST an event, 5 seconds, no second try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import aiohttp

from headwater.clock import now
from headwater.simulators.activecampaign.account import Webhook
from headwater.simulators.activecampaign.bodies import CONTENT_TYPE

TIMEOUT_S: Final = 5.0
SOURCES: Final = ("public", "admin", "api", "system")
_GONE: Final = 410


@dataclass(slots=True)
class Address:
    """One webhook of the account: `active` until it answers 410, which the API does not tell; counts by what came back.

    Attributes:
        events: which it wants, None for every one.
        sources: whose doing it wants to hear of.
        list_id: limits it to one list, 0 for all.
    """

    url: str
    active: bool = True
    answers: Counter[str] = field(default_factory=Counter)
    id: int = 0
    name: str = ""
    events: tuple[str, ...] | None = None
    sources: tuple[str, ...] = SOURCES
    list_id: int = 0
    created_at: datetime = field(default_factory=now)

    def wants(self, webhook: Webhook) -> bool:
        """Say whether the account posts it here."""
        if not self.active or not self.listens(webhook.kind) or webhook.source not in self.sources:
            return False
        return not (self.list_id and webhook.list_ids) or self.list_id in webhook.list_ids

    def listens(self, kind: str) -> bool:
        """Say whether it is registered for a type of event."""
        return self.events is None or kind in self.events


class Sender:
    """Posts each webhook to every address that is active and wants it."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        urls: Sequence[str] = (),
        *,
        events: tuple[str, ...] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._http, self.timeout_s = http, timeout_s
        self._ids = 0
        self.addresses: list[Address] = []
        for url in urls:
            self.add(Address(url, name="Given at the start", events=events))

    def add(self, address: Address) -> Address:
        """Register a webhook and give it an id."""
        self._ids += 1
        address.id = self._ids
        self.addresses.append(address)
        return address

    def listens(self, kind: str) -> bool:
        """Say whether anybody wants to hear of a type of event."""
        return any(address.active and address.listens(kind) for address in self.addresses)

    async def send(self, webhook: Webhook) -> None:
        """Post it; what does not arrive is lost, and counted: once, to however many addresses it goes."""
        answers = [
            await self.post(address, webhook.body) for address in tuple(self.addresses) if address.wants(webhook)
        ]
        if webhook.result is not None and answers:
            webhook.result.went(webhook.place, arrived=any(answer.startswith("2") for answer in answers))

    async def post(self, address: Address, body: bytes) -> str:
        """Post a body to an address that is active, and return and count what came back."""
        answer = await self._answer(address, body) if address.active else "inactive"
        address.answers[answer] += 1
        return answer

    async def _answer(self, address: Address, body: bytes) -> str:
        headers, timeout = {"content-type": CONTENT_TYPE}, aiohttp.ClientTimeout(total=self.timeout_s)
        try:
            async with self._http.post(address.url, data=body, headers=headers, timeout=timeout) as answer:
                await answer.read()
        except TimeoutError:
            return "timeout"
        except aiohttp.ClientError:
            return "unreachable"
        if answer.status == _GONE:
            address.active = False
        return str(answer.status)
