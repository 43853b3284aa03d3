"""What sources send, schema settings, tracking plans and violations."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination


class TrackSettings(msgspec.Struct, rename="camel"):
    """What happens to track calls that are not as planned."""

    allow_unplanned_events: bool
    allow_unplanned_event_properties: bool
    allow_event_on_violations: bool
    allow_properties_on_violations: bool
    common_event_on_violations: str


class TraitSettings(msgspec.Struct, rename="camel"):
    """What happens to identify or group calls that are not as planned."""

    allow_unplanned_traits: bool
    allow_traits_on_violations: bool
    common_event_on_violations: str


class SchemaSettings(msgspec.Struct, rename="camel"):
    """All of it; "" where nothing is forwarded."""

    track: TrackSettings
    identify: TraitSettings
    group: TraitSettings
    forwarding_violations_to: str
    forwarding_blocked_events_to: str


class SourceSettings(msgspec.Struct, rename="camel"):
    """The schema settings of a source."""

    source_id: str
    settings: SchemaSettings


class SeenCollection(msgspec.Struct, rename="camel"):
    """A kind of event that a source has sent; `recent` and `blocked` are of the days that were asked about.

    `allowed` is null where the plan decides, event by event.
    """

    type: str
    name: str
    count: int
    recent: int
    blocked: dict[str, int]
    allowed: bool
    planned: bool | None
    archived: bool
    properties: int
    first_seen_at: str
    last_seen_at: str


class SeenCollections(msgspec.Struct, rename="camel"):
    """A page of them; `more` counts events with names beyond the bound."""

    collections: list[SeenCollection]
    more: int
    pagination: Pagination


class SeenProperty(msgspec.Struct, rename="camel"):
    """A property or trait, as a dotted path."""

    name: str
    types: list[str]
    count: int
    omitted: int
    allowed: bool
    first_seen_at: str
    last_seen_at: str


class SeenProperties(msgspec.Struct, rename="camel"):
    """A page of them; `more` counts events with properties beyond the bound."""

    properties: list[SeenProperty]
    more: int
    pagination: Pagination


class SchemaChanged(msgspec.Struct, rename="camel"):
    """Whether it is different now: `UPDATED` or `UNCHANGED`."""

    status: str


class DecidedName(msgspec.Struct, rename="camel"):
    """An event, or one property or trait; "" where it is the whole event, or its kind of call has no names."""

    type: str
    name: str
    property: str


class DecidedNames(msgspec.Struct, rename="camel"):
    """A page of names, by type, name and property."""

    names: list[DecidedName]
    pagination: Pagination


class SchemaControls(msgspec.Struct, rename="camel"):
    """What is decided of a source: its settings, and of how many names."""

    source_id: str
    settings: SchemaSettings
    blocked: int
    planned: int


class AllSchemaControls(msgspec.Struct, rename="camel"):
    """A page of sources of which anything is decided."""

    controls: list[SchemaControls]
    pagination: Pagination


class Violation(msgspec.Struct, rename="camel"):
    """Something that did not fit; `sampleSeq` is the newest event in the log that has it."""

    source_id: str
    event_type: str
    event_name: str
    field: str
    type: str
    description: str
    count: int
    sample_seq: int
    last_seen_at: str


class Day(msgspec.Struct, rename="camel"):
    """Violations of one UTC day."""

    day: str
    count: int


class Violations(msgspec.Struct, rename="camel"):
    """A page of violations, most frequent first, and all of them by day."""

    violations: list[Violation]
    trend: list[Day]
    pagination: Pagination


class TrackingPlan(msgspec.Struct, rename="camel"):
    """A tracking plan without its rules."""

    id: str
    slug: str
    name: str
    description: str
    type: str
    created_at: str
    updated_at: str


class OneTrackingPlan(msgspec.Struct, rename="camel"):
    """One tracking plan."""

    tracking_plan: TrackingPlan


class TrackingPlans(msgspec.Struct, rename="camel"):
    """A page of tracking plans."""

    tracking_plans: list[TrackingPlan]
    pagination: Pagination


class Rule(msgspec.Struct, rename="camel"):
    """One rule: JSON Schema, draft 7, of the whole event."""

    type: str
    json_schema: dict[str, Any]
    version: int
    created_at: str
    updated_at: str
    key: str | UnsetType = UNSET


class Rules(msgspec.Struct, rename="camel"):
    """A page of rules, by type, key and version."""

    rules: list[Rule]
    pagination: Pagination
