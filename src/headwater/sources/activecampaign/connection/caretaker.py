"""Look after one connection's webhook at ActiveCampaign: found, put right, watched for silence, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec
import structlog

from headwater.clock import Clock
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.api.rows import Campaign, WebhookRow
from headwater.sources.activecampaign.connection import silence
from headwater.sources.activecampaign.connection.health import Health, Healths, Untracked
from headwater.sources.activecampaign.connection.registration import (
    ALL_LISTS,
    INITIATORS,
    NAME,
    Plan,
    Wanted,
    differences,
    owned,
    plan,
)
from headwater.sources.activecampaign.connection.states import WebhookState
from headwater.sources.activecampaign.mapping.kinds import EMAIL_TYPES, webhook_types
from headwater.sources.activecampaign.settings import read

EVERY_S: Final = 3600.0
"""ours: how often a webhook that is well is looked at."""
AGAIN_S: Final = 30.0
"""ours: the first wait after a look that got no answer; it doubles up to `EVERY_S`."""
RECENT: Final = timedelta(days=30)
"""ours: campaigns that were sent before are not warned about."""
UNTRACKED_MAX: Final = 20
"""ours: campaigns that are named; more of them tell nothing new."""
_DOUBLINGS_MAX: Final = 10

_log = structlog.get_logger()


class Arrivals(Protocol):
    """What the ledger knows of arrived webhooks."""

    def arrived(self, source_id: str) -> int:
        """Return how many webhooks of a source were taken so far."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What every caretaker works with."""

    healths: Healths
    ledger: Arrivals
    clock: Clock


class Caretaker:
    """Of one connection. `verify` and `watch` may be called at any time; one of them works at a time.

    Attributes:
        connected: the account as it is wanted now.
        health: what is known; kept in the file with every change.
    """

    def __init__(self, connected: Connected, tools: Tools) -> None:
        """Take the account; what was known of it before is read."""
        self.connected, self._tools = connected, tools
        known = tools.healths.get(connected.account.id)
        # what counters did while this program was down is no silence: webhooks found nobody at home
        self.health: Health = msgspec.structs.replace(known, silence=silence.restarted(known.silence))
        self._one = asyncio.Lock()
        self._failures = 0
        self._looks = 0

    @property
    def base(self) -> str:
        """The account's address."""
        return self.connected.api.address.base

    async def verify(self) -> float:
        """Bring the webhook into the wanted state; return seconds until the next look. What fails is told by `health`.

        Whoever waited while a look began and ended does not look once more.
        """
        looks = self._looks
        async with self._one:
            return EVERY_S if self._looks > looks else await self._look(self.connected)

    async def watch(self) -> float:
        """Compare the campaigns' counters with what arrived; return seconds until the next look."""
        connected = self.connected
        try:
            campaigns = await connected.api.campaigns()
        except RetryableError:  # `verify` tells how long it lasts
            return AGAIN_S
        except DeliveryError as error:
            self._know(blind=str(error))
            return EVERY_S
        arrived = await asyncio.to_thread(self._tools.ledger.arrived, connected.account.source_id)
        now = self._tools.clock()
        async with self._one:
            told, advice = silence.judged(self.health.silence, silence.Look(silence.sums(campaigns), arrived), now)
            self._know(silence=told, untracked=untracked(campaigns, now), blind="")
            if advice is silence.Advice.RENEW:
                return await self._renew(connected)
        return silence.GRACE.total_seconds() if advice is silence.Advice.LOOK_AGAIN else EVERY_S

    async def take_down(self) -> None:
        """Delete every webhook of ours.

        Raises:
            DeliveryError: it did not work; trying again later is right.
        """
        await self._delete_ours(self.connected)

    async def _look(self, connected: Connected) -> float:
        """Return seconds until the next look; what is found, done and refused becomes `health`."""
        self._looks += 1
        try:
            await (self._put_right(connected) if connected.account.enabled else self._put_away(connected))
        except UnauthorizedError as error:
            self._know(refused=True, webhook=WebhookState.UNKNOWN, complaint=str(error))
        except RetryableError as error:
            wait_s = min(AGAIN_S * 2.0 ** min(self._failures, _DOUBLINGS_MAX), EVERY_S)
            self._failures += 1
            self._know(webhook=WebhookState.UNKNOWN, complaint=str(error))
            return max(wait_s, min(error.after_s or 0.0, EVERY_S))
        except DeliveryError as error:
            self._know(refused=False, webhook=WebhookState.MISSING, complaint=str(error))
        self._failures = 0
        return EVERY_S

    async def _put_right(self, connected: Connected) -> None:
        api, wanted = connected.api, self._wanted(connected)
        found = plan(await api.webhooks(), wanted)
        row = found.row
        if row is None:
            row = await _created(connected, wanted)
        elif found.differs and not self._is_all_that_it_takes(row, found.differs, wanted):
            row = await _changed(connected, row, wanted)
        for extra in found.extra:
            await api.delete_webhook(extra.id)
        self._found(connected, found, row)

    def _is_all_that_it_takes(self, row: WebhookRow, differs: tuple[str, ...], wanted: Wanted) -> bool:
        """Whether all that differs are events which ActiveCampaign refused before: asking each hour is no use."""
        if differs != ("events",) or set(row.events) - set(wanted.events):
            return False
        return set(wanted.events) - set(row.events) <= set(self.health.refused_events)

    def _found(self, connected: Connected, found: Plan, row: WebhookRow) -> None:
        """Keep what the look found and did; neither a first registration nor a changed wish is a repair."""
        wanted, base = self._wanted(connected), connected.api.address.base
        wish = _digest(wanted)
        was_right = bool(self.health.webhook_id) and (self.health.base, self.health.wish) == (base, wish)
        was, worked = self.health.silence, row is not found.row or bool(found.extra)
        if worked:
            did = "created" if found.row is None else ",".join(found.differs) or "doubled"
            _log.info("webhook.put_right", connection_id=connected.account.id, webhook_id=row.id, did=did)
        left = tuple(name for name in differences(row, wanted) if name != "events")
        self._know(
            webhook=WebhookState.CHANGED if left else WebhookState.OK,
            complaint=f"ActiveCampaign keeps it different: {', '.join(left)}." if left else "",
            refused=False,
            webhook_id=row.id,
            base=base,
            wish=wish,
            checked_at=self._tools.clock(),
            refused_events=tuple(sorted(set(wanted.events) - set(row.events))),
            repairs=self.health.repairs + (1 if worked and was_right else 0),
            silence=silence.restarted(was) if worked or base != self.health.base else was,
        )

    async def _put_away(self, connected: Connected) -> None:
        await self._delete_ours(connected)
        kept = Health(base=connected.api.address.base, webhook=WebhookState.OFF, checked_at=self._tools.clock())
        self._know(**msgspec.structs.asdict(kept))

    async def _delete_ours(self, connected: Connected) -> None:
        for row in owned(await connected.api.webhooks(), self._wanted(connected)):
            await connected.api.delete_webhook(row.id)
            _log.info("webhook.deleted", connection_id=connected.account.id, webhook_id=row.id)

    async def _renew(self, connected: Connected) -> float:
        """Delete the webhook that is silent and make it anew: nothing else revives one that was switched off."""
        told = self.health.silence
        _log.warning("webhook.was_silent", connection_id=connected.account.id, webhook_id=self.health.webhook_id)
        try:
            await self._delete_ours(connected)
        except DeliveryError:
            return AGAIN_S
        wait_s = await self._look(connected)
        self._know(silence=told)  # counted on from this look: the next one must show whether it helped
        return wait_s

    def _wanted(self, connected: Connected) -> Wanted:
        account = connected.account
        known = self.health.webhook_id if self.health.base == connected.api.address.base else ""
        events = webhook_types(read(account.settings))
        return Wanted(account.webhook_url, events, account.former_webhook_urls, known)

    def _know(self, **changed: Any) -> None:
        self.health = msgspec.structs.replace(self.health, **changed)
        self._tools.healths.put(self.connected.account.id, self.health)


async def _created(connected: Connected, wanted: Wanted) -> WebhookRow:
    """Register a webhook; after an answer that got lost, look whether it is there instead of making another."""
    try:
        return await _with_as_many_events_as_possible(
            wanted.events,
            lambda events: connected.api.create_webhook(NAME, wanted.url, events, INITIATORS, ALL_LISTS),
        )
    except RetryableError:
        row = plan(await connected.api.webhooks(), wanted).row
        if row is None:
            raise
        return row


async def _changed(connected: Connected, row: WebhookRow, wanted: Wanted) -> WebhookRow:
    name = row.name or NAME
    return await _with_as_many_events_as_possible(
        wanted.events,
        lambda events: connected.api.change_webhook(
            row.id, name=name, url=wanted.url, events=events, sources=INITIATORS, list_id=ALL_LISTS
        ),
    )


async def _with_as_many_events_as_possible(
    events: tuple[str, ...], call: Callable[[tuple[str, ...]], Awaitable[WebhookRow]]
) -> WebhookRow:
    """Return what a call made; an extra event that an account's plan lacks must not cost the email events."""
    try:
        return await call(events)
    except (RetryableError, UnauthorizedError):
        raise
    except DeliveryError:
        if set(events) <= set(EMAIL_TYPES):
            raise
        return await call(tuple(EMAIL_TYPES))


def _digest(wanted: Wanted) -> str:
    """Return what a wish is compared by; the address in it is secret."""
    return sha256("\n".join((wanted.url, *sorted(wanted.events))).encode()).hexdigest()


def untracked(campaigns: Iterable[Campaign], now: datetime) -> tuple[Untracked, ...]:
    """Return the recent campaigns whose opens or clicks ActiveCampaign does not measure, newest first."""
    found = [
        (sent_at, each)
        for each in campaigns
        if (sent_at := each.last_sent_at or each.sent_at) is not None
        and now - sent_at <= RECENT
        and not (each.tracks_opens and each.tracks_links)
    ]
    newest: Sequence[tuple[datetime, Campaign]] = sorted(found, key=lambda pair: pair[0], reverse=True)
    return tuple(
        Untracked(each.id, each.name, opens=not each.tracks_opens, links=not each.tracks_links)
        for _, each in newest[:UNTRACKED_MAX]
    )
