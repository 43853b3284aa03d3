"""The filters of a destination: which events are sent and what is taken out, tried on an event before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import FilterEntry
from headwater.delivery import samples
from headwater.delivery.filters import checked_filter, preview
from headwater.errors import ConflictError, InvalidRequestError
from headwater.web import forms
from headwater.web.destinations import found, headed
from headwater.web.visit import Desk, Visit, action, page

ACTIONS: Final = {
    "DROP": "Do not send",
    "SAMPLE": "Send only a share",
    "DROP_PROPERTIES": "Remove fields",
    "ALLOW_PROPERTIES": "Keep only these fields",
}
_BLANK: Final = {
    "title": "",
    "if": 'event = "Email Opened"',
    "action": "DROP",
    "percent": "10",
    "path": "",
    "fields": "",
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the filter page."""
    here = "/{workspace}/destinations/{destination}/filters"
    return [
        Route(here, page(desk, _show), methods=["GET"]),
        Route(here, action(desk, _save), methods=["POST"]),
        Route(f"{here}/{{filter}}/enable", action(desk, _enable), methods=["POST"]),
        Route(f"{here}/{{filter}}/delete", action(desk, _delete), methods=["POST"]),
    ]


async def _show(visit: Visit) -> Response:
    edited = visit.request.query_params.get("filter", "")
    if not edited:
        return await _page(visit, _BLANK)
    destination = await asyncio.to_thread(found, visit)
    entry = await asyncio.to_thread(visit.desk.control.filters.get, visit.workspace.id, destination.id, edited)
    return await _page(visit, _written(entry), edited=entry.id)


async def _page(
    visit: Visit,
    values: Mapping[str, str],
    *,
    edited: str = "",
    event: str = "",
    tried: Mapping[str, Any] | None = None,
    error: InvalidRequestError | None = None,
) -> Response:
    head = await headed(visit, "filters")
    entries = await asyncio.to_thread(visit.desk.control.filters.all, visit.workspace.id, head["destination"].id)
    return visit.page(
        "destination-filters.html",
        **head,
        filters=[{"entry": each, "does": does(each)} for each in entries],
        values=values,
        edited=edited,
        actions=ACTIONS,
        event=event or forms.pretty(samples.SAMPLES["email"]),
        tried=tried,
        problem=str(error) if error else "",
        field=error.field if error else "",
        status=422 if error else 200,
    )


def does(entry: FilterEntry) -> str:
    """Return in words what a filter does to the events that it is about."""
    return ", then ".join(_does(each) for each in entry.actions)


def _does(act: Mapping[str, Any]) -> str:
    match act["type"]:
        case "SAMPLE":
            return f"sends {act['percent'] * 100:g} % of them"
        case "DROP_PROPERTIES":
            return f"removes {', '.join(_paths(act))}"
        case "ALLOW_PROPERTIES":
            return f"keeps only {', '.join(_paths(act))}"
        case _:
            return "does not send"


def _paths(act: Mapping[str, Any]) -> list[str]:
    return [f"{place}.{name}" for place, names in act["fields"].items() for name in names]


def _written(entry: FilterEntry) -> dict[str, str]:
    """Return a filter as the form shows it; it has one action there, and one that has more shows its first."""
    act = entry.actions[0]
    return {
        **_BLANK,
        "title": entry.title,
        "if": entry.condition,
        "action": act["type"],
        "percent": f"{act.get('percent', 0.1) * 100:g}",
        "path": act.get("path", ""),
        "fields": "\n".join(_paths(act)) if "fields" in act else "",
    }


def _actions(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the form says as the API writes it."""
    kind = values["action"]
    if kind == "SAMPLE":
        try:
            share = float(values["percent"]) / 100
        except ValueError as error:
            raise InvalidRequestError("The share is a number from 0 to 100.", field="percent") from error
        return [{"type": kind, "percent": share, **({"path": values["path"]} if values["path"] else {})}]
    if kind in {"DROP_PROPERTIES", "ALLOW_PROPERTIES"}:
        fields: dict[str, list[str]] = {}
        for line in filter(None, map(str.strip, values["fields"].splitlines())):
            place, _, name = line.partition(".")
            fields.setdefault(place, []).append(name)
        return [{"type": kind, "fields": fields}]
    return [{"type": kind}]


async def _save(visit: Visit) -> Response:
    """Save the filter, or with the button "Try it" show what becomes of an event."""
    destination = await asyncio.to_thread(found, visit)
    values = {name: visit.form.get(name, "").strip() for name in _BLANK}
    edited, event = visit.form.get("filter", ""), visit.form.get("event", "")
    filters, workspace_id = visit.desk.control.filters, visit.workspace.id
    try:
        acts = _actions(values)
        if "try" in visit.form:
            checked_filter(values["title"] or "Untitled", values["if"], acts)
            kept = preview(values["if"], acts, forms.event(event))
            tried = {"kept": forms.pretty(kept) if kept is not None else ""}
            return await _page(visit, values, edited=edited, event=event, tried=tried)
        said: dict[str, Any] = {"title": values["title"], "condition": values["if"], "actions": acts}
        if edited:
            await asyncio.to_thread(filters.update, workspace_id, destination.id, edited, **said)
        else:
            await asyncio.to_thread(filters.create, workspace_id, destination.id, **said)
    except InvalidRequestError as error:
        return await _page(visit, values, edited=edited, event=event, error=error)
    except ConflictError as error:
        return await _page(visit, values, event=event, error=InvalidRequestError(str(error)))
    return visit.to("destinations", destination.id, "filters")


async def _enable(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    filter_id, wanted = visit.request.path_params["filter"], visit.form.get("enabled") == "true"
    update = visit.desk.control.filters.update
    await asyncio.to_thread(update, visit.workspace.id, destination.id, filter_id, enabled=wanted)
    return visit.to("destinations", destination.id, "filters")


async def _delete(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    remove = visit.desk.control.filters.delete
    await asyncio.to_thread(remove, visit.workspace.id, destination.id, visit.request.path_params["filter"])
    return visit.to("destinations", destination.id, "filters")
