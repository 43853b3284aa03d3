"""A connection's status as the API, the command line and the page show it. Pure: what is known in, JSON out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from headwater.budget import Use
from headwater.sources.activecampaign.connection import silence
from headwater.sources.activecampaign.connection import states as connection
from headwater.sources.activecampaign.connection.health import Health, Untracked
from headwater.sources.activecampaign.connection.registration import PATH
from headwater.sources.activecampaign.connection.states import Facts, WebhookState
from headwater.sources.activecampaign.memory.ledger import LastEvent
from headwater.sources.contract import Account, Answer
from headwater.spec.times import format_time

_HIDDEN: Final = "••••"


@dataclass(frozen=True, slots=True)
class Known:
    """All that the status follows from.

    Attributes:
        arrived: webhooks taken so far.
        now: for what is told only for a while.
    """

    account: Account
    health: Health
    arrived: int
    last: LastEvent | None
    now: datetime


def described(known: Known) -> Answer:
    """Return state, message, webhook, lastEvent and warnings."""
    facts = _facts(known)
    state, message = connection.state(facts)
    return {
        "state": state.value,
        "message": message,
        "webhook": _webhook(known, facts),
        "lastEvent": _last_event(known.last),
        "warnings": list(_warnings(known, facts)),
    }


def budget(use: Use) -> Answer:
    """Return how much of the account's calls is used."""
    return {
        "perSecond": use.per_s,
        "lastMinute": use.last_minute,
        "total": use.total,
        "throttled": use.throttled,
        "waiting": use.waiting,
        "pausedS": round(use.paused_s, 1),
    }


def _facts(known: Known) -> Facts:
    health, last = known.health, known.last
    return Facts(
        enabled=known.account.enabled,
        webhook=health.webhook,
        complaint=health.complaint,
        refused=health.refused,
        unreachable=connection.unreachable(known.account.webhook_url, known.account.url),
        silent=health.silence.lasting,
        heard=known.arrived > 0,
        last_event=last.event if last else "",
        last_at=last.at if last else None,
    )


def _webhook(known: Known, facts: Facts) -> Answer:
    health = known.health
    return {
        "state": connection.webhook_state(facts).value,
        "id": health.webhook_id,
        "address": masked(known.account.webhook_url),
        "checkedAt": format_time(health.checked_at) if health.checked_at else None,
        "repairs": health.repairs,
        "message": health.complaint,
    }


def masked(url: str) -> str:
    """Return a webhook's address without its secret."""
    parts = urlsplit(url)
    before = parts.path.rpartition("/")[0] or PATH.rstrip("/")
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{before}/{_HIDDEN}"


def _last_event(last: LastEvent | None) -> Answer | None:
    if last is None:
        return None
    return {
        "event": last.event,
        "at": format_time(last.at),
        "receivedAt": format_time(last.received_at),
        "origin": last.origin.value,
    }


def _warnings(known: Known, facts: Facts) -> Iterator[Answer]:
    if not facts.enabled:
        return
    health = known.health
    if facts.unreachable and not facts.heard:
        yield {"code": "public_url", "message": facts.unreachable}
    if facts.webhook is WebhookState.UNKNOWN and facts.complaint and not facts.refused:
        yield {"code": "account_unreachable", "message": f"{facts.complaint} It is tried again by itself."}
    if health.blind:
        yield {"code": "campaigns_unreadable", "message": _blind(health.blind)}
    if health.refused_events:
        yield {"code": "events_refused", "message": _refused(health.refused_events)}
    yield from _silence(health.silence, known.now)
    for each in health.untracked:
        yield {"code": "tracking_off", "message": _untracked(each), "campaignId": each.campaign_id}


def _silence(told: silence.Silence, now: datetime) -> Iterator[Answer]:
    if told.lasting:
        yield {"code": "webhook_silent", "message": connection.SILENT}
    elif told.silent_at is not None:
        yield {
            "code": "webhook_was_silent",
            "message": (
                f"No webhook arrived although campaigns moved; noticed {_at(told.silent_at)}. The webhook was "
                "registered anew. What was missed, reconciliation fills in from the reports. If contacts were "
                "imported or changed in bulk, nothing is wrong: ActiveCampaign sends no webhooks for that."
            ),
        }
    elif told.was_silent_at and told.heard_at and now - told.heard_at < silence.REMEMBER:
        yield {
            "code": "webhook_was_silent",
            "message": (
                f"No webhook arrived from {_at(told.was_silent_at)} or earlier until {_at(told.heard_at)}; they "
                "arrive again. `headwater activecampaign reconcile` fills in what was missed at once, the hourly "
                "reconciliation does it by itself."
            ),
        }


def _blind(reason: str) -> str:
    return (
        "ActiveCampaign does not let this key read the campaigns, so nobody notices when webhooks stop and history "
        f"cannot be read: {reason}"
    )


def _refused(events: tuple[str, ...]) -> str:
    return f"ActiveCampaign did not register these webhooks: {', '.join(events)}. The account's plan may lack them."


def _untracked(campaign: Untracked) -> str:
    what = " and ".join(word for word, off in (("opens", campaign.opens), ("links", campaign.links)) if off)
    return (
        f"{what.capitalize()} are not tracked in the campaign “{campaign.name}”: there are no events of them. Switch "
        "the tracking on in ActiveCampaign, in the summary of the campaign, before it is sent."
    )


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
