"""Webhook bodies as ActiveCampaign spells them: bracket keys, form-encoded, one event each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from headwater.simulators.activecampaign.campaigns import LISTS, Message
from headwater.simulators.activecampaign.happenings import Happening
from headwater.simulators.activecampaign.people import FIELD_TAGS, Contact
from headwater.simulators.activecampaign.settings import Switches

Pair = tuple[str, str]

CONTENT_TYPE: Final = "application/x-www-form-urlencoded"
_CENTRAL: Final = ZoneInfo("America/Chicago")
_FIXED: Final = timezone(timedelta(hours=-5))


def webhook(happening: Happening, instant: datetime, switches: Switches) -> bytes:
    """Return the body of one webhook."""
    return urlencode(list(_pairs(happening, instant, switches))).encode()


def _pairs(happening: Happening, instant: datetime, switches: Switches) -> Iterator[Pair]:
    yield "type", happening.kind
    yield "date_time", date_time(instant, switches)
    yield "initiated_from", happening.initiator
    yield "initiated_by", happening.initiator
    yield from _list(happening, switches)
    if happening.contact is not None:
        yield from _contact(happening.contact, switches)
        yield "customer_acct_name", ""
        yield "customer_acct_id", "0"
        yield "orgname", ""
    yield from _campaign(happening, switches)
    yield from _own(happening, switches)


def date_time(instant: datetime, switches: Switches) -> str:
    """Return a time as the service writes it: to the second, US Central, whatever the customer's country."""
    if switches.times == "fixed":
        return instant.astimezone(_FIXED).isoformat(timespec="seconds")
    return central_wall(instant) if switches.times == "naive" else central(instant)


def central(instant: datetime) -> str:
    """Return a time in US Central with its offset."""
    return instant.astimezone(_CENTRAL).isoformat(timespec="seconds")


def central_wall(instant: datetime) -> str:
    """Return a time in US Central without its offset."""
    return f"{instant.astimezone(_CENTRAL):%Y-%m-%d %H:%M:%S}"


def _list(happening: Happening, switches: Switches) -> Iterator[Pair]:
    campaign, contact = happening.campaign, happening.contact
    if happening.by_admin:
        yield "list", str(campaign.list_id)
    elif happening.kind == "unsubscribe" and contact is not None and not happening.by_system:
        if switches.unsubscribe_lists == "repeated":
            yield from (("list[][id]", str(id_)) for id_ in contact.list_ids)
        elif switches.unsubscribe_lists == "indexed":
            yield from _indexed(contact.list_ids)
        else:
            yield "list", str(campaign.list_id)
    elif switches.lists == "indexed":
        yield from _indexed((campaign.list_id,))
    else:
        yield "list", str(campaign.list_id)


def _indexed(list_ids: tuple[int, ...]) -> Iterator[Pair]:
    for index, id_ in enumerate(list_ids):
        yield f"list[{index}][id]", str(id_)
        yield f"list[{index}][name]", LISTS[id_]


def _contact(contact: Contact, switches: Switches) -> Iterator[Pair]:
    yield "contact[id]", str(contact.id)
    yield "contact[email]", contact.email
    yield "contact[first_name]", contact.first_name
    yield "contact[last_name]", contact.last_name
    yield "contact[phone]", contact.phone
    yield "contact[ip]", "0.0.0.0"  # noqa: S104 - what the service sends for an unknown address
    yield "contact[tags]", ", ".join(contact.tags)
    yield "contact[customer_acct_name]", ""
    yield "contact[orgname]", ""
    for number, value in contact.fields:
        yield f"contact[fields][{number if switches.field_keys == 'numeric' else FIELD_TAGS[number].lower()}]", value


def _campaign(happening: Happening, switches: Switches) -> Iterator[Pair]:
    campaign, message = happening.campaign, message_of(happening)
    if happening.by_admin:
        return
    yield "campaign[id]", str(campaign.id)
    if happening.kind == "bounce" and switches.campaign_block == "id":
        return
    yield "campaign[name]", campaign.name
    if happening.kind == "bounce" and switches.campaign_block == "name":
        return
    yield "campaign[status]", "2" if happening.kind == "sent" else "5"
    yield "campaign[type]", campaign.type
    yield "campaign[recipients]", str(campaign.audience)
    if switches.message_ids == "present":
        yield "campaign[message][id]", str(message.id)
    yield "campaign[message][subject]", message.subject


def message_of(happening: Happening) -> Message:
    """Return the email that it is about."""
    return happening.campaign.message(happening.contact.id if happening.contact else 0)


def _own(happening: Happening, switches: Switches) -> Iterator[Pair]:
    if happening.kind == "open":
        yield "User-Agent", happening.agent
    elif happening.kind == "click" and happening.link is not None:
        yield "link[id]", str(happening.link.id)
        yield "link[url]", happening.link.url
        if switches.click_agents == "present":
            yield "User-Agent", happening.agent
    elif happening.kind == "bounce":
        yield from zip(("bounce[type]", "bounce[code]", "bounce[description]"), happening.bounce, strict=True)
    elif happening.kind == "unsubscribe":
        yield "form[id]", "0"
        if happening.reason:
            yield "unsubscribe[reason]", happening.reason
        yield "active_subscriptions[0]", "0"


def press_test_button(kind: str) -> bytes:
    """Return what the product's "test" button posts: invented ids, a `url` key, a time of 2013 without offset."""
    return urlencode(
        {
            "url": "",
            "type": kind,
            "date_time": "2013-01-01 12:00:00",
            "initiated_from": "admin",
            "initiated_by": "admin",
            "list": "1",
            "contact[id]": "42",
            "contact[email]": "test@example.com",
            "contact[first_name]": "Test",
            "contact[last_name]": "Contact",
            "contact[ip]": "127.0.0.1",
            "campaign[id]": "42",
            "campaign[name]": "Test Campaign",
        }
    ).encode()


def automation(contact: Contact, series_id: int) -> bytes:
    """Return what an automation's "Webhook" action posts: the contact alone, fields by personalisation tag."""
    pairs = [
        ("contact[id]", str(contact.id)),
        ("contact[email]", contact.email),
        ("contact[first_name]", contact.first_name),
        ("contact[last_name]", contact.last_name),
        ("contact[phone]", contact.phone),
        ("contact[ip4]", "0.0.0.0"),  # noqa: S104 - what the service sends for an unknown address
        ("contact[tags]", ",".join(contact.tags)),
        *((f"contact[fields][{FIELD_TAGS[number].lower()}]", value) for number, value in contact.fields),
        ("seriesid", str(series_id)),
    ]
    return urlencode(pairs).encode()
