"""Which hosts destinations may dial that do not speak HTTP: names are resolved here, addresses judged by the policy.

Such a destination's driver opens the connection itself, so it is handed the judged addresses and dials those.
"""

from __future__ import annotations

import asyncio
import ipaddress

from headwater import limits
from headwater.delivery.address import Policy, parse_host
from headwater.delivery.http import Names, Resolve
from headwater.errors import DeliveryError, RetryableError


class GuardedReach:
    """`contract.Reach`, kept inside the address policy; `close` ends its look-ups."""

    def __init__(self, policy: Policy | None = None, *, resolve: Resolve | None = None) -> None:
        self._policy = policy or Policy()
        self._names = Names() if resolve is None else None
        self._resolve: Resolve = resolve or self._names_of

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return every address of the host, judged for this port; at least one.

        Raises:
            DeliveryError: the host is malformed, or one of its addresses is not allowed.
            RetryableError: it has no address now.
        """
        name, address = parse_host(host)
        texts = await self._addresses(name) if address is None else [str(address)]
        for text in texts:
            try:
                found = ipaddress.ip_address(text)
            except ValueError as error:  # a scope, as in fe80::1%eth0
                raise DeliveryError(
                    "The host has an address with a scope; only global addresses are dialled."
                ) from error
            self._policy.judge_service(found, port)
        return texts

    def close(self) -> None:
        """Start no look-up any more."""
        if self._names is not None:
            self._names.close()

    async def _addresses(self, name: str) -> list[str]:
        try:
            async with asyncio.timeout(limits.CONNECT_DEADLINE_S):
                texts = await self._resolve(name)
        except (OSError, TimeoutError) as error:
            raise RetryableError("The host's name is not found; compare it, or try again later.") from error
        if not texts:
            raise RetryableError("The host's name has no address; compare it, or try again later.")
        return texts

    async def _names_of(self, host: str) -> list[str]:
        assert self._names is not None  # noqa: S101 - checks our own work
        return await self._names.resolve(host)
