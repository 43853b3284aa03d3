"""The person a webhook is about: contact id, e-mail, and the identity of the event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headwater.limits import USER_ID_CHARS_MAX
from headwater.sources.activecampaign.mapping.forms import Form

# Only what no mail system could mean is refused: ActiveCampaign has checked the address before.
_ADDRESS: Final = re.compile(r"[^\s@\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*@[^\s@\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Contact:
    """Who it was: at least one of the two is not ""."""

    id: str
    email: str

    @property
    def key(self) -> str:
        """What names the person in a `messageId`: free of identity, so that a user id found later changes nothing."""
        return self.id or self.email.lower()

    def anonymous_id(self, account: str) -> str:
        """Return the e-mail, as Segment's own source does; without one the contact within its account."""
        return self.email or f"activecampaign:{account}:{self.id}"


def contact_of(form: Form) -> Contact | None:
    """Return whom the webhook names, None when it names nobody."""
    id_ = form.text("contact", "id")
    contact = Contact("" if id_ == "0" else id_, form.text("contact", "email"))
    return contact if contact.key else None


def is_address(email: str) -> bool:
    """Say whether this can be an e-mail address that was ever written to."""
    return len(email) <= USER_ID_CHARS_MAX and _ADDRESS.fullmatch(email) is not None


def field_user_id(form: Form, field: str) -> str:
    """Return the user id in a custom field, "" for none.

    Args:
        form: a webhook.
        field: number or personalisation tag (`%TAG%`, in any case): senders name fields by either.
    """
    wanted = field.strip("% ").casefold()
    if not wanted:
        return ""
    for path, value in form.under("contact", "fields"):
        if len(path) == 1 and path[0].strip("% ").casefold() == wanted:
            user_id = value.strip()
            is_choice = user_id.startswith("||")  # several answers to a question name nobody
            return "" if is_choice or len(user_id) > USER_ID_CHARS_MAX else user_id
    return ""
