"""What the trail calls things and deeds: `Source Created`, `Write Key Removed`, `Destination Enabled`.

The words are a table's noun and what became of a row; the tables below hold what is called otherwise.
Source of the style: Segment Public API, audit trail events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headwater.control.audit.images import Change

_KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "write_keys": {"created": "Write Key Added", "deleted": "Write Key Removed"},
    "warehouse_sources": {"created": "Warehouse Source Connected", "deleted": "Warehouse Source Disconnected"},
    "warehouse_exclusions": dict.fromkeys(("created", "modified", "deleted"), "Warehouse Selective Sync Modified"),
    "accounts": {
        "created": "ActiveCampaign Account Connected",
        "modified": "ActiveCampaign Account Modified",
        "deleted": "ActiveCampaign Account Disconnected",
    },
    "memberships": {"created": "User Added", "modified": "User Role Changed", "deleted": "User Removed"},
    "invitations": {"created": "User Invited", "modified": "Invitation Modified", "deleted": "Invitation Revoked"},
    "source_labels": {"created": "Source Label Added", "deleted": "Source Label Removed"},
    "tracking_plan_sources": {
        "created": "Tracking Plan Connected",
        "modified": "Tracking Plan Connected",
        "deleted": "Tracking Plan Disconnected",
    },
    "function_versions": {"created": "Function Code Saved", "modified": "Function Deployed"},
}
"""What became of a row of these tables."""

_COLUMNS: Final[Mapping[tuple[str, frozenset[str]], str]] = {
    ("tokens", frozenset({"revoked_at"})): "Access Token Revoked",
    ("users", frozenset({"password_hash"})): "User Password Changed",
    ("invitations", frozenset({"accepted_at"})): "Invitation Accepted",
    ("sources", frozenset({"webhook_secret", "former_webhook_secret", "former_until"})): "Webhook Secret Rotated",
}
"""What a change of just these columns (or some of them) is called."""

_NOUNS: Final[Mapping[str, str]] = {
    "accounts": "activecampaign connection",
    "tokens": "access token",
    "write_keys": "write key",
    "destination_filters": "destination filter",
    "destination_subscriptions": "destination subscription",
    "warehouse_sources": "warehouse source",
    "warehouse_exclusions": "selective sync",
    "tracking_plan_rules": "tracking plan rule",
}


def noun_of(table: str, info: Mapping[str, object]) -> str:
    """Return what a row of a table is called, in lower case."""
    return _NOUNS.get(table) or str(info.get("noun") or table.removesuffix("s").replace("_", " "))


def resource_type_of(table: str, info: Mapping[str, object]) -> str:
    """Return the `resourceType` of a row: `SOURCE`, `DESTINATION_FILTER`."""
    return noun_of(table, info).upper().replace(" ", "_")


def type_of(change: Change) -> str:
    """Return what the trail calls a change."""
    table = change.table.name
    changed = frozenset(change.columns)
    if change.kind == "modified":
        if changed == {"enabled"}:
            called = "ActiveCampaign Account" if table == "accounts" else _title(noun_of(table, change.table.info))
            return f"{called} {'Enabled' if change.row['enabled'] else 'Disabled'}"
        for (name, columns), called in _COLUMNS.items():
            if name == table and changed <= columns:
                return called
    called = _KINDS.get(table, {}).get(change.kind, "")
    return called or f"{_title(noun_of(table, change.table.info))} {change.kind.title()}"


def _title(noun: str) -> str:
    return " ".join(word.capitalize() for word in noun.split())
