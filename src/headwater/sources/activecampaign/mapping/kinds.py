"""Tell what a webhook is: one of the four email happenings, something else that is known, or nothing we understand."""

from __future__ import annotations

import re
from typing import Final

from headwater.sources.activecampaign.mapping.forms import Form
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.activecampaign.times import TEST_BUTTON_TIME

EMAIL_TYPES: Final = {
    "open": Kind.OPEN,
    "click": Kind.CLICK,
    "unsubscribe": Kind.UNSUBSCRIBE,
    "bounce": Kind.BOUNCE,
}
OPEN_TRACKER: Final = "open"
"""The pseudo-link that stands for the tracking pixel in ActiveCampaign's own link lists."""

EXTRA_NAMES: Final = {
    "sent": "Campaign Sent",
    "forward": "Email Forwarded",
    "reply": "Email Replied",
    "share": "Email Shared",
    "subscribe": "Contact Subscribed",
    "update": "Contact Updated",
    "subscriber_note": "Contact Note Added",
    "contact_tag_added": "Contact Tag Added",
    "contact_tag_removed": "Contact Tag Removed",
    "contact_task_add": "Contact Task Added",
    "list_add": "List Added",
    "account_add": "Account Added",
    "account_update": "Account Updated",
    "account_contact_add": "Account Contact Added",
    "account_contact_update": "Account Contact Updated",
    "deal_add": "Deal Added",
    "deal_update": "Deal Updated",
    "deal_note_add": "Deal Note Added",
    "deal_pipeline_add": "Deal Pipeline Added",
    "deal_stage_add": "Deal Stage Added",
    "deal_task_add": "Deal Task Added",
    "deal_task_complete": "Deal Task Completed",
    "deal_tasktype_add": "Deal Task Type Added",
    "sms_sent": "SMS Sent",
    "sms_reply": "SMS Replied",
    "sms_unsub": "SMS Unsubscribed",
}
"""Webhook types that are no email event, and what their events are called behind "ActiveCampaign "."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def webhook_types(settings: Settings) -> tuple[str, ...]:
    """Return the types that a webhook has to be registered for."""
    return (*EMAIL_TYPES, *(EXTRA_NAMES if settings.extra_events else ()))


def ignored(form: Form) -> str:
    """Return why a webhook is none of the email events and yet nothing is wrong with it, "" otherwise.

    The answer is a name to count by: "test", "automation", "open_tracker" or "type <its type>".
    """
    kind = form.text("type")
    if is_test(form):
        return "test"
    if not kind:
        return "automation" if _is_automation(form) else ""
    if kind == "click" and form.text("link", "url") == OPEN_TRACKER:
        return "open_tracker"
    if kind in EMAIL_TYPES:
        return ""
    # anything may stand here, also a person's data: only what looks like a type is shown
    return f"type {kind}" if _NAME.fullmatch(kind) else "type of unknown spelling"


def extra_name(form: Form) -> str:
    """Return the event's name of a webhook of another type, "" where none is known."""
    name = EXTRA_NAMES.get(form.text("type"))
    return f"ActiveCampaign {name}" if name else ""


def is_test(form: Form) -> bool:
    """Whether the product's test button sent it."""
    return form.text("date_time") == TEST_BUTTON_TIME


def _is_automation(form: Form) -> bool:
    """An automation's "Webhook" action posts a contact without any envelope."""
    return not form.has("date_time") and (form.has("seriesid") or form.has("contact", "ip4"))
