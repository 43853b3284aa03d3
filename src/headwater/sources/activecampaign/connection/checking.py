"""Try an account's address and key before they are stored, and say which of them is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from headwater.activecampaign.address import FIELD, Address, normalised
from headwater.activecampaign.budget import budget_of
from headwater.budget import Budgets
from headwater.errors import DeliveryError, InvalidRequestError, RetryableError, UnauthorizedError
from headwater.outgoing import Answer, Http
from headwater.sources.activecampaign.api.account import AccountApi

CHECK_S: Final = 30.0
"""ours: whoever connects an account waits no longer."""

_OK, _MOVED = 200, 300


class _Witness:
    """An `Http` that remembers the last answer: the only way to tell a web page from a service that is down."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.last: Answer | None = None

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        self.last = None
        self.last = await self._http.request(method, url, body=body, headers=headers)
        return self.last


async def checked(http: Http, budgets: Budgets, url: str, key: str) -> tuple[Address, str]:
    """Return an account's address and whom the key belongs to; change nothing.

    Raises:
        InvalidRequestError: the address (`field` "accountUrl") or the key ("apiKey") is wrong; says what to do.
        RetryableError: the account does not answer now.
    """
    address = normalised(url)
    if not key.strip():
        raise InvalidRequestError(
            "The API key is missing: copy it from ActiveCampaign's Settings, Developer.", field="apiKey"
        )
    witness = _Witness(http)
    api = AccountApi(witness, budget_of(budgets, address), address, key.strip())
    try:
        async with asyncio.timeout(CHECK_S):
            return address, await api.me()
    except TimeoutError:
        raise RetryableError(_silent(address, f"It gave no answer within {CHECK_S:g} seconds.")) from None
    except UnauthorizedError as error:
        raise InvalidRequestError(str(error), field="apiKey") from error
    except RetryableError as error:
        if witness.last is not None and _OK <= witness.last.status < _MOVED:
            raise InvalidRequestError(
                f"{address.base} answers with a web page and not with ActiveCampaign's API. Copy the API URL from "
                "ActiveCampaign's Settings, Developer.",
                field=FIELD,
            ) from error
        raise RetryableError(_silent(address, str(error)), after_s=error.after_s) from error
    except DeliveryError as error:
        raise InvalidRequestError(str(error), field=FIELD) from error


def _silent(address: Address, reason: str) -> str:
    return f"{address.base} does not answer: {reason} Check the account URL, or try again in a minute."
