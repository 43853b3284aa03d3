"""One occurrence as a record of the inbox tells it, before anybody looked whether it is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headwater.sources.activecampaign.occurrence import Identity, Kind
from headwater.sources.activecampaign.records import Person
from headwater.sources.contract import Origin
from headwater.spec.event import Body


@dataclass(frozen=True, slots=True)
class Draft:
    """One telling of one occurrence.

    Attributes:
        kind: what happened.
        campaign_id, email_message_id: "" for none.
        contact_id, email: "" where they are not told; both "" for what is about nobody.
        person: what names the contact in ids (`Contact.key`).
        link: of a click: the link's id, else its URL; "" for all others.
        at_s: when, in seconds since 1970, as it was told; None where it was not.
        slack_s: another telling of the same occurrence may lie this far from `at_s`.
        origin: a webhook, or what the API told.
        times: how often it happened altogether, of a report's row; else 1.
        message_id: of `identity`.
        identity: what the id is made of.
        body: the complete event, with the e-mail as `anonymousId`. Parts of it are shared: copy, never change.
        list_ids: every list that is named, as sent.
        reason: of an unsubscribe, "" for none.
        unsubscribe_id: the same for both webhooks of one unsubscribe.
        body_hash: of the raw webhook; "" for a report's row.
        field_user_id: the user id in the configured custom field, "" for none.
        companions: events that are appended only together with this one.
    """

    kind: Kind
    campaign_id: str
    email_message_id: str
    contact_id: str
    email: str
    person: str
    link: str
    at_s: int | None
    slack_s: int
    origin: Origin
    times: int
    message_id: str
    identity: Identity
    body: Body
    list_ids: tuple[str, ...] = ()
    reason: str = ""
    unsubscribe_id: str = ""
    body_hash: str = ""
    field_user_id: str = ""
    companions: tuple[Draft, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What one record of the inbox tells.

    Attributes:
        drafts: what happened, in order: the record's own, then what is derived from each.
        quarantined: why nothing could be made of it, "" otherwise.
        ignored: why it is known and no event, "" otherwise.
        people: by contact id, who they were when a report was read; empty for webhooks.
    """

    drafts: tuple[Draft, ...] = ()
    quarantined: str = ""
    ignored: str = ""
    people: Mapping[str, Person] = field(default_factory=dict)
