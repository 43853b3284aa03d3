"""Tell what a webhook is: one of the four email happenings, something else that is known, or nothing we understand."""

from __future__ import annotations

import re
from typing import Final

from headwater.sources.activecampaign.forms import Form
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.times import TEST_BUTTON_TIME

EMAIL_TYPES: Final = {
    "open": Kind.OPEN,
    "click": Kind.CLICK,
    "unsubscribe": Kind.UNSUBSCRIBE,
    "bounce": Kind.BOUNCE,
}
OPEN_TRACKER: Final = "open"
"""The pseudo-link that stands for the tracking pixel in ActiveCampaign's own link lists."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def ignored(form: Form) -> str:
    """Return why a webhook is none of the email events and yet nothing is wrong with it, "" otherwise.

    The answer is a name to count by: "test", "automation", "open_tracker" or "type <its type>".
    """
    kind = form.text("type")
    if form.text("date_time") == TEST_BUTTON_TIME:
        return "test"
    if not kind:
        return "automation" if _is_automation(form) else ""
    if kind == "click" and form.text("link", "url") == OPEN_TRACKER:
        return "open_tracker"
    if kind in EMAIL_TYPES:
        return ""
    # anything may stand here, also a person's data: only what looks like a type is shown
    return f"type {kind}" if _NAME.fullmatch(kind) else "type of unknown spelling"


def _is_automation(form: Form) -> bool:
    """An automation's "Webhook" action posts a contact without any envelope."""
    return not form.has("date_time") and (form.has("seriesid") or form.has("contact", "ip4"))
