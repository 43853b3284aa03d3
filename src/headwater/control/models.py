"""What the control plane keeps: workspaces, sources, destinations, warehouses, tokens; values, not rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from headwater.delivery.connection import Tuning
from headwater.loading.rules import Rules
from headwater.loading.schedule import Schedule
from headwater.loading.selection import Excluded
from headwater.models import Models

MASKED: Final = "••••••••"
"""Stands for a stored secret in everything that is shown; sent back unchanged, it keeps what is stored."""


class Role(StrEnum):
    """What a person or a token may do; each includes the ones before it.

    A source admin reads everything and changes the sources that are theirs: settings, write keys, schema controls.
    """

    READ_ONLY = "read-only"
    SOURCE_ADMIN = "source-admin"
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


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """A key with a value, which sorts sources."""

    key: str
    value: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class DeletedSource:
    """What is still known of a source that was deleted: whose its events are."""

    id: str
    workspace_id: str
    slug: str
    schema_name: str


@dataclass(frozen=True, slots=True)
class Source:
    """A source instance.

    Attributes:
        type: slug of the catalog entry, such as `activecampaign` or `http-api`.
        schema_name: its schema in every warehouse, from the slug at creation and fixed.
        webhook_secret: last part of its webhook address; "" where it receives no webhooks.
        retention_days: how long its events stay in the log; None for as long as the installation keeps them.
        retention_bytes: how many bytes of them stay at most, the oldest go first; None for any number.
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
    labels: tuple[Label, ...] = ()
    former_until: datetime | None = None
    retention_days: int | None = None
    retention_bytes: int | None = None

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
        tuning: what its user set of pace and patience.
        first_seq: the log's end when it was made; None where that was not known.
    """

    id: str
    workspace_id: str
    source_id: str
    type: str
    name: str
    enabled: bool
    created_at: datetime
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tuning: Tuning = field(default_factory=Tuning)
    first_seq: int | None = None


@dataclass(frozen=True, slots=True)
class FilterEntry:
    """A filter of one destination.

    Attributes:
        condition: in FQL.
        actions: as Segment's Public API writes them.
    """

    id: str
    workspace_id: str
    destination_id: str
    title: str
    description: str
    condition: str
    actions: tuple[Mapping[str, Any], ...]
    enabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SubscriptionEntry:
    """A field mapping of one destination, which Segment calls a subscription.

    Attributes:
        trigger: in FQL.
        fields: what is set, by dotted path in the event.
    """

    id: str
    workspace_id: str
    destination_id: str
    name: str
    trigger: str
    fields: Mapping[str, Any]
    enabled: bool
    created_at: datetime


class FunctionKind(StrEnum):
    """Where a function stands, as Segment's `resourceType` spells it."""

    SOURCE = "SOURCE"
    DESTINATION = "DESTINATION"
    INSERT_DESTINATION = "INSERT_DESTINATION"


@dataclass(frozen=True, slots=True)
class FunctionEntry:
    """A user's function.

    Attributes:
        code: the newest; in the snapshot the code that is in use.
        definitions: the settings that it takes, in the members of Segment's `FunctionSettingV1`.
        settings: always empty: values belong to the place where a function is used.
        deployed_at: when the code in use was put into use; None while none is.
        is_latest: whether the newest code is the one in use.
    """

    id: str
    workspace_id: str
    kind: FunctionKind
    name: str
    description: str
    logo_url: str
    created_at: datetime
    created_by: str
    code: str = field(repr=False)
    definitions: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    deployed_at: datetime | None = None
    is_latest: bool = False


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """One state of a function's code.

    Attributes:
        number: counts up from 1 within the function.
        in_use: whether it is the one that runs.
    """

    id: str
    function_id: str
    number: int
    author: str
    created_at: datetime
    in_use: bool
    code: str = field(repr=False)
    deployed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InsertEntry:
    """A function that stands before one destination.

    Attributes:
        position: the lower, the earlier it runs.
        settings: secrets are `MASKED` here; the snapshot has them.
        secrets: the names of those that are secret.
    """

    id: str
    workspace_id: str
    function_id: str
    destination_id: str
    name: str
    enabled: bool
    position: int
    created_at: datetime
    updated_at: datetime
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WarehouseEntry:
    """A warehouse and the sources that are loaded into it.

    Attributes:
        type: slug of the catalog entry: the name on the shelf of warehouses.
        source_ids: the connected sources, oldest first.
        settings: secrets are `MASKED` here; the snapshot has them.
        excluded: which collections and properties of the connected sources are left out.
        keep_days: rows that were received longer ago are removed; None keeps all.
    """

    id: str
    workspace_id: str
    type: str
    name: str
    enabled: bool
    created_at: datetime
    source_ids: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    excluded: frozenset[Excluded] = frozenset()
    rules: Rules = field(default_factory=Rules)
    schedule: Schedule = field(default_factory=Schedule)
    keep_days: int | None = None
    models: Models = field(default_factory=Models)


@dataclass(frozen=True, slots=True)
class Token:
    """A Public API token as it is listed: never the token itself.

    Attributes:
        prefix: its first characters, to recognise it by.
        last_used_at: exact to a minute.
        scopes: what it is narrowed to; empty is everything that its role may.
        source_ids: the sources of a source admin; None is all of the workspace.
        expires_at: from when on it is refused; None is never.
        created_by: who made it, by address or name.
        user_id: the member with whose membership it ends; "" where no person made it.
    """

    id: str
    workspace_id: str
    name: str
    role: Role
    prefix: str
    created_at: datetime
    last_used_at: datetime | None = None
    scopes: frozenset[str] = frozenset()
    source_ids: frozenset[str] | None = None
    expires_at: datetime | None = None
    created_by: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as established from a token or session: workspace and role come from here, never from the request.

    Attributes:
        token_id: of the token or session.
        user_id: "" where no person is signed in.
        scopes: what a token is narrowed to, such as `sources:read`; empty is everything that its role may.
        source_ids: the sources of a source admin; None is all of the workspace.
        is_operator: may make workspaces: the machine's own command line, and the person who set Headwater up.
    """

    workspace_id: str
    role: Role
    token_id: str
    name: str
    user_id: str = ""
    email: str = ""
    scopes: frozenset[str] = frozenset()
    source_ids: frozenset[str] | None = None
    is_operator: bool = False

    def may(self, needed: Role, scope: str, source_id: str = "") -> bool:
        """Return whether this caller may do something.

        Args:
            needed: the least role; SOURCE_ADMIN stands for "who administers this source".
            scope: `family:read` or `family:write`.
            source_id: the source it is about, "" where it is about none: then only who administers all of them may.
        """
        family, _, deed = scope.partition(":")
        is_in_scope = not self.scopes or scope in self.scopes or (deed == "read" and f"{family}:write" in self.scopes)
        if not is_in_scope or not self.role.includes(needed):
            return False
        return needed is not Role.SOURCE_ADMIN or self.administers(source_id)

    def administers(self, source_id: str = "") -> bool:
        """Return whether a source is this caller's to change; "" stands for one that is still to be made."""
        if self.role is not Role.SOURCE_ADMIN:
            return self.role.includes(Role.MEMBER)
        return self.source_ids is None or source_id in self.source_ids
