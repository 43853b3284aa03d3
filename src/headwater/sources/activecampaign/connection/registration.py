"""What the webhook at ActiveCampaign should be, and what has to be done so that it is. Pure: no call is made here.

A webhook is ours when its address ends in one of the connection's secrets, whatever host stands before it: so it is
found again without its id, after a lost state file, a move to another host or a change of the secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from headwater.sources.activecampaign.api.rows import WebhookRow

NAME: Final = "Headwater"
INITIATORS: Final = ("public", "admin", "api", "system")
"""Who may have caused an event. One that is left out costs events silently: bounces come from `system`."""
ALL_LISTS: Final = "0"
PATH: Final = "/webhooks/activecampaign/"
"""Where this program receives ActiveCampaign's webhooks; the secret follows."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The webhook that a connection should have.

    Attributes:
        url: its address, with the secret.
        former_urls: addresses that it may still have, because the secret was changed.
        events: the types of webhooks, in any order.
        known_id: the id that it had when it was last seen, "" where that is not known.
    """

    url: str = field(repr=False)
    events: tuple[str, ...]
    former_urls: tuple[str, ...] = field(default=(), repr=False)
    known_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done, in this order: change (or create) one, then delete the others.

    Attributes:
        row: the webhook that stays, None when one has to be created.
        differs: what of it is not as wanted, among "address", "events", "initiators" and "list".
        extra: webhooks of ours that are one too many.
    """

    row: WebhookRow | None
    differs: tuple[str, ...] = ()
    extra: tuple[WebhookRow, ...] = ()


def plan(rows: Sequence[WebhookRow], wanted: Wanted) -> Plan:
    """Return how the account's webhooks become as wanted.

    Of several the one with the fewest differences stays, and of those the newest: an older one is more likely to be
    switched off, which its row does not tell.
    """
    ours = sorted(owned(rows, wanted), key=lambda row: (len(differences(row, wanted)), -_number(row.id)))
    if not ours:
        return Plan(None)
    first, *extra = ours
    return Plan(first, differences(first, wanted), tuple(extra))


def owned(rows: Sequence[WebhookRow], wanted: Wanted) -> tuple[WebhookRow, ...]:
    """Return the webhooks that belong to this connection; webhooks of others are never touched.

    The one with the known id is ours only if it also looks like ours: an id says nothing in another account.
    """
    secrets = {_secret(url) for url in (wanted.url, *wanted.former_urls)}
    return tuple(
        row
        for row in rows
        if _secret(row.url) in secrets or (row.id and row.id == wanted.known_id and PATH in _split(row.url).path)
    )


def differences(row: WebhookRow, wanted: Wanted) -> tuple[str, ...]:
    """Return what of a registered webhook is not as wanted: an address in other case leads nowhere, so it counts."""
    compared = {
        "address": _spelled(row.url) == _spelled(wanted.url),
        "events": set(row.events) == set(wanted.events),
        "initiators": set(row.sources) == set(INITIATORS),
        "list": row.list_id in {"", ALL_LISTS},
    }
    return tuple(name for name, same in compared.items() if not same)


def _secret(url: str) -> str:
    """Return what tells the owner: the last part of the path, in lower case, or the address where it has no path."""
    return _split(url).path.rstrip("/").rpartition("/")[2].lower() or url


def _spelled(url: str) -> tuple[str, str, int, str, str]:
    """Return an address in the form that is compared: scheme and host know no case, a path does."""
    parts = _split(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    try:
        port = parts.port or {"https": 443, "http": 80}.get(scheme, 0)
    except ValueError:
        port = -1  # written by somebody else, as are all oddities here
    return scheme, host, port, parts.path, parts.query


def _split(url: str) -> SplitResult:
    """Return an address in its parts; one that is none, since others may register anything, is all path."""
    try:
        return urlsplit(url.strip())
    except ValueError:
        return SplitResult("", "", url, "", "")


def _number(identifier: str) -> int:
    return int(identifier) if identifier.isdecimal() else 0
