"""The audit trail: what was done, by whom, to what."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination


class Change(msgspec.Struct, rename="camel"):
    """One row: `before` is null for a new one, `after` for one that is gone; secrets are masked."""

    resource_type: str
    resource_id: str
    resource_name: str
    change: Literal["created", "modified", "deleted"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditEvent(msgspec.Struct, rename="camel"):
    """One entry; `detailsKept` is false once address and changes were given up for their age."""

    id: str
    timestamp: str
    type: str
    actor: str
    resource_id: str
    resource_type: str
    resource_name: str
    actor_kind: str
    actor_id: str
    address: str
    changes: list[Change]
    details: dict[str, Any]
    details_kept: bool
    sequence: int
    hash: str
    actor_email: str | UnsetType = UNSET


class AuditEvents(msgspec.Struct, rename="camel"):
    """A page of the trail, the newest first."""

    events: list[AuditEvent]
    pagination: Pagination


class Verification(msgspec.Struct, rename="camel"):
    """Whether the chain holds; `brokenAt` is the number of the first entry that is not as it was written."""

    ok: bool
    entries: int
    first: int
    last: int
    hash: str
    broken_at: int | None
    reason: str


class Verified(msgspec.Struct, rename="camel"):
    """A look at the whole chain."""

    verification: Verification
