"""What a token can be narrowed to: the families of the Public API, each to read or to change.

A scope is `family:read` or `family:write`; writing includes reading. A test holds the families against the routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from headwater.errors import InvalidRequestError

FAMILIES: Final[Mapping[str, str]] = {
    "activecampaign": "Accounts of ActiveCampaign",
    "alerts": "Alerts, their rules and channels",
    "audit-events": "The audit trail",
    "catalog": "What can be added",
    "connections": "How deliveries do",
    "dead-letters": "Events that were given up",
    "delivery-overview": "What became of events",
    "destinations": "Destinations, their filters and mappings",
    "echo": "Whether one gets through",
    "events": "Events as they arrive",
    "functions": "Functions",
    "insert-function-instances": "Functions before destinations",
    "invites": "Invitations",
    "labels": "Labels",
    "people": "What there is of a person, and its export",
    "queries": "SQL on warehouses",
    "regulations": "Deletion and suppression of people",
    "rejections": "What was refused",
    "replays": "Replays",
    "roles": "The roles that there are",
    "sources": "Sources and their write keys",
    "suppressions": "Who is suppressed",
    "syncs": "Loads of all warehouses",
    "tokens": "Tokens of the API",
    "tracking-plans": "Tracking plans",
    "unmapped": "Webhooks that could not be read",
    "users": "Members and what they may do",
    "warehouses": "Warehouses and their loads",
    "workspace": "The workspace itself",
    "workspaces": "Workspaces of this installation",
}
DEEDS: Final = ("read", "write")
SCOPES: Final = frozenset(f"{family}:{deed}" for family in FAMILIES for deed in DEEDS)


def checked(scopes: Iterable[str]) -> frozenset[str]:
    """Return the scopes as they are stored; none means no narrowing.

    Raises:
        InvalidRequestError: one is unknown.
    """
    wanted = frozenset(scopes)
    if unknown := sorted(wanted - SCOPES):
        raise InvalidRequestError(
            f"{unknown[0][:60]!r} is no scope; one is a family and what is done there, such as sources:read. "
            f"Families: {', '.join(FAMILIES)}.",
            field="scopes",
        )
    return wanted


def covers(held: frozenset[str], wanted: frozenset[str]) -> bool:
    """Return whether who holds some scopes holds all of others, too; no scopes are all of them."""
    if not held:
        return True
    read = {f"{scope.partition(':')[0]}:read" for scope in held if scope.endswith(":write")}
    return bool(wanted) and wanted <= held | read
