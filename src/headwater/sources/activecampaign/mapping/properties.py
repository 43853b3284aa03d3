"""What a webhook says about the email, the contact and the occurrence, as properties. Absent values are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from headwater.sources.activecampaign.mapping.agents import machine_reason
from headwater.sources.activecampaign.mapping.forms import Form
from headwater.sources.activecampaign.mapping.lists import MailingList
from headwater.sources.activecampaign.occurrence import Kind

Properties = dict[str, Any]

USER_AGENT: Final = "User-Agent"
_ZERO: Final = "0"


def identifier(form: Form, *path: str) -> str:
    """Return an id, "" for none: ActiveCampaign writes that as "0"."""
    value = form.text(*path)
    return "" if value == _ZERO else value


def email_properties(form: Form) -> Properties:
    """Return what names the email: ids, subject and campaign, all as text."""
    campaign_id = identifier(form, "campaign", "id")
    return present(
        email_id=identifier(form, "campaign", "message", "id") or campaign_id,
        email_subject=form.raw("campaign", "message", "subject"),
        campaign_id=campaign_id,
        campaign_name=form.raw("campaign", "name"),
        campaign_type=form.text("campaign", "type"),
        campaign_status=form.text("campaign", "status"),
        web_copy_url=form.raw("campaign", "webcopy_url"),
    )


def list_properties(lists: Sequence[MailingList]) -> Properties:
    """Return ids and names of all lists; the names only where one is known, in the order of the ids."""
    names = [found.name for found in lists]
    return present(list_ids=[found.id for found in lists], list_names=names if any(names) else [])


def contact_properties(form: Form, include: str) -> Properties:
    """Return what is known of the contact: nothing, the basics, or also every custom field by its id.

    `contact_ip` is the address stored with the contact, not the one of this open or click.
    """
    if include == "none":
        return {}
    return present(
        contact_id=identifier(form, "contact", "id"),
        contact_ip=form.text("contact", "ip"),
        contact_tags=form.raw("contact", "tags"),
        organization=form.raw("contact", "orgname") or form.raw("orgname"),
        customer_account=form.raw("contact", "customer_acct_name") or form.raw("customer_acct_name"),
        custom_fields=_custom_fields(form) if include == "full" else {},
    )


def _custom_fields(form: Form) -> dict[str, str]:
    return {path[0]: value for path, value in form.under("contact", "fields") if len(path) == 1 and value}


def envelope_properties(form: Form) -> Properties:
    """Return who set it off."""
    return present(initiated_from=form.text("initiated_from"), initiated_by=form.text("initiated_by"))


def own_properties(form: Form, kind: Kind, lists: Sequence[MailingList]) -> Properties:
    """Return what only this kind of event has."""
    match kind:
        case Kind.CLICK:
            link = present(link_id=identifier(form, "link", "id"), link_url=form.raw("link", "url"))
            return link | _agent_properties(form)
        case Kind.OPEN:
            return _agent_properties(form)
        case Kind.UNSUBSCRIBE:
            return _unsubscribe_properties(form, lists)
        case Kind.BOUNCE:
            return present(
                bounce_type=form.text("bounce", "type").lower(),
                bounce_code=form.text("bounce", "code"),
                bounce_reason=form.raw("bounce", "description"),
            )
    return {}


def machine_properties(reason: str) -> Properties:
    """Return whether a machine did it, and why we think so; "" for a person."""
    return {"is_machine_open": bool(reason), **present(machine_reason=reason)}


def _agent_properties(form: Form) -> Properties:
    """Return whether a machine did it; nothing where no agent was sent, because then nobody knows."""
    agent = form.text(USER_AGENT)
    return machine_properties(machine_reason(agent)) if agent else {}


def _unsubscribe_properties(form: Form, lists: Sequence[MailingList]) -> Properties:
    first = present(list_id=lists[0].id, list_name=lists[0].name) if lists else {}
    subscriptions = [value for _, value in form.under("active_subscriptions") if value.strip() not in {"", _ZERO}]
    return first | present(
        unsubscribe_reason=form.raw("unsubscribe", "reason"),
        form_id=identifier(form, "form", "id"),
        active_subscriptions=subscriptions,
    )


def present(**members: Any) -> Properties:
    """Return the members that say something: no blank text, no empty list."""
    return {name: value for name, value in members.items() if (value.strip() if isinstance(value, str) else value)}
