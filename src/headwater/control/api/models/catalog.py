"""What can be added: types of sources, destinations and warehouses."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination


class Logos(msgspec.Struct, rename="camel"):
    """Pictures of a type; there are none."""

    default: str


class Option(msgspec.Struct, rename="camel"):
    """A setting that a type takes."""

    name: str
    type: str
    required: bool
    description: str
    default_value: Any
    label: str
    secret: bool
    choices: list[Any] | UnsetType = UNSET


class Metadata(msgspec.Struct, rename="camel"):
    """A type; what only some kinds of type have may be missing."""

    id: str
    name: str
    slug: str
    description: str
    logos: Logos
    options: list[Option]
    categories: list[str]


class Offered(Metadata, rename="camel"):
    """A type as the catalog shows it: also whether and why it cannot be added in this region."""

    available: bool | UnsetType = UNSET
    unavailable_reason: str | UnsetType = UNSET


class SourceMetadata(Offered, rename="camel"):
    """A type of source."""

    is_cloud_event_source: bool | UnsetType = UNSET
    status: str | UnsetType = UNSET
    partner_owned: bool | UnsetType = UNSET
    regions: list[str] | UnsetType = UNSET
    suggested_schema_name: str | UnsetType = UNSET


class Features(msgspec.Struct, rename="camel"):
    """What a destination type supports."""

    cloud_mode_instances: str
    device_mode_instances: str
    replay: bool


class Methods(msgspec.Struct, rename="camel"):
    """The calls that a destination type takes."""

    pageview: bool
    identify: bool
    alias: bool
    track: bool
    group: bool


class Platforms(msgspec.Struct, rename="camel"):
    """Where events may come from."""

    browser: bool
    server: bool
    mobile: bool


class Action(msgspec.Struct, rename="camel"):
    """What a destination does with an event."""

    id: str
    slug: str
    name: str
    description: str
    platform: str
    hidden: bool
    default_trigger: str | None
    fields: list[dict[str, Any]]


class DestinationMetadata(Offered, rename="camel"):
    """A type of destination."""

    status: str | UnsetType = UNSET
    previous_names: list[str] | UnsetType = UNSET
    website: str | UnsetType = UNSET
    components: list[dict[str, Any]] | UnsetType = UNSET
    supported_features: Features | UnsetType = UNSET
    supported_methods: Methods | UnsetType = UNSET
    supported_platforms: Platforms | UnsetType = UNSET
    actions: list[Action] | UnsetType = UNSET
    presets: list[dict[str, Any]] | UnsetType = UNSET
    partner_owned: bool | UnsetType = UNSET
    supported_regions: list[str] | UnsetType = UNSET


class WarehouseMetadata(Offered, rename="camel"):
    """A type of warehouse; `installed` is false where its driver has to be installed first."""

    extra: str | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET
    installed: bool | UnsetType = UNSET
    missing: Any = UNSET


class SourcesCatalog(msgspec.Struct, rename="camel"):
    """A page of types of sources."""

    sources_catalog: list[SourceMetadata]
    pagination: Pagination


class DestinationsCatalog(msgspec.Struct, rename="camel"):
    """A page of types of destinations."""

    destinations_catalog: list[DestinationMetadata]
    pagination: Pagination


class WarehousesCatalog(msgspec.Struct, rename="camel"):
    """A page of types of warehouses."""

    warehouses_catalog: list[WarehouseMetadata]
    pagination: Pagination


class SourceType(msgspec.Struct, rename="camel"):
    """One type of source."""

    source_metadata: SourceMetadata


class DestinationType(msgspec.Struct, rename="camel"):
    """One type of destination."""

    destination_metadata: DestinationMetadata


class WarehouseType(msgspec.Struct, rename="camel"):
    """One type of warehouse."""

    warehouse_metadata: WarehouseMetadata
