"""One webhook, read: what its events share, and drafts of them."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.sources.activecampaign import times
from headwater.sources.activecampaign.mapping.contacts import Contact, field_user_id
from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.mapping.forms import Form
from headwater.sources.activecampaign.mapping.lists import MailingList, lists_of
from headwater.sources.activecampaign.mapping.properties import (
    Properties,
    contact_properties,
    identifier,
    list_properties,
    present,
)
from headwater.sources.activecampaign.mapping.tracks import context, reading_notes, track
from headwater.sources.activecampaign.occurrence import Identity, Kind, Scope, body_hash
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.activecampaign.times import Moment
from headwater.sources.contract import Origin, Webhook
from headwater.spec.event import Body


@dataclass(frozen=True, slots=True)
class Telling:
    """What a webhook says of an occurrence.

    Attributes:
        contact: None for what is about nobody.
        scope: where it happened and to whom.
        shared, about: properties and context that all its events have.
        raw_hash: of the webhook's bytes.
        user_id: in the configured custom field, "" for none.
    """

    webhook: Webhook
    form: Form
    settings: Settings
    contact: Contact | None
    lists: tuple[MailingList, ...]
    moment: Moment
    scope: Scope
    shared: Properties
    about: Body
    raw_hash: str
    user_id: str

    @property
    def list_ids(self) -> tuple[str, ...]:
        """Every list that is named, as sent."""
        return tuple(found.id for found in self.lists)

    @property
    def when(self) -> int | str:
        """What stands for the time in ids: the webhook's bytes where none was sent."""
        return self.raw_hash if self.moment.epoch_s is None else self.moment.epoch_s

    def draft(
        self,
        identity: Identity,
        name: str,
        properties: Properties,
        *,
        about: Body | None = None,
        reason: str = "",
        unsubscribe: str = "",
        companions: tuple[Draft, ...] = (),
    ) -> Draft:
        """Return the draft of one event; `about` is its context where it is not the shared one."""
        contact, account = self.contact, self.settings.account or self.webhook.source_id
        message_id = identity.message_id()
        return Draft(
            kind=identity.kind,
            campaign_id=self.scope.campaign_id,
            email_message_id=self.scope.email_message_id,
            contact_id=contact.id if contact else "",
            email=contact.email if contact else "",
            person=self.scope.person,
            link=_link(self.form) if identity.kind is Kind.CLICK else "",
            at_s=self.moment.epoch_s,
            slack_s=self.settings.match_tolerance_s + self.moment.slack_s,
            origin=Origin.WEBHOOK,
            times=1,
            message_id=message_id,
            identity=identity,
            body=track(
                name,
                message_id,
                contact.anonymous_id(account) if contact else f"activecampaign:{account}",
                (self.moment.at, self.webhook.received_at),
                properties,
                about or self.about,
            ),
            list_ids=self.list_ids,
            reason=reason,
            unsubscribe_id=unsubscribe,
            body_hash=self.raw_hash,
            field_user_id=self.user_id,
            companions=companions,
        )


def telling(webhook: Webhook, form: Form, contact: Contact | None, settings: Settings) -> Telling:
    """Return a webhook, read."""
    moment = times.moment(form.text("date_time"), webhook.received_at, settings.time_zone)
    lists = tuple(lists_of(form))
    scope = Scope(
        webhook.source_id,
        identifier(form, "campaign", "id"),
        identifier(form, "campaign", "message", "id"),
        contact.key if contact else "",
    )
    traits = present(
        email=contact.email if contact else "",
        firstName=form.raw("contact", "first_name"),
        lastName=form.raw("contact", "last_name"),
        phone=form.raw("contact", "phone"),
    )
    return Telling(
        webhook,
        form,
        settings,
        contact,
        lists,
        moment,
        scope,
        shared=list_properties(lists) | contact_properties(form, settings.include_contact),
        about=context(
            contact, traits, form.raw("campaign", "name"), reading_notes(form.flags, moment, settings.account)
        ),
        raw_hash=body_hash(webhook.body),
        user_id=field_user_id(form, settings.user_id_field),
    )


def _link(form: Form) -> str:
    return identifier(form, "link", "id") or form.raw("link", "url")
