"""Destinations, whether their settings work, and how delivery to them does."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination, Settings
from headwater.control.api.models.catalog import DestinationMetadata


class Pace(msgspec.Struct, rename="camel"):
    """Pace and patience; null where the type's own hold."""

    concurrency: int | None
    rate_per_second: float | None
    retry_for_hours: float | None


class Destination(msgspec.Struct, rename="camel"):
    """A destination connected to one source."""

    id: str
    name: str
    enabled: bool
    metadata: DestinationMetadata
    source_id: str
    settings: Settings
    delivery: Pace
    created_at: str


class OneDestination(msgspec.Struct, rename="camel"):
    """One destination."""

    destination: Destination


class Destinations(msgspec.Struct, rename="camel"):
    """A page of destinations."""

    destinations: list[Destination]
    pagination: Pagination


class Trial(msgspec.Struct, rename="camel"):
    """Whether settings work, and a sentence that says why not."""

    ok: bool
    message: str


class Resumed(msgspec.Struct, rename="camel"):
    """Whether it goes on."""

    resumed: bool


class Warning(msgspec.Struct, rename="camel"):  # noqa: A001 - the API's word
    """What somebody should know: a code for programs, a sentence for people."""

    code: str
    message: str


class ConnectionState(msgspec.Struct, rename="camel"):
    """How delivery to one destination does; counts since it was made, seconds from receipt to delivery."""

    destination_id: str
    source_id: str
    state: str
    reason: str
    cursor: int
    behind: int
    read: int
    delivered_first_try: int
    delivered_on_retry: int
    filtered: dict[str, int]
    retrying: int
    dead: int
    dropped: int
    expired: int
    missed: int
    last_error: str | None
    last_delivered_at: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    backlog: int
    overtaken: int
    held_back: int
    unaccounted: int
    warnings: list[Warning]
    pending: int


class ConnectionStates(msgspec.Struct, rename="camel"):
    """How every destination of the workspace does."""

    connections: list[ConnectionState]


class Figures(msgspec.Struct, rename="camel"):
    """What happened to events; `filtered` by reason, seconds from receipt to delivery."""

    received: int
    filtered: dict[str, int]
    delivered_first_try: int
    delivered_on_retry: int
    retried: int
    failed: int
    discarded: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class Point(Figures, rename="camel"):
    """What happened from `at` to the next point."""

    at: str


class DeliveryFigures(msgspec.Struct, rename="camel"):
    """Points without gaps, oldest first, and their totals."""

    granularity: str
    points: list[Point]
    totals: Figures


class MetricPart(msgspec.Struct, rename="camel"):
    """A part of a metric."""

    metric_name: str
    value: int


class Metric(msgspec.Struct, rename="camel"):
    """A metric as Segment names it."""

    metric_name: str
    total: int
    breakdown: list[MetricPart] | UnsetType = UNSET


class Summary(msgspec.Struct, rename="camel"):
    """What happened to a destination's events."""

    source_id: str
    destination_metadata_id: str
    metrics: list[Metric]


class DeliverySummary(msgspec.Struct, rename="camel"):
    """Segment's summary of delivery to one destination."""

    delivery_metrics_summary: Summary


class Exchange(msgspec.Struct, rename="camel"):
    """One request and what came back, cut and with secrets masked; `status` null when no answer came."""

    method: str
    url: str
    request: str
    status: int | None
    answer: str
    duration_ms: int


class Tried(msgspec.Struct, rename="camel"):
    """How one event fared: `sent` is the event as the destination got it."""

    outcome: str
    reason: str
    status: int | None
    sent: dict[str, Any] | None
    advice: str
    exchanges: list[Exchange]
