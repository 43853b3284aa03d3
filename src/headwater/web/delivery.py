"""How deliveries to one destination go: figures over time, what was given up and why, retries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Role
from headwater.errors import LogUnavailableError, NotFoundError
from headwater.web import charts, forms, standing
from headwater.web.destinations import found, headed
from headwater.web.visit import Desk, Visit, action, page

_LETTERS: Final = 50
_FILTERS: Final = ("event", "type", "reason", "messageId", "since", "until")
_RANGES: Final[Mapping[str, tuple[str, charts.Step, timedelta]]] = {
    "hour": ("Last hour", "minute", timedelta(hours=1)),
    "day": ("Last 24 hours", "hour", timedelta(hours=24)),
    "week": ("Last 7 days", "day", timedelta(days=7)),
    "month": ("Last 30 days", "day", timedelta(days=30)),
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the delivery and error pages of a destination."""
    one = "/{workspace}/destinations/{destination}"
    return [
        Route(one, page(desk, _delivery)),
        Route(f"{one}/resume", action(desk, _resume, Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{one}/enable", action(desk, _enable, Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{one}/errors", page(desk, _errors)),
        Route(f"{one}/retry", action(desk, _retry), methods=["POST"]),
        Route(f"{one}/discard", action(desk, _discard), methods=["POST"]),
        Route(f"{one}/dead-letters/{{letter}}", page(desk, _letter)),
    ]


async def _delivery(visit: Visit) -> Response:
    head = await headed(visit, "delivery")
    name = visit.request.query_params.get("range", "day")
    label, step, length = _RANGES.get(name, _RANGES["day"])
    figures = await _metrics(visit, head["destination"].id, step, length)
    connection = head["connection"]
    return visit.page(
        "destination.html",
        **head,
        ranges={key: text for key, (text, _, _) in _RANGES.items()},
        chosen=name if name in _RANGES else "day",
        range_label=label,
        figures=figures["totals"] if figures else None,
        points=figures["points"] if figures else [],
        chart=_chart(figures["points"], step) if figures else None,
        delivered_at=moment(connection["lastDeliveredAt"]) if connection else None,
    )


async def _metrics(visit: Visit, destination_id: str, step: str, length: timedelta) -> dict[str, Any] | None:
    since = (visit.desk.clock() - length).isoformat()
    try:
        async with asyncio.timeout(standing.ANSWER_S):
            return await visit.desk.pipeline.metrics(destination_id, since=since, granularity=step)
    except (LogUnavailableError, TimeoutError):
        return None


def _chart(points: list[dict[str, Any]], step: charts.Step) -> charts.Bars:
    """Return delivered at first, on retry and given up, stacked: what is filtered was never meant to arrive."""
    counts = [
        (
            datetime.fromisoformat(point["at"]),
            {"first": point["deliveredFirstTry"], "retry": point["deliveredOnRetry"], "failed": point["failed"]},
        )
        for point in points
    ]
    return charts.bars(counts, step)


def moment(epoch_s: float | None) -> datetime | None:
    """Return an instant as templates show it."""
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)


async def _errors(visit: Visit) -> Response:
    head = await headed(visit, "errors")
    chosen = _chosen(visit.request.query_params)
    cursor = visit.request.query_params.get("before")
    destination_id, pipeline = head["destination"].id, visit.desk.pipeline
    try:
        letters = await pipeline.dead_letters(destination_id, cursor, _LETTERS, chosen=chosen)
        matching = (await pipeline.retry_dead_letters(None, destination_id, chosen=chosen, dry_run=True))["count"]
    except LogUnavailableError:
        letters, matching = {"deadLetters": [], "next": None}, 0
    return visit.page(
        "destination-errors.html",
        **head,
        letters=letters["deadLetters"],
        next=letters["next"],
        times={each["id"]: datetime.fromisoformat(each["diedAt"]) for each in letters["deadLetters"]},
        chosen=chosen,
        matching=matching,
        done=visit.request.query_params.get("done", ""),
    )


def _chosen(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given[name].strip() for name in _FILTERS if given.get(name, "").strip()}


async def _letter(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    letter = await visit.desk.pipeline.dead_letter(visit.request.path_params["letter"])
    if letter["destinationId"] != destination.id:
        raise NotFoundError("This destination has no such dead letter.")
    return visit.page(
        "dead-letter.html",
        destination=destination,
        letter=letter,
        body=forms.pretty(letter["body"]),
        died_at=datetime.fromisoformat(letter["diedAt"]),
        first_at=datetime.fromisoformat(letter["firstAt"]),
    )


async def _resume(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    await visit.desk.pipeline.resume(destination.id)
    return visit.to("destinations", destination.id)


async def _enable(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    wanted = visit.form.get("enabled") == "true"
    await asyncio.to_thread(visit.desk.control.destinations.update, visit.workspace.id, destination.id, enabled=wanted)
    return visit.to("destinations", destination.id)


async def _retry(visit: Visit) -> Response:
    """Deliver one dead letter of this destination again, or all that match."""
    destination_id, ids, chosen = await _meant(visit)
    count = (await visit.desk.pipeline.retry_dead_letters(ids, destination_id, chosen=chosen))["count"]
    return visit.to("destinations", destination_id, "errors", done=f"retried-{count}")


async def _discard(visit: Visit) -> Response:
    """Give one dead letter of this destination up for good, or all that match."""
    destination_id, ids, chosen = await _meant(visit)
    count = (await visit.desk.pipeline.discard_dead_letters(ids, destination_id, chosen=chosen))["count"]
    return visit.to("destinations", destination_id, "errors", done=f"discarded-{count}")


async def _meant(visit: Visit) -> tuple[str, list[str] | None, dict[str, str]]:
    """Return the destination, and either one letter of it or what the letters must match."""
    destination = await asyncio.to_thread(found, visit)
    letter = visit.form.get("letter", "")
    if not letter:
        return destination.id, None, _chosen(visit.form)
    if (await visit.desk.pipeline.dead_letter(letter))["destinationId"] != destination.id:
        raise NotFoundError("This destination has no such dead letter.")
    return destination.id, [letter], {}
