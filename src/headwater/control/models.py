"""What the control plane keeps: workspaces, sources, destinations, warehouses, tokens; values, not rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

MASKED: Final = "••••••••"
"""Stands for a stored secret in everything that is shown; sent back unchanged, it keeps what is stored."""


class Role(StrEnum):
    """What a token may do; each includes the ones before it."""

    READ_ONLY = "read-only"
    MEMBER = "member"
    OWNER = "owner"

    def includes(self, needed: Role) -> bool:
        """Return whether this role may do what `needed` may do."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Holds everything else; its region is fixed at creation."""

    id: str
    slug: str
    name: str
    region: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Source:
    """A source instance.

    Attributes:
        type: slug of the catalog entry, such as `activecampaign` or `http-api`.
        schema_name: its schema in every warehouse, from the slug at creation and fixed.
        webhook_secret: last part of its webhook address; "" where it receives no webhooks.
        former_webhook_secret: the one before, "" when there is none that still works; it works until `former_until`.
        settings: secrets are `MASKED` here; the snapshot has them.
        region_allowed: False where the workspace's region is outside the type's; its door answers 403.
    """

    id: str
    workspace_id: str
    slug: str
    name: str
    type: str
    schema_name: str
    enabled: bool
    write_keys: tuple[str, ...]
    created_at: datetime
    webhook_secret: str = field(default="", repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    region_allowed: bool = True
    former_webhook_secret: str = field(default="", repr=False)
    former_until: datetime | None = None

    def webhook_secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that work at an instant, the present one first; () where it receives no webhooks."""
        former = self.former_webhook_secret if self.former_until is not None and now < self.former_until else ""
        return tuple(filter(None, (self.webhook_secret, former)))


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """An account of ActiveCampaign that is connected to a source of its own, or to an ordinary one.

    Attributes:
        url: base address of the account's API, `https://acme.api-us1.com`.
        name: of the account, as its address tells it.
        enabled: whether it is switched on.
        active: whether its webhook shall stand: switched on, its source enabled, its region allowed.
        settings: how its events are mapped: the source's own where the source is of this type, else stored with the
            account; secrets are `MASKED` here, the snapshot has them.
        api_key: `MASKED` here, open in the snapshot.
    """

    id: str
    workspace_id: str
    source_id: str
    url: str
    name: str
    enabled: bool
    active: bool
    created_at: datetime
    updated_at: datetime
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    api_key: str = field(default=MASKED, repr=False)


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination connected to one source.

    Attributes:
        type: slug of the catalog entry: the name on the shelf of destinations.
        settings: secrets are `MASKED` here; the snapshot has them.
    """

    id: str
    workspace_id: str
    source_id: str
    type: str
    name: str
    enabled: bool
    created_at: datetime
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class WarehouseEntry:
    """A warehouse and the sources that are loaded into it.

    Attributes:
        type: slug of the catalog entry: the name on the shelf of warehouses.
        source_ids: the connected sources, oldest first.
        settings: secrets are `MASKED` here; the snapshot has them.
    """

    id: str
    workspace_id: str
    type: str
    name: str
    enabled: bool
    created_at: datetime
    source_ids: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A Public API token as it is listed: never the token itself.

    Attributes:
        prefix: its first characters, to recognise it by.
        last_used_at: exact to a minute.
    """

    id: str
    workspace_id: str
    name: str
    role: Role
    prefix: str
    created_at: datetime
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as established from a token: the workspace and the role come from here, never from the request."""

    workspace_id: str
    role: Role
    token_id: str
    name: str
