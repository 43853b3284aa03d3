"""Finish an event with what is known beside its own telling. Nothing here changes its argument, and no id changes."""

from __future__ import annotations

import dataclasses
from typing import Final

from headwater.limits import USER_ID_CHARS_MAX
from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.mapping.tracks import campaign_context
from headwater.sources.activecampaign.records import CampaignNote, Person
from headwater.sources.contract import Origin
from headwater.spec.event import Body

FALLBACK: Final = "fallback"
LINK_SCANNER: Final = "link_scanner"


def identified(body: Body, person: Person | None) -> Body:
    """Return the event with who it was.

    A person with a user id has `userId` instead of `anonymousId`, and `context.integration.identity` says what told
    it. A person without one stays the e-mail; None (nobody answered in time) does, too, and is marked as fallback.
    """
    context = body["context"]
    if person is None:
        is_somebody = bool(context["traits"].get("email") or context.get("externalIds"))
        return _integrated(body, FALLBACK) if is_somebody else body
    user_id = person.user_id.strip()
    if not user_id or len(user_id) > USER_ID_CHARS_MAX:
        return body
    renamed = {("userId" if name == "anonymousId" else name): value for name, value in body.items()}
    return _integrated(renamed | {"userId": user_id}, person.how)


def _integrated(body: Body, identity: str) -> Body:
    context = body["context"]
    integration = context["integration"] | ({"identity": identity} if identity else {})
    return body | {"context": context | {"integration": integration}}


def described(body: Body, note: CampaignNote) -> Body:
    """Return the event with what it did not say itself about its campaign; ids stay as they are.

    The subject is filled in only where it is certain that it is the one of this email: a split test has several.
    """
    properties = body["properties"]
    if properties.get("campaign_id", "") != note.id:
        return body
    is_same_email = bool(note.message_id) and properties.get("email_id") in {note.message_id, note.id}
    known = {
        "email_subject": note.subject if is_same_email else "",
        "campaign_name": note.name,
        "campaign_type": note.type,
    }
    filled = {name: value for name, value in known.items() if value.strip() and name not in properties}
    if not filled:
        return body
    context = body["context"]
    if "campaign_name" in filled:
        context = context | {"campaign": campaign_context(note.name)}
    return body | {"properties": properties | filled, "context": context}


def repeated(draft: Draft, ordinal: int) -> Draft:
    """Return another occurrence beside one that is known already, told apart by its ordinal (from 2).

    Of a report's repeats only the number is known: they have the time of the first, marked as approximate.
    """
    identity = dataclasses.replace(draft.identity, discriminator=f"{draft.identity.discriminator}\n#{ordinal}")
    properties = {name: value for name, value in draft.body["properties"].items() if name != "occurrences"}
    if draft.origin is Origin.REPORT:
        properties["approximate_timestamp"] = True
    message_id = identity.message_id()
    body = draft.body | {"messageId": message_id, "properties": properties}
    return dataclasses.replace(draft, identity=identity, message_id=message_id, body=body, times=1, companions=())


def completed(body: Body, later: Body) -> Body:
    """Return an unsubscribe with what its second telling added, such as the reason; what was said first stays."""
    return body | {"properties": later["properties"] | body["properties"]}


def scanned(body: Body) -> Body:
    """Return a click marked as a machine's that follows every link; a reason that is known already stays."""
    properties = body["properties"]
    flagged = {"is_machine_open": True, "machine_reason": properties.get("machine_reason", LINK_SCANNER)}
    return body | {"properties": properties | flagged}


def contradicting(body: Body) -> Body:
    """Return a bounce marked with `delivery_was_derived`: an Email Delivered of the same email was sent before."""
    return body | {"properties": body["properties"] | {"delivery_was_derived": True}}
