"""How delivery to a destination does: figures over time, one event tried out, every destination's state."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.clock import Clock, now
from headwater.control.api.door import TRIAL, Answer, Asked, Operation, Query
from headwater.control.api.models import destinations as models
from headwater.control.api.parameters import choice, moment
from headwater.control.catalog import Kind
from headwater.control.models import Destination, Role
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.delivery.samples import SAMPLES
from headwater.errors import InvalidRequestError

_FIGURES: Final = "/destinations/{destinationId}"

# Segment's Public API, delivery metrics: the longest span of each granularity, and how long it goes back.
_BOUNDS: Final = {
    "minute": (timedelta(hours=4), timedelta(hours=48)),
    "hour": (timedelta(days=14), timedelta(days=30)),
    "day": (timedelta(days=30), timedelta(days=30)),
}
_SPANS: Final = {"minute": timedelta(hours=1), "hour": timedelta(days=1), "day": timedelta(days=30)}  # ours: unasked
_GRANULARITY: Final = choice("granularity", "How wide a point is.", ("MINUTE", "HOUR", "DAY"))
_METRICS: Final = (moment("from", "Where it begins."), moment("to", "Where it ends; now by default."), _GRANULARITY)
_SUMMARY: Final = (
    Query("sourceId", "The destination's source."),
    moment("startTime", "Where it begins."),
    moment("endTime", "Where it ends; now by default."),
    _GRANULARITY,
)
_SLACK: Final = timedelta(hours=1)  # ours: "30 days ago" was a moment earlier when the request was written


class TryEvent(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /destinations/{destinationId}/events/test` takes: an event, or the name of a sample."""

    event: dict[str, Any] | UnsetType = UNSET
    sample: str | UnsetType = UNSET
    asIs: bool = False  # noqa: N815 - the API's spelling


class DeliveryOperations:
    """Everything that asks the pipeline role about delivery to a destination."""

    def __init__(self, control: Control, pipeline: Pipeline, clock: Clock = now) -> None:
        self._control, self._pipeline, self._clock = control, pipeline, clock

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        return [
            Operation("GET", "/connections", Role.READ_ONLY, self.connections, answer=models.ConnectionStates),
            Operation(
                "GET",
                f"{_FIGURES}/delivery-metrics",
                Role.READ_ONLY,
                self.summary,
                answer=models.DeliverySummary,
                query=_SUMMARY,
            ),
            Operation(
                "GET",
                f"{_FIGURES}/metrics",
                Role.READ_ONLY,
                self.metrics,
                answer=models.DeliveryFigures,
                query=_METRICS,
            ),
            Operation(
                "POST",
                f"{_FIGURES}/events/test",
                Role.SOURCE_ADMIN,
                self.try_event,
                TryEvent,
                answer=models.Tried,
                cost=TRIAL,
            ),
        ]

    async def connections(self, asked: Asked) -> Answer:
        """Return how each destination of the workspace is doing."""
        mine = await asyncio.to_thread(self._control.destinations.all, asked.caller.workspace_id)
        ids = {destination.id for destination in mine}
        found = await self._pipeline.connections()
        return {"connections": [each for each in found["connections"] if each["destinationId"] in ids]}

    async def metrics(self, asked: Asked) -> Answer:
        """Return points and totals from `from` to `to`, each as wide as `granularity`."""
        destination = await asyncio.to_thread(self._destination, asked)
        return await self._figures(destination, asked, "from", "to")

    async def summary(self, asked: Asked) -> Answer:
        """Return Segment's summary: totals from `startTime` to `endTime`."""
        destination = await asyncio.to_thread(self._destination, asked)
        if asked.query.get("sourceId", destination.source_id) != destination.source_id:
            raise InvalidRequestError("sourceId is the source of this destination", field="sourceId")
        found = await self._figures(destination, asked, "startTime", "endTime")
        entry = self._control.catalog.find(Kind.DESTINATION, destination.type)
        return {
            "deliveryMetricsSummary": {
                "sourceId": destination.source_id,
                "destinationMetadataId": entry.id,
                "metrics": _summed(found["totals"]),
            }
        }

    async def _figures(self, destination: Destination, asked: Asked, first: str, last: str) -> dict[str, Any]:
        granularity, since, until = span(asked, self._clock(), first, last)
        return await self._pipeline.metrics(
            destination.id, since=since.isoformat(), until=until.isoformat(), granularity=granularity
        )

    async def try_event(self, asked: Asked) -> Answer:
        """Send one event now; the answer has each request with the service's answer. Nothing is counted."""
        wanted: TryEvent = asked.body
        event = _chosen(wanted)
        destination = await asyncio.to_thread(self._destination, asked)
        entry = self._control.catalog.find(Kind.DESTINATION, destination.type)
        settings = await asyncio.to_thread(
            self._control.destinations.merged_settings, destination.workspace_id, entry.slug, {}, destination.id
        )
        return await self._pipeline.try_event(
            entry.module_name, settings, event, destination_id=destination.id, as_is=wanted.asIs
        )

    def _destination(self, asked: Asked) -> Destination:
        return self._control.destinations.get(asked.caller.workspace_id, asked.path["destinationId"])


def _chosen(wanted: TryEvent) -> dict[str, Any]:
    if isinstance(wanted.sample, UnsetType) == isinstance(wanted.event, UnsetType):
        raise InvalidRequestError(f"name an event, or one of the samples {', '.join(SAMPLES)}", field="event")
    if not isinstance(wanted.event, UnsetType):
        return wanted.event
    if wanted.sample not in SAMPLES:
        raise InvalidRequestError(f"a sample is one of {', '.join(SAMPLES)}", field="sample")
    return dict(SAMPLES[str(wanted.sample)])


def span(asked: Asked, moment: datetime, first: str, last: str) -> tuple[str, datetime, datetime]:
    """Return granularity, beginning and end of what is asked, as far as Segment's Public API lets it reach.

    Args:
        asked: holds `granularity` and the parameters that are named `first` and `last`.
        moment: now.
        first: such as `startTime`.
        last: such as `endTime`.

    Raises:
        InvalidRequestError: no such granularity, no time, or too long or too far back for it.
    """
    granularity = asked.query.get("granularity", "hour").lower()
    if granularity not in _BOUNDS:
        raise InvalidRequestError("granularity is MINUTE, HOUR or DAY", field="granularity")
    longest, oldest = _BOUNDS[granularity]
    until = _instant(asked, last) or moment
    since = _instant(asked, first) or until - _SPANS[granularity]
    if not since < until:
        raise InvalidRequestError(f"{first} is not before {last}", field=first)
    if until - since > longest + _SLACK or since < moment - oldest - _SLACK:
        told = f"by the {granularity}, at most {_said(longest)} at a time, {_said(oldest)} back"
        raise InvalidRequestError(f"{told}; choose a coarser granularity or a later {first}", field=first)
    return granularity, since, until


def _instant(asked: Asked, name: str) -> datetime | None:
    text = asked.query.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a `+` in a query stands for a blank
    except ValueError:
        raise InvalidRequestError(f"{name} is a time such as 2026-01-31T00:00:00Z", field=name) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _said(span: timedelta) -> str:
    return f"{span.days} days" if span.days > 2 else f"{span // timedelta(hours=1)} hours"  # noqa: PLR2004 - reads better


def _summed(totals: dict[str, Any]) -> list[dict[str, Any]]:
    """Return totals as Segment's metrics."""
    first, again = totals["deliveredFirstTry"], totals["deliveredOnRetry"]
    return [
        {
            "metricName": "successes",
            "total": first + again,
            "breakdown": [
                {"metricName": "successes.first_attempt", "value": first},
                {"metricName": "successes.after_retry", "value": again},
            ],
        },
        {"metricName": "retries", "total": totals["retried"]},
        {"metricName": "failures", "total": totals["failed"]},
        {
            "metricName": "filtered",
            "total": sum(totals["filtered"].values()),
            "breakdown": [{"metricName": reason, "value": count} for reason, count in totals["filtered"].items()],
        },
    ]
