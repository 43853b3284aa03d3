"""Filters and field mappings of destinations."""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.control.api.models import Pagination


class Filter(msgspec.Struct, rename="camel"):
    """A filter of one destination."""

    id: str
    source_id: str
    destination_id: str
    condition: str = msgspec.field(name="if")
    actions: list[dict[str, Any]]
    title: str
    description: str
    enabled: bool
    created_at: str
    updated_at: str


class OneFilter(msgspec.Struct, rename="camel"):
    """One filter."""

    filter: Filter


class Filters(msgspec.Struct, rename="camel"):
    """A page of filters."""

    filters: list[Filter]
    pagination: Pagination


class Preview(msgspec.Struct, rename="camel"):
    """An event before and after; `result` is null where it would not be sent."""

    input_payload: dict[str, Any]
    result: dict[str, Any] | None


class Subscription(msgspec.Struct, rename="camel"):
    """A field mapping; `settings` are the fields that it sets."""

    id: str
    name: str
    action_id: str
    action_slug: str
    destination_id: str
    enabled: bool
    trigger: str
    settings: dict[str, Any]


class MadeSubscription(msgspec.Struct, rename="camel"):
    """The new mapping."""

    destination_subscription: Subscription


class OneSubscription(msgspec.Struct, rename="camel"):
    """One mapping."""

    subscription: Subscription


class Subscriptions(msgspec.Struct, rename="camel"):
    """A page of mappings."""

    subscriptions: list[Subscription]
    pagination: Pagination
