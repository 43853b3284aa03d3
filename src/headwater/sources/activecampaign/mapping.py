"""Turn one stored webhook into Segment events. Pure: the same webhook gives the same events, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater import __version__
from headwater.sources.activecampaign import bodies, forms, kinds, times
from headwater.sources.activecampaign import settings as source_settings
from headwater.sources.activecampaign.contacts import Contact, contact_of, is_address
from headwater.sources.activecampaign.forms import Form
from headwater.sources.activecampaign.lists import lists_of
from headwater.sources.activecampaign.occurrence import Kind, Scope, body_hash, message_id
from headwater.sources.activecampaign.properties import (
    USER_AGENT,
    Properties,
    contact_properties,
    email_properties,
    envelope_properties,
    identifier,
    list_properties,
    own_properties,
    present,
)
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.activecampaign.times import Moment
from headwater.sources.contract import Mapped, Webhook
from headwater.spec.event import Body
from headwater.spec.times import format_time

NAMES: Final = {
    Kind.DELIVERED: "Email Delivered",
    Kind.OPEN: "Email Opened",
    Kind.CLICK: "Email Link Clicked",
    Kind.UNSUBSCRIBE: "Email Unsubscribed",
    Kind.BOUNCE: "Email Bounced",
}
"""Segment's names of the events, as its ActiveCampaign source spells them."""


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """One webhook that is an email event, read."""

    webhook: Webhook
    form: Form
    settings: Settings
    kind: Kind
    contact: Contact
    moment: Moment
    scope: Scope


def events(webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
    """Return what a webhook means: its event, and Email Delivered where an open or click proves the delivery.

    Never raises: what cannot be understood is quarantined with the reason, what is known and no email event is ignored.
    """
    try:
        form = bodies.read(webhook.body)
    except bodies.UnreadableError as error:
        return Mapped(quarantined=str(error))
    if ignored := kinds.ignored(form):
        return Mapped(ignored=ignored)
    contact = contact_of(form)
    if complaint := _complaint(form, contact):
        return Mapped(quarantined=complaint)
    assert contact is not None  # noqa: S101 - `_complaint` has just seen to it
    occurrence = _read(webhook, form, contact, source_settings.read(settings))
    return Mapped(events=(_own_event(occurrence), *_delivered(occurrence)))


def _complaint(form: Form, contact: Contact | None) -> str:
    """Return what is missing to make an event of it, "" when nothing is."""
    if not form.text("type"):
        return "the webhook has no type"
    if contact is None:
        return "the webhook has no contact"
    if contact.email and not is_address(contact.email):
        return "the contact's e-mail is no address"
    return ""


def _read(webhook: Webhook, form: Form, contact: Contact, settings: Settings) -> _Occurrence:
    return _Occurrence(
        webhook,
        form,
        settings,
        kinds.EMAIL_TYPES[form.text("type")],
        contact,
        times.moment(form.text("date_time"), webhook.received_at, settings.time_zone),
        Scope(
            webhook.source_id,
            identifier(form, "campaign", "id"),
            identifier(form, "campaign", "message", "id"),
            contact.key,
        ),
    )


def _own_event(occurrence: _Occurrence) -> Body:
    form, kind = occurrence.form, occurrence.kind
    when = occurrence.moment.epoch_s
    properties = (
        email_properties(form)
        | own_properties(form, kind, occurrence.scope)
        | list_properties(form)
        | contact_properties(form, occurrence.settings.include_contact)
        | envelope_properties(form)
    )
    agent = form.text(USER_AGENT)
    id_ = message_id(
        occurrence.scope,
        kind,
        discriminator=_discriminator(form, kind),
        when=body_hash(occurrence.webhook.body) if when is None else when,
        agent=agent if kind is Kind.OPEN else "",
    )
    return _track(occurrence, kind, id_, properties, present(userAgent=agent))


def _discriminator(form: Form, kind: Kind) -> str:
    """Return what tells two occurrences of one kind, person, email and second apart."""
    match kind:
        case Kind.CLICK:
            return f"{form.text('link', 'id')}\n{form.raw('link', 'url')}"
        case Kind.UNSUBSCRIBE:
            ids = sorted(found.id for found in lists_of(form))
            return f"{','.join(ids)}\n{'r' if form.text('unsubscribe', 'reason') else ''}"
        case Kind.BOUNCE:
            return f"{form.text('bounce', 'type')}\n{form.text('bounce', 'code')}"
    return ""


def _delivered(occurrence: _Occurrence) -> tuple[Body, ...]:
    """Return Email Delivered for an open or click: no webhook says it, but what was opened has arrived.

    Its id is free of the time, so of all engagement with one email the log keeps the first.
    """
    scope, form = occurrence.scope, occurrence.form
    engaged = occurrence.kind in {Kind.OPEN, Kind.CLICK}
    named = scope.campaign_id or scope.email_message_id  # mails from one person to another have no campaign
    if not (engaged and named and occurrence.settings.delivered_from_engagement):
        return ()
    properties = (
        email_properties(form)
        | list_properties(form)
        | contact_properties(form, occurrence.settings.include_contact)
        | {"derived": True, "derived_from": "engagement"}
    )
    id_ = message_id(scope, Kind.DELIVERED, discriminator=Kind.DELIVERED.value)
    return (_track(occurrence, Kind.DELIVERED, id_, properties, {}),)


def _track(
    occurrence: _Occurrence, kind: Kind, id_: str, properties: Properties, extra_context: Mapping[str, str]
) -> Body:
    happened, arrived = format_time(occurrence.moment.at), format_time(occurrence.webhook.received_at)
    return {
        "type": "track",
        "event": NAMES[kind],
        "messageId": id_,
        "anonymousId": occurrence.contact.anonymous_id(occurrence.settings.account or occurrence.webhook.source_id),
        "timestamp": happened,
        "originalTimestamp": happened,
        "sentAt": arrived,
        "receivedAt": arrived,
        "properties": properties,
        "context": _context(occurrence) | dict(extra_context),
    }


def _context(occurrence: _Occurrence) -> Body:
    """Return who the recipient is and where the event comes from.

    No `ip`: the contact's stored address is not the opener's. `active: false`: no user sat at a device of ours.
    """
    form, contact = occurrence.form, occurrence.contact
    name = form.raw("campaign", "name")
    context = {
        "active": False,
        "library": {"name": "headwater", "version": __version__},
        "integration": {"name": "ActiveCampaign", "version": __version__, **_notes(occurrence)},
        "traits": present(
            email=contact.email,
            firstName=form.raw("contact", "first_name"),
            lastName=form.raw("contact", "last_name"),
            phone=form.raw("contact", "phone"),
        ),
    }
    if contact.id:
        id_ = {"id": contact.id, "type": "activecampaign_contact_id", "collection": "users", "encoding": "none"}
        context["externalIds"] = [id_]
    if name.strip():
        context["campaign"] = {"name": name, "medium": "email", "source": "activecampaign"}
    return context


def _notes(occurrence: _Occurrence) -> dict[str, Any]:
    """Return what had to be assumed or left out while reading the webhook."""
    flags = occurrence.form.flags
    return present(
        time=occurrence.moment.flag,
        encoding=forms.CP1252 if forms.CP1252 in flags else "",
        truncated=forms.CUT in flags,
    )
