"""`/delivery-overview/…` and `/events/volume`: what became of events over time, in Segment's shapes.

Source: Segment Public API, Delivery Overview (stages, granularities and how far each goes back) and Events.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from headwater.clock import Clock, now
from headwater.control.api import delivery
from headwater.control.api.door import Answer, Asked, Operation, Query, Run
from headwater.control.api.models import overview as models
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import choice, moment
from headwater.control.models import Role, Source
from headwater.control.moments import text_of
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.control.volume import Volume
from headwater.errors import InvalidRequestError
from headwater.observing.seen import Seen
from headwater.protocols.rules import Code

_SPANS: Final = {"minute": 60, "hour": 3_600, "day": 86_400}
_DIMENSIONS: Final = ("eventName", "eventType", "discardReason")
_SERIES_MAX: Final = 5_000  # Segment Public API, Events: the most entries of an answer
_GRANULARITY: Final = choice("granularity", "How wide a point is.", ("minute", "hour", "day", "MINUTE", "HOUR", "DAY"))
_LIST: Final[Mapping[str, Any]] = {"type": "array", "items": {"type": "string"}}

_HOURLY: Final = "hour"
_MINUTELY: Final = "minute"
_CHOSEN: Final = {
    "sourceId": "Only of these sources.",
    "eventName": "Only events of these names.",
    "eventType": "Only events of these types.",
    "appVersion": "Taken and not used.",
}

Row = tuple[int, Mapping[str, str], int]
"""A time in epoch seconds, what the count is about, the count."""


@dataclass(frozen=True, slots=True)
class _Span:
    """From when to when, and how wide a point is, in seconds."""

    since: datetime
    until: datetime
    width: int


_SPAN: Final = (
    moment("startTime", "From when, included."),
    moment("endTime", "Until when, not included."),
    _GRANULARITY,
    Query("groupBy", "What series are made of: eventName, eventType, discardReason.", _LIST),
)
_OF_SOURCE: Final = (Query("sourceId", "Of which source: its id or slug.", required=True), *_SPAN)
_OF_DESTINATION: Final = Query("destinationConfigId", "To which destination.", required=True)
_OF_VOLUME: Final = (*_SPAN, *(Query(name, told, _LIST) for name, told in _CHOSEN.items()))
_EXTRAS: Final = (Query("filter", "Taken and not used."), Query("subscriptionId", "Taken and not used."))
_AT_DESTINATION: Final = {
    "filtered-at-destination": "filtered",
    "failed-delivery": "failed",
    "successful-delivery": "delivered",
}


def _stage(name: str, run: Run, query: tuple[Query, ...]) -> Operation:
    path = f"/delivery-overview/{name}"
    return Operation("GET", path, Role.READ_ONLY, run, answer=models.Overview, query=(*query, *_EXTRAS), paged=True)


class OverviewOperations:
    """The six stages from receipt to delivery, and how much arrived."""

    def __init__(
        self, control: Control, pager: Pager, pipeline: Pipeline, volume: Volume, seen: Seen, clock: Clock = now
    ) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline
        self._volume, self._seen, self._clock = volume, seen, clock

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        at_source = {
            "successfully-received": self.received,
            "failed-on-ingest": self.refused,
            "filtered-at-source": self.blocked,
        }
        stages = [_stage(name, run, _OF_SOURCE) for name, run in at_source.items()]
        for name, what in _AT_DESTINATION.items():
            stages.append(_stage(name, partial(self.at_destination, what), (*_OF_SOURCE, _OF_DESTINATION)))
        volume = Operation(
            "GET", "/events/volume", Role.READ_ONLY, self.volume, answer=models.Volumes, query=_OF_VOLUME, paged=True
        )
        return [*stages, volume]

    def received(self, asked: Asked) -> Answer:
        """Return how many events of a source were accepted."""
        source, span = self._source(asked), self._span(asked, _HOURLY)
        return self._overview(asked, "received", self._accepted(source, span), span)

    def refused(self, asked: Asked) -> Answer:
        """Return how many calls of a source were refused, and why."""
        source, span = self._source(asked), self._span(asked, _HOURLY)
        found = self._volume.refused(source.id, span.since, span.until)
        rows = [(at, {"discardReason": code}, count) for at, code, count in found]
        return self._overview(asked, "refused", rows, span)

    def blocked(self, asked: Asked) -> Answer:
        """Return how many events were blocked by schema controls and tracking plans, and why."""
        source, span = self._source(asked), self._span(asked, _MINUTELY)
        found = self._seen.blocked(source.id, span.since, span.until)
        rows = [(at, {"discardReason": code}, count) for at, code, count in found]
        return self._overview(asked, "blocked", rows, span)

    async def at_destination(self, what: str, asked: Asked) -> Answer:
        """Return what became of a source's events at a destination."""
        source, span = await asyncio.to_thread(self._source, asked), self._span(asked, _MINUTELY)
        key = asked.query.get("destinationConfigId", "")
        destination = await asyncio.to_thread(self._control.destinations.get, asked.caller.workspace_id, key)
        if destination.source_id != source.id:
            raise InvalidRequestError("sourceId is the source of this destination", field="sourceId")
        granularity = next(name for name, width in _SPANS.items() if width == span.width)
        found = await self._pipeline.metrics(
            destination.id, since=span.since.isoformat(), until=span.until.isoformat(), granularity=granularity
        )
        rows = [row for point in found["points"] for row in _of_point(what, point)]
        return self._overview(asked, f"{what} {destination.id}", rows, span)

    def volume(self, asked: Asked) -> Answer:
        """Return how many events arrived, of the whole workspace or of some sources."""
        span, groups = self._span(asked, _HOURLY), _groups(asked)
        if unknown := set(groups) - {"eventName", "eventType", "source"}:
            told = f"groupBy is of eventName, eventType, source; not {min(unknown)[:60]}"
            raise InvalidRequestError(told, field="groupBy")
        workspace_id, wanted = asked.caller.workspace_id, _list(asked, "sourceId")
        get = self._control.sources.get
        sources = [get(workspace_id, each) for each in wanted] or self._control.sources.all(workspace_id)
        names, types = _list(asked, "eventName"), _list(asked, "eventType")
        rows = [
            (at, {**about, "source": source.id}, count)
            for source in sources
            for at, about, count in self._accepted(source, span)
            if (not names or about["eventName"] in names) and (not types or about["eventType"] in types)
        ]
        by_id = {source.id: {"id": source.id, "name": source.name, "slug": source.slug} for source in sources}
        series = _series(rows, groups, span)
        shown = [each | ({"source": by_id[each["source"]]} if "source" in each else {}) for each in series]
        page, pagination = self._pager.page(asked, "events/volume", list(enumerate(shown)), _place)
        return {
            "path": "/events/volume",
            "query": {
                "workspaceId": workspace_id,
                "granularity": asked.query.get("granularity", "hour").upper(),
                "startTime": text_of(span.since),
                "endTime": text_of(span.until),
                "groupBy": groups,
                "sourceId": wanted,
                "eventName": names,
                "eventType": types,
            },
            "result": [each for _, each in page],
            "pagination": pagination,
        }

    def _accepted(self, source: Source, span: _Span) -> list[Row]:
        found = self._volume.accepted(source.id, span.since, span.until)
        return [(at, {"eventName": name, "eventType": type_}, count) for at, type_, name, count in found]

    def _overview(self, asked: Asked, stage: str, rows: Sequence[Row], span: _Span) -> Answer:
        groups = _groups(asked)
        if unknown := set(groups) - set(_DIMENSIONS):
            told = f"groupBy is of {', '.join(_DIMENSIONS)}; not {min(unknown)[:60]}"
            raise InvalidRequestError(told, field="groupBy")
        known = {name for _, about, _ in rows for name in about}
        series = _series(rows, [name for name in groups if name in known or not rows], span)
        page, pagination = self._pager.page(asked, f"delivery-overview/{stage}", list(enumerate(series)), _place)
        total = sum(count for _, _, count in rows)
        return {"total": total, "dataset": [each for _, each in page], "pagination": pagination}

    def _source(self, asked: Asked) -> Source:
        return self._control.sources.get(asked.caller.workspace_id, asked.query.get("sourceId", ""))

    def _span(self, asked: Asked, least: str) -> _Span:
        granularity, since, until = delivery.span(asked, self._clock(), "startTime", "endTime")
        if _SPANS[granularity] < _SPANS[least]:
            told = f"this is counted by the {least}; choose {least.upper()} or DAY"
            raise InvalidRequestError(told, field="granularity")
        return _Span(since, until, _SPANS[granularity])


def _of_point(what: str, point: Mapping[str, Any]) -> Iterable[Row]:
    at = int(datetime.fromisoformat(point["at"]).timestamp())
    if what == "filtered":
        at_source = {str(code) for code in Code}
        reasons = ((reason, count) for reason, count in point["filtered"].items() if reason not in at_source)
        return [(at, {"discardReason": reason}, count) for reason, count in reasons]
    if what == "failed":
        return [(at, {}, point["failed"])]
    return [(at, {}, point["deliveredFirstTry"] + point["deliveredOnRetry"])]


def _series(rows: Iterable[Row], groups: Sequence[str], span: _Span) -> list[dict[str, Any]]:
    """Return one series for each combination of what is grouped by, most first; quiet points are there with 0."""
    points: defaultdict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
    for at, about, count in rows:
        points[tuple(about.get(name, "") for name in groups)][at - at % span.width] += count
    if not groups and not points:
        points[()] = Counter()
    first = int(span.since.timestamp())
    times = range(first - first % span.width, int(span.until.timestamp()), span.width)
    made: list[dict[str, Any]] = [
        {
            **dict(zip(groups, key, strict=True)),
            "total": counted.total(),
            "series": [{"time": text_of(datetime.fromtimestamp(at, UTC)), "count": counted[at]} for at in times],
        }
        for key, counted in points.items()
    ]
    return sorted(made, key=lambda each: -each["total"])[:_SERIES_MAX]


def _list(asked: Asked, name: str) -> list[str]:
    """Return a parameter that may be there several times, or as `name[0]`, `name[]`, `name.0`."""
    given = asked.query.multi_items()
    found = [value for key, value in given if key == name or key.startswith((f"{name}.", f"{name}["))]
    return [value for value in found if value][:_SERIES_MAX]


def _groups(asked: Asked) -> list[str]:
    return [part for each in _list(asked, "groupBy") for part in each.split(",")]


def _place(item: tuple[int, Any]) -> str:
    return f"{item[0]:08d}"
