"""Webhooks over real HTTP, as carelessly as the service sends them: one POST an event, 5 seconds, no second try."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from headwater.simulators.activecampaign.account import Webhook
from headwater.simulators.activecampaign.bodies import CONTENT_TYPE

TIMEOUT_S: Final = 5.0
_GONE: Final = 410


@dataclass(slots=True)
class Address:
    """One webhook of the account: `active` until it answers 410; counts by what came back."""

    url: str
    active: bool = True
    answers: Counter[str] = field(default_factory=Counter)


class Sender:
    """Posts each webhook to every address that is active."""

    def __init__(self, http: aiohttp.ClientSession, urls: tuple[str, ...], *, timeout_s: float = TIMEOUT_S) -> None:
        self._http, self._timeout = http, aiohttp.ClientTimeout(total=timeout_s)
        self.addresses = [Address(url) for url in urls]

    async def send(self, webhook: Webhook) -> None:
        """Post it; what does not arrive is lost, and counted."""
        for address in self.addresses:
            if address.active:
                address.answers[await self._post(address, webhook.body)] += 1

    async def _post(self, address: Address, body: bytes) -> str:
        headers = {"content-type": CONTENT_TYPE}
        try:
            async with self._http.post(address.url, data=body, headers=headers, timeout=self._timeout) as answer:
                await answer.read()
        except TimeoutError:
            return "timeout"
        except aiohttp.ClientError:
            return "unreachable"
        if answer.status == _GONE:
            address.active = False
        return str(answer.status)
