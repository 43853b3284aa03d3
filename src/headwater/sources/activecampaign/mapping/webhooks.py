"""Turn one stored webhook into Segment events. Pure: the same webhook gives the same events, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.sources.activecampaign import settings as source_settings
from headwater.sources.activecampaign.mapping import bodies, extras, kinds
from headwater.sources.activecampaign.mapping.contacts import Contact, contact_of, is_address
from headwater.sources.activecampaign.mapping.draft import Draft, Read
from headwater.sources.activecampaign.mapping.forms import Form
from headwater.sources.activecampaign.mapping.properties import (
    USER_AGENT,
    Properties,
    email_properties,
    envelope_properties,
    own_properties,
    present,
)
from headwater.sources.activecampaign.mapping.telling import Telling, telling
from headwater.sources.activecampaign.mapping.tracks import NAMES, SPEC_UNSUBSCRIBED
from headwater.sources.activecampaign.occurrence import Identity, Kind, unsubscribe_id
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.contract import Mapped, Webhook

ENGAGEMENT: Final = frozenset({Kind.OPEN, Kind.CLICK})
ONCE: Final = 0
"""What stands for the time in the id of what happens once for an email and a person."""


def events(webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
    """Return what a webhook means without any memory: what it tells and what that proves, people by their e-mail.

    Never raises: what cannot be understood is quarantined with the reason, what is known and no email event is ignored.
    """
    read = read_webhook(webhook, source_settings.read(settings))
    bodies_ = [each.body for draft in read.drafts for each in (draft, *draft.companions)]
    return Mapped(tuple(bodies_), read.quarantined, read.ignored)


def read_webhook(webhook: Webhook, settings: Settings) -> Read:
    """Return what a webhook tells; never raises for bad input."""
    try:
        form = bodies.read(webhook.body)
    except bodies.UnreadableError as error:
        return Read(quarantined=str(error))
    if ignored := kinds.ignored(form):
        extra = extras.draft(webhook, form, settings) if settings.extra_events else None
        return Read(ignored=ignored) if extra is None else Read((extra,))
    contact = contact_of(form)
    if complaint := _complaint(form, contact):
        return Read(quarantined=complaint)
    told = telling(webhook, form, contact, settings)
    kind = kinds.EMAIL_TYPES[form.text("type")]
    derived_drafts = _delivered(told) if kind in ENGAGEMENT else _spam(told) if kind is Kind.UNSUBSCRIBE else ()
    return Read((_own(told, kind), *derived_drafts))


def _complaint(form: Form, contact: Contact | None) -> str:
    """Return what is missing to make an event of it, "" when nothing is."""
    if not form.text("type"):
        return "the webhook has no type"
    if contact is None:
        return "the webhook has no contact"
    if contact.email and not is_address(contact.email):
        return "the contact's e-mail is no address"
    return ""


def _own(told: Telling, kind: Kind) -> Draft:
    """Return what the webhook itself tells."""
    form = told.form
    unsubscribed = unsubscribe_id(told.scope, told.list_ids) if kind is Kind.UNSUBSCRIBE else ""
    agent = form.text(USER_AGENT)
    properties = (
        email_properties(form)
        | own_properties(form, kind, told.lists)
        | present(unsubscribe_id=unsubscribed)
        | told.shared
        | envelope_properties(form)
    )
    identity = Identity(
        told.scope, kind, _discriminator(form, kind, told.list_ids), told.when, agent if kind is Kind.OPEN else ""
    )
    about = told.about | {"userAgent": agent} if agent else told.about
    companions: tuple[Draft, ...] = ()
    if kind is Kind.UNSUBSCRIBE and told.settings.unsubscribed_too:
        companions = (told.draft(companion_identity(identity), SPEC_UNSUBSCRIBED, properties, about=about),)
    return told.draft(
        identity,
        NAMES[kind],
        properties,
        about=about,
        reason=form.text("unsubscribe", "reason") if kind is Kind.UNSUBSCRIBE else "",
        unsubscribe=unsubscribed,
        companions=companions,
    )


def _discriminator(form: Form, kind: Kind, list_ids: Sequence[str]) -> str:
    """Return what tells two occurrences of one kind, person, email and second apart."""
    match kind:
        case Kind.CLICK:
            return click_discriminator(form.text("link", "id"), form.raw("link", "url"))
        case Kind.UNSUBSCRIBE:
            return unsubscribe_discriminator(list_ids, form.text("unsubscribe", "reason"))
        case Kind.BOUNCE:
            return bounce_discriminator(form.text("bounce", "type"), form.text("bounce", "code"))
    return ""


def _delivered(told: Telling) -> tuple[Draft, ...]:
    """Return Email Delivered for an open or click: no webhook says it, but what was opened has arrived.

    Its id is free of the time, so of all engagement with one email the log keeps the first.
    """
    named = told.scope.campaign_id or told.scope.email_message_id  # mails from one person to another have no campaign
    if not (named and told.settings.delivered_from_engagement):
        return ()
    properties = email_properties(told.form) | told.shared | derived("engagement")
    return (told.draft(Identity(told.scope, Kind.DELIVERED, Kind.DELIVERED, ONCE), NAMES[Kind.DELIVERED], properties),)


def _spam(told: Telling) -> tuple[Draft, ...]:
    """Return Email Marked as Spam for an unsubscribe that a complaint caused: only its reason tells.

    Exactly this reason, and not from the contact: what people type into a form proves nothing.
    """
    form = told.form
    reason = form.text("unsubscribe", "reason")
    if not reason or reason != told.settings.spam_reason or form.text("initiated_from") == "public":
        return ()
    properties = email_properties(form) | told.shared | envelope_properties(form) | derived("unsubscribe_reason")
    return (told.draft(Identity(told.scope, Kind.SPAM, Kind.SPAM, ONCE), NAMES[Kind.SPAM], properties),)


def derived(source: str) -> Properties:
    """Return what marks an event that nobody told as such."""
    return {"derived": True, "derived_from": source}


def click_discriminator(link_id: str, link_url: str) -> str:
    """Return what tells clicks apart."""
    return f"{link_id}\n{link_url}"


def unsubscribe_discriminator(list_ids: Sequence[str], reason: str) -> str:
    """Return what tells unsubscribes apart: the lists, and whether it is the telling with a reason."""
    return f"{','.join(sorted(list_ids))}\n{'r' if reason else ''}"


def bounce_discriminator(kind: str, code: str) -> str:
    """Return what tells bounces apart."""
    return f"{kind}\n{code}"


def companion_identity(identity: Identity) -> Identity:
    """Return what the id of Segment's `Unsubscribed` beside an Email Unsubscribed is made of."""
    return Identity(
        identity.scope,
        identity.kind,
        f"{identity.discriminator}\n{SPEC_UNSUBSCRIBED}",
        identity.when,
        identity.agent,
    )
