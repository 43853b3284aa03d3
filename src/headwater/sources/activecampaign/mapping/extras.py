"""Webhooks that are no email event (tags, deals, notes ...) as events of their own, for whoever wants them."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from headwater.sources.activecampaign.mapping import kinds
from headwater.sources.activecampaign.mapping.contacts import contact_of, is_address
from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.mapping.forms import Form, Path
from headwater.sources.activecampaign.mapping.properties import Properties, email_properties, envelope_properties
from headwater.sources.activecampaign.mapping.telling import telling
from headwater.sources.activecampaign.occurrence import Identity, Kind
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.contract import Webhook

_MEMBERS_MAX: Final = 100
"""ours: properties of one event; ActiveCampaign's largest block, a deal, has about 25."""
_NAME_CHARS_MAX: Final = 60  # ours: of one property

# what the email events have, too, has names of its own
_TOLD_ELSEWHERE: Final = frozenset(
    {
        "type",
        "date_time",
        "initiated_from",
        "initiated_by",
        "list",
        "contact",
        "campaign",
        "customer_acct_name",
        "customer_acct_id",
        "orgname",
        "account_id",
    }
)
# what may have changed between two deliveries of the same webhook
_VOLATILE: Final = frozenset({"tags", "fields", "ip", "phone", "first_name", "last_name"})


def draft(webhook: Webhook, form: Form, settings: Settings) -> Draft | None:
    """Return the event of a webhook of another type, None where there is none for it.

    What is about nobody (a campaign that starts, a new list) is the account's own: `activecampaign:<account>`.
    """
    name = kinds.extra_name(form)
    if not name or kinds.is_test(form):
        return None
    contact = contact_of(form)
    if contact is not None and contact.email and not is_address(contact.email):
        contact = None
    told = telling(webhook, form, contact, settings)
    properties = _flat(form) | email_properties(form) | told.shared | envelope_properties(form)
    return told.draft(Identity(told.scope, Kind.OTHER, _content_hash(form), told.when), name, properties)


def _content_hash(form: Form) -> str:
    """Return what tells two webhooks of one second apart: all they say, but for volatile data and the time's zone."""
    told = sorted(pair for pair in form.pairs if not _is_volatile(pair[0]))
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _is_volatile(path: Path) -> bool:
    return path == ("date_time",) or (len(path) > 1 and path[0] == "contact" and path[1] in _VOLATILE)


def _flat(form: Form) -> Properties:
    """Return the type's own members: `deal[title]` as `deal_title`, what is counted (`updated_fields[0]`) as a list.

    A list holds texts, or objects where its items have members (`deal[fields][0][id]`).
    """
    found: Properties = {}
    items: dict[str, dict[str, Any]] = {}
    for path, value in form.pairs:
        if path[0] in _TOLD_ELSEWHERE or not value.strip():
            continue
        place = next((i for i, label in enumerate(path) if i and (not label or label.isdecimal())), 0)
        name = "_".join(path[:place] if place else path)
        if len(name) > _NAME_CHARS_MAX or (name not in found and len(found) >= _MEMBERS_MAX):
            continue
        if place == 0:
            found[name] = value
            continue
        by_label = items.setdefault(name, {})
        found[name] = by_label  # keeps the place among the others
        if rest := "_".join(path[place + 1 :]):
            item = by_label.setdefault(path[place], {})
            if isinstance(item, dict):
                item[rest] = value
        else:
            by_label[path[place] or f"+{len(by_label)}"] = value
    return found | {name: list(by_label.values()) for name, by_label in items.items()}
