"""Sources, their write keys and what they are connected to."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination, Settings
from headwater.control.api.models.catalog import SourceMetadata


class Label(msgspec.Struct, rename="camel"):
    """A key with a value that sorts things."""

    key: str
    value: str
    description: str | UnsetType = UNSET


class Source(msgspec.Struct, rename="camel"):
    """A source; write keys are shown to those who may change it.

    `retentionDays` and `retentionBytes` are what its events are kept for in the log; null for as long as all others.
    """

    id: str
    slug: str
    name: str
    metadata: SourceMetadata
    workspace_id: str
    enabled: bool
    write_keys: list[str]
    settings: Settings
    labels: list[Label]
    schema_name: str
    region_allowed: bool
    created_at: str
    retention_days: int | None
    retention_bytes: int | None


class OneSource(msgspec.Struct, rename="camel"):
    """One source."""

    source: Source


class SourceWithPlan(msgspec.Struct, rename="camel"):
    """One source, and the tracking plan that its events are held against; null for none."""

    source: Source
    tracking_plan_id: str | None


class Sources(msgspec.Struct, rename="camel"):
    """A page of sources."""

    sources: list[Source]
    pagination: Pagination


class WriteKeyRemoved(msgspec.Struct, rename="camel"):
    """The source without the write key."""

    status: str
    source: Source


class WebhookMoved(msgspec.Struct, rename="camel"):
    """The new webhook address: only this answer shows it."""

    source: Source
    webhook_path: str
