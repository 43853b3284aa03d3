"""The track call of an occurrence: Segment's names, the common fields and the context."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from headwater import __version__
from headwater.sources.activecampaign.mapping import forms
from headwater.sources.activecampaign.mapping.contacts import Contact
from headwater.sources.activecampaign.mapping.properties import Properties, present
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.times import Moment
from headwater.spec.event import Body
from headwater.spec.times import format_time

NAMES: Final = {
    Kind.DELIVERED: "Email Delivered",
    Kind.OPEN: "Email Opened",
    Kind.CLICK: "Email Link Clicked",
    Kind.UNSUBSCRIBE: "Email Unsubscribed",
    Kind.BOUNCE: "Email Bounced",
    Kind.SPAM: "Email Marked as Spam",
}
"""Segment's names of the events, as its ActiveCampaign source spells them."""

SPEC_UNSUBSCRIBED: Final = "Unsubscribed"
"""The name in Segment's email spec, which its ActiveCampaign source does not use."""

LIBRARY: Final = {"name": "headwater", "version": __version__}
INTEGRATION: Final = {"name": "ActiveCampaign", "version": __version__}

written_time: Final = lru_cache(maxsize=512)(format_time)


def track(
    name: str, message_id: str, anonymous_id: str, times: tuple[datetime, datetime], properties: Properties, about: Body
) -> Body:
    """Return a complete track call.

    Args:
        name: of the event.
        message_id: of the occurrence.
        anonymous_id: the e-mail, or what stands for it.
        times: when it happened, when it arrived.
        properties: of the event.
        about: its context.
    """
    happened, arrived = written_time(times[0]), written_time(times[1])
    return {
        "type": "track",
        "event": name,
        "messageId": message_id,
        "anonymousId": anonymous_id,
        "timestamp": happened,
        "originalTimestamp": happened,
        "sentAt": arrived,
        "receivedAt": arrived,
        "properties": properties,
        "context": about,
    }


def context(contact: Contact | None, traits: Properties, campaign_name: str, notes: Mapping[str, Any]) -> Body:
    """Return who the recipient is and where the event comes from.

    No `ip`: the contact's stored address is not the opener's. `active: false`: no user sat at a device of ours.

    Args:
        contact: None for what is about nobody.
        traits: what is known of the contact.
        campaign_name: "" for none.
        notes: what had to be assumed or left out while reading.
    """
    found: Body = {
        "active": False,
        "library": LIBRARY,
        "integration": {**INTEGRATION, **notes} if notes else INTEGRATION,
        "traits": traits,
    }
    if contact is not None and contact.id:
        found["externalIds"] = [
            {"id": contact.id, "type": "activecampaign_contact_id", "collection": "users", "encoding": "none"}
        ]
    if campaign_name.strip():
        found["campaign"] = campaign_context(campaign_name)
    return found


def reading_notes(flags: Collection[str], moment: Moment, account: str) -> Properties:
    """Return which account it is where that is set, and what had to be assumed or left out while reading."""
    if not flags and not moment.flag and not account:
        return {}
    return present(
        account=account,
        time=moment.flag,
        encoding=forms.CP1252 if forms.CP1252 in flags else "",
        truncated=forms.CUT in flags,
    )


def campaign_context(name: str) -> Body:
    """Return `context.campaign` of an email."""
    return {"name": name, "medium": "email", "source": "activecampaign"}
