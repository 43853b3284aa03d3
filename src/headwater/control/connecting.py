"""What people do with an account, from the write key to the numbers: what is stored, and what the pipeline role says.

The API and the pages call the same methods. An answer is the stored part with the worker's status over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import structlog

from headwater.control.accounts import Place, checked_key
from headwater.control.models import MASKED, AccountEntry, Source
from headwater.control.moments import text_of
from headwater.control.pipeline import Answer, Pipeline
from headwater.control.service import Control
from headwater.errors import HeadwaterError, InvalidRequestError, RetryableError

_STATUS_S: Final = 10.0  # ours: a page that shows a status does not wait longer for it
_CHECK_S: Final = 60.0  # ours: somebody waits; the client has tried several times by then
_SETTLE_S: Final = 45.0  # ours: a webhook is made or removed in a few calls, each retried within some seconds

_log = structlog.get_logger()


class Connecting:
    """Connects, changes, shows and disconnects the accounts of a workspace."""

    def __init__(self, control: Control, pipeline: Pipeline) -> None:
        self._control, self._pipeline = control, pipeline

    async def connect(
        self,
        workspace_id: str,
        *,
        account_url: str,
        api_key: str,
        write_key: str,
        settings: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Connect an account, or enter everything of a connected one again, and return its status.

        Raises:
            InvalidRequestError: write key, address, API key or settings are wrong; `field` says which.
            ForbiddenError: not in this workspace's region.
            ConflictError: the source has another account.
            RetryableError, LogUnavailableError: the account, or the pipeline role, does not answer; nothing was stored.
        """
        key = checked_key(api_key)
        source = await asyncio.to_thread(self._control.accounts.target, workspace_id, write_key)
        place = await self._place(account_url, key)
        entry = await asyncio.to_thread(
            lambda: self._control.accounts.connect(
                workspace_id, place, api_key=key, source_id=source.id, settings=settings
            )
        )
        return await self._settled(entry)

    async def change(
        self,
        workspace_id: str,
        account_id: str,
        *,
        enabled: bool | None = None,
        account_url: str | None = None,
        api_key: str | None = None,
        write_key: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Change what is not None and return the status; an API key of `MASKED` keeps the stored one.

        Raises:
            NotFoundError: this workspace has no such account.
            InvalidRequestError, ForbiddenError, ConflictError, RetryableError, LogUnavailableError: as in `connect`.
        """
        stored = await asyncio.to_thread(self._control.accounts.get, workspace_id, account_id)
        key = None if api_key is None or api_key.strip() == MASKED else checked_key(api_key)
        source: Source | None = None
        if write_key is not None:
            source = await asyncio.to_thread(self._control.accounts.target, workspace_id, write_key)
        place = None
        if key is not None:
            place = await self._place(stored.url if account_url is None else account_url, key)
        elif account_url is not None and not _same(account_url, stored.url):
            # the stored key goes nowhere else: else whoever may change an address could read it
            raise InvalidRequestError("Enter the API key again, it belongs to the new address.", field="apiKey")
        wanted = {
            "enabled": enabled,
            "place": place,
            "api_key": key,
            "source_id": None if source is None else source.id,
            "settings": settings,
        }
        if place is None or place.url == stored.url:
            return await self._settled(await self._updated(stored, **wanted))
        return await self._moved(stored, wanted)

    async def disconnect(self, workspace_id: str, account_id: str) -> Answer:
        """Take the account's webhook down and forget the account; return {"webhookRemoved", "message"}.

        It is forgotten also when ActiveCampaign cannot be reached: the message then says what is left to do.

        Raises:
            NotFoundError: this workspace has no such account.
        """
        stored = await asyncio.to_thread(self._control.accounts.get, workspace_id, account_id)
        removed = _is_down(await self._settled(await self._updated(stored, enabled=False)))
        await asyncio.to_thread(self._control.accounts.delete, workspace_id, account_id)
        left = "Disconnected, but ActiveCampaign was not reached: delete the webhook named Headwater there by hand."
        return {"webhookRemoved": removed, "message": "Disconnected." if removed else left}

    async def release(self, workspace_id: str, source_id: str) -> None:
        """Disconnect the account of a source that is about to be deleted, if it has one."""
        entry = await asyncio.to_thread(self._control.accounts.of_source, workspace_id, source_id)
        if entry is not None:
            await self.disconnect(workspace_id, entry.id)

    async def rotate_secret(self, workspace_id: str, account_id: str, *, at_once: bool = False) -> Answer:
        """Move the webhook to a new secret address and return the status; `at_once` ends the present one now.

        Raises:
            NotFoundError: this workspace has no such account.
        """
        entry = await asyncio.to_thread(
            lambda: self._control.accounts.rotate_secret(workspace_id, account_id, at_once=at_once)
        )
        return await self._settled(entry)

    async def verify(self, workspace_id: str, account_id: str) -> Answer:
        """Look at the webhook in ActiveCampaign now, put it right, and return the status.

        Raises:
            NotFoundError: this workspace has no such account.
        """
        return await self._settled(await asyncio.to_thread(self._control.accounts.get, workspace_id, account_id))

    async def status(self, workspace_id: str, account_id: str) -> Answer:
        """Return how a connection does.

        Raises:
            NotFoundError: this workspace has no such account.
        """
        entry = await asyncio.to_thread(self._control.accounts.get, workspace_id, account_id)
        return await self.status_of(entry)

    async def status_of(self, entry: AccountEntry) -> Answer:
        """Return how a connection does; state `unknown` with the reason when the pipeline role does not say."""
        return await self._shown(entry, self._pipeline.account_status(entry.id), _STATUS_S)

    async def _updated(self, entry: AccountEntry, **change: Any) -> AccountEntry:
        return await asyncio.to_thread(lambda: self._control.accounts.update(entry.workspace_id, entry.id, **change))

    async def _moved(self, stored: AccountEntry, wanted: Mapping[str, Any]) -> Answer:
        """Change the address: the webhook at the former account is taken down first, or two accounts would send."""
        await self._settled(await self._updated(stored, enabled=False))
        enabled = stored.enabled if wanted["enabled"] is None else wanted["enabled"]
        try:
            entry = await self._updated(stored, **{**wanted, "enabled": enabled})
        except HeadwaterError:
            await self._settled(await self._updated(stored, enabled=stored.enabled))
            raise
        return await self._settled(entry)

    async def _settled(self, entry: AccountEntry) -> Answer:
        return await self._shown(entry, self._pipeline.account_settle(entry.id), _SETTLE_S)

    async def _place(self, account_url: str, key: str) -> Place:
        if not account_url.strip():
            raise InvalidRequestError("accountUrl is required, such as https://acme.api-us1.com", field="accountUrl")
        try:
            async with asyncio.timeout(_CHECK_S):
                found = await self._pipeline.account_check(account_url, key)
        except TimeoutError:
            raise RetryableError(
                "The account has not answered in time; check accountUrl, or try again later."
            ) from None
        return Place(str(found["url"]), str(found["account"]))

    async def _shown(self, entry: AccountEntry, asked: Awaitable[Answer], patience_s: float) -> Answer:
        source = await asyncio.to_thread(self._control.sources.get, entry.workspace_id, entry.source_id)
        try:
            async with asyncio.timeout(patience_s):
                told = await asked
        except TimeoutError:
            told = _unknown("The pipeline role has not answered yet; look again in a moment.")
        except HeadwaterError as error:
            _log.info("account.status_unknown", account_id=entry.id, error=type(error).__name__)
            told = _unknown(str(error))
        if entry.enabled and not entry.active:
            told = told | {"state": "attention", "message": _why_inactive(source)}
        return told | _stored(entry, source)


def _is_down(status: Answer) -> bool:
    """Return whether the webhook of an account that was switched off is taken away, and not only wanted away."""
    webhook = status.get("webhook", {})
    return webhook.get("state") == "off" and not webhook.get("id") and not webhook.get("message")


def _same(given: str, stored: str) -> bool:
    return given.strip().rstrip("/").lower() == stored


def _unknown(message: str) -> Answer:
    return {"state": "unknown", "message": message}


def _why_inactive(source: Source) -> str:
    if not source.enabled:
        return f"The source {source.name} is disabled, so nothing is received; enable it, or use another write key."
    return (
        "This workspace's region does not allow ActiveCampaign any more; the operator can widen it with "
        'HEADWATER_SOURCE_REGIONS="activecampaign=us,eu".'
    )


def _stored(entry: AccountEntry, source: Source) -> Answer:
    return {
        "id": entry.id,
        "accountUrl": entry.url,
        "account": entry.name,
        "apiKey": MASKED,
        "source": {
            "id": source.id,
            "slug": source.slug,
            "name": source.name,
            "schemaName": source.schema_name,
            "type": source.type,
        },
        "enabled": entry.enabled,
        "settings": dict(entry.settings),
        "createdAt": text_of(entry.created_at),
        "updatedAt": text_of(entry.updated_at),
    }
