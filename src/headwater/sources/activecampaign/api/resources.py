"""The rows of API v3. Pure: a JSON object in, a value out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from headwater.activecampaign import values
from headwater.activecampaign.values import Member
from headwater.sources.activecampaign.api.rows import Campaign, ContactRow, Message, UnsubscribeRow, WebhookRow

_UNSUBSCRIBED: Final = "2"  # of a contact on a list
_NOTHING_TRACKED: Final = frozenset({"0", "none", "false"})  # other words say which links: "all", "mime", …


def campaign(row: Member, messages: Iterable[Message] = ()) -> Campaign:
    """Return a campaign; `messages` are its emails where they were asked for."""
    mails = tuple(messages)
    return Campaign(
        id=values.id_of(row.get("id")),
        name=values.text(row.get("name")),
        type=values.text(row.get("type")),
        status=values.text(row.get("status")),
        sent_at=values.instant(row.get("sdate")),
        last_sent_at=values.instant(row.get("ldate")),
        message_ids=tuple(mail.id for mail in mails) or message_ids(row),
        subject=mails[0].subject if len(mails) == 1 else "",
        tracks_opens=_is_tracked(row, "trackreads"),
        tracks_links=_is_tracked(row, "tracklinks"),
        recipients=values.count(row.get("send_amt")),
        opens=values.count(row.get("opens")),
        unique_opens=values.count(row.get("uniqueopens")),
        clicks=values.count(row.get("linkclicks")),
        unique_clicks=values.count(row.get("uniquelinkclicks")),
        clickers=values.count(row.get("subscriberclicks")),
        hard_bounces=values.count(row.get("hardbounces")),
        soft_bounces=values.count(row.get("softbounces")),
        unsubscribes=values.count(row.get("unsubscribes")),
    )


def message_ids(row: Member) -> tuple[str, ...]:
    """Return the emails that a campaign's own row names: not every account's rows do."""
    found = values.texts(row.get("relmessages")) or (values.id_of(row.get("message_id")),)
    return tuple(dict.fromkeys(id_ for id_ in found if id_ not in {"", "0"}))


def messages_of(rows: Iterable[Member]) -> tuple[str, ...]:
    """Return the email ids of `campaignMessages` rows."""
    found = (values.id_of(row.get("messageid")) or values.id_of(row.get("message")) for row in rows)
    return tuple(dict.fromkeys(id_ for id_ in found if id_))


def message(row: Member) -> Message:
    """Return one email."""
    return Message(values.id_of(row.get("id")), values.text(row.get("subject")))


def contact(row: Member) -> ContactRow:
    """Return one contact; `updated_utc_timestamp` is no UTC and is not read."""
    return ContactRow(
        id=values.id_of(row.get("id")),
        email=values.text(row.get("email")),
        user_id=values.text(row.get("segmentio_id")),
        updated_at=values.instant(row.get("udate")),
        privacy=values.flag(row.get("mpp_tracking")),
    )


def webhook(row: Member) -> WebhookRow:
    """Return one registered webhook."""
    return WebhookRow(
        id=values.id_of(row.get("id")),
        name=values.text(row.get("name")),
        url=values.text(row.get("url")),
        events=values.texts(row.get("events")),
        sources=values.texts(row.get("sources")),
        list_id=values.text(row.get("listid")),
    )


def unsubscribes(answer: Member, updated_after: datetime | None) -> list[UnsubscribeRow]:
    """Return who left which list, from contacts that were read together with their lists.

    One that left before `updated_after` is left out; one without a time is not.
    """
    emails = {
        values.id_of(row.get("id")): values.text(row.get("email")) for row in values.members(answer.get("contacts"))
    }
    rows = (
        row for row in values.members(answer.get("contactLists")) if values.text(row.get("status")) == _UNSUBSCRIBED
    )
    found = [(_left(row, emails), values.instant(values.date(row, "udate", "updated_timestamp"))) for row in rows]
    return [
        row
        for row, at in found
        if row.contact_id in emails and (updated_after is None or at is None or at >= updated_after)
    ]


def _left(row: Member, emails: dict[str, str]) -> UnsubscribeRow:
    contact_id = values.id_of(row.get("contact"))
    return UnsubscribeRow(
        contact_id=contact_id,
        email=emails.get(contact_id, ""),
        at=values.date(row, "udate", "updated_timestamp"),
        reason=values.text(row.get("unsubreason")),
        list_id=values.id_of(row.get("list")),
        campaign_id=values.id_of(row.get("campaign")),
        message_id=values.id_of(row.get("message")),
    )


def _is_tracked(row: Member, name: str) -> bool:
    return values.text(row.get(name, "1")).lower() not in _NOTHING_TRACKED
