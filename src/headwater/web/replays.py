"""Send stored events to a destination again: how many there would be, then the run and how far it is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.errors import ConflictError, InvalidRequestError, LogUnavailableError
from headwater.web import forms, standing
from headwater.web.destinations import found, headed
from headwater.web.visit import Desk, Visit, action, page

_FIELDS: Final = ("since", "until", "event", "user", "rate")
_STATES: Final = {
    "running": standing.State("Running", "warn"),
    "waiting": standing.State("Waiting", ""),
    "done": standing.State("Done", "ok"),
    "cancelled": standing.State("Cancelled", ""),
}
_TEXT_MAX: Final = 1_000  # ours: characters of a field that a link fills in
_RATE_MAX: Final = 10_000.0


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the replay page."""
    here = "/{workspace}/destinations/{destination}/replay"
    return [
        Route(here, page(desk, _show), methods=["GET"]),
        Route(here, action(desk, _replay), methods=["POST"]),
        Route(f"{here}/{{replay}}/cancel", action(desk, _cancel), methods=["POST"]),
    ]


async def _show(visit: Visit) -> Response:
    """Show the form, filled in with what a link to it says."""
    query = visit.request.query_params
    return await _page(visit, {name: query.get(name, "")[:_TEXT_MAX] for name in _FIELDS})


async def _page(
    visit: Visit, values: dict[str, str], *, counted: dict[str, Any] | None = None, problem: str = "", field: str = ""
) -> Response:
    head = await headed(visit, "replay")
    runs = await standing.asked(visit.desk.pipeline.replays(head["destination"].id), "replays")
    return visit.page(
        "destination-replay.html",
        **head,
        values=values,
        counted=counted,
        problem=problem,
        problems={field: problem} if field in _FIELDS else {},
        runs=[_shown(run) for run in reversed(runs or [])],
        is_running=any(run["state"] in {"running", "waiting"} for run in runs or []),
        status=422 if problem else 200,
    )


def _shown(run: dict[str, Any]) -> dict[str, Any]:
    return {
        **run,
        "pill": _STATES[run["state"]],
        "started": datetime.fromisoformat(run["startedAt"]),
        "about": _about(run["selection"] or {}),
    }


def _about(selection: dict[str, Any]) -> str:
    """Return in words what a run chose."""
    parts = [selection.get("event") or "all events"]
    if selection.get("userId"):
        parts.append(f"of {selection['userId']}")
    for name, word in (("since", "from"), ("until", "to")):
        if selection.get(name):
            parts.append(f"{word} {datetime.fromisoformat(selection[name]).astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return " ".join(parts)


async def _replay(visit: Visit) -> Response:
    """Count what would be sent, or with the button "Replay" send it."""
    destination = await asyncio.to_thread(found, visit)
    values = {name: visit.form.get(name, "").strip() for name in _FIELDS}
    try:
        wanted: dict[str, Any] = {
            "since": forms.instant("since", values["since"]),
            "until": forms.instant("until", values["until"]),
            "event": values["event"] or None,
            "user_id": values["user"] or None,
            "rate_per_s": _rate(values["rate"]),
        }
        answer = await visit.desk.pipeline.replay(destination.id, dry_run="go" not in visit.form, **wanted)
    except InvalidRequestError as error:
        return await _page(visit, values, problem=str(error), field=error.field)
    except (ConflictError, LogUnavailableError) as error:
        return await _page(visit, values, problem=str(error))
    if "go" not in visit.form:
        return await _page(visit, values, counted=answer)
    return visit.to("destinations", destination.id, "replay")


def _rate(text: str) -> float | None:
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= _RATE_MAX:
        raise InvalidRequestError(f"Events a second are a number up to {_RATE_MAX:,.0f}.", field="rate")
    return rate


async def _cancel(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    runs = await visit.desk.pipeline.replays(destination.id)
    if any(str(run["id"]) == visit.request.path_params["replay"] for run in runs["replays"]):
        await visit.desk.pipeline.cancel_replay(visit.request.path_params["replay"])
    return visit.to("destinations", destination.id, "replay")
