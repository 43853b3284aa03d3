"""Delivery overview and event volume, in Segment's shapes."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination


class Datapoint(msgspec.Struct, rename="camel"):
    """What happened between `time` and the next point."""

    time: str
    count: int


class Dataset(msgspec.Struct, rename="camel"):
    """One series, named by what it is grouped by."""

    total: int
    series: list[Datapoint]
    event_name: str | UnsetType = UNSET
    event_type: str | UnsetType = UNSET
    discard_reason: str | UnsetType = UNSET
    total_retry_count: int | UnsetType = UNSET


class Overview(msgspec.Struct, rename="camel"):
    """What became of events at one stage, most frequent first."""

    total: int
    dataset: list[Dataset]
    pagination: Pagination


class EventSource(msgspec.Struct, rename="camel"):
    """A source by its names."""

    id: str
    name: str
    slug: str


class Volume(msgspec.Struct, rename="camel"):
    """One series of accepted events."""

    total: int
    series: list[Datapoint]
    source: EventSource | UnsetType = UNSET
    event_name: str | UnsetType = UNSET
    event_type: str | UnsetType = UNSET


class VolumeQuery(msgspec.Struct, rename="camel"):
    """What was asked."""

    workspace_id: str
    granularity: str
    start_time: str
    end_time: str
    group_by: list[str]
    source_id: list[str]
    event_name: list[str]
    event_type: list[str]


class Volumes(msgspec.Struct, rename="camel"):
    """How much arrived, most first."""

    path: str
    query: VolumeQuery
    result: list[Volume]
    pagination: Pagination
