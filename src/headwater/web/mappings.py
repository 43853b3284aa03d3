"""The field mappings of a destination: for which events which fields are set, tried on an event before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from headwater.control import subscriptions
from headwater.delivery import samples
from headwater.errors import ConflictError, InvalidRequestError
from headwater.web import forms
from headwater.web.destinations import found, headed
from headwater.web.visit import Desk, Visit, action, page

_BLANK: Final = {
    "name": "",
    "trigger": 'type = "track"',
    "fields": '{\n  "properties.campaign": {"@path": "$.properties.campaign_name"}\n}',
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the mapping page."""
    here = "/{workspace}/destinations/{destination}/mappings"
    return [
        Route(here, page(desk, _show), methods=["GET"]),
        Route(here, action(desk, _save), methods=["POST"]),
        Route(f"{here}/{{mapping}}/enable", action(desk, _enable), methods=["POST"]),
        Route(f"{here}/{{mapping}}/delete", action(desk, _delete), methods=["POST"]),
    ]


async def _show(visit: Visit) -> Response:
    edited = visit.request.query_params.get("mapping", "")
    if not edited:
        return await _page(visit, _BLANK)
    destination = await asyncio.to_thread(found, visit)
    entry = await asyncio.to_thread(visit.desk.control.subscriptions.get, visit.workspace.id, destination.id, edited)
    values = {"name": entry.name, "trigger": entry.trigger, "fields": forms.pretty(entry.fields)}
    return await _page(visit, values, edited=entry.id)


async def _page(
    visit: Visit,
    values: Mapping[str, str],
    *,
    edited: str = "",
    event: str = "",
    tried: Mapping[str, Any] | None = None,
    error: InvalidRequestError | None = None,
) -> Response:
    head = await headed(visit, "mappings")
    all_ = visit.desk.control.subscriptions.all
    return visit.page(
        "destination-mappings.html",
        **head,
        mappings=await asyncio.to_thread(all_, visit.workspace.id, head["destination"].id),
        values=values,
        edited=edited,
        event=event or forms.pretty(samples.SAMPLES["email"]),
        tried=tried,
        problem=str(error) if error else "",
        field=error.field if error else "",
        status=422 if error else 200,
    )


async def _save(visit: Visit) -> Response:
    """Save the mapping, or with the button "Try it" show what becomes of an event."""
    destination = await asyncio.to_thread(found, visit)
    values = {name: visit.form.get(name, "").strip() for name in _BLANK}
    edited, event = visit.form.get("mapping", ""), visit.form.get("event", "")
    store, workspace_id = visit.desk.control.subscriptions, visit.workspace.id
    try:
        fields = _fields(values["fields"])
        if "try" in visit.form:
            made = subscriptions.preview(values["trigger"], fields, forms.event(event))
            tried = {"kept": forms.pretty(made) if made is not None else ""}
            return await _page(visit, values, edited=edited, event=event, tried=tried)
        said: dict[str, Any] = {"name": values["name"], "trigger": values["trigger"], "fields": fields}
        if edited:
            await asyncio.to_thread(store.update, workspace_id, destination.id, edited, **said)
        else:
            await asyncio.to_thread(store.create, workspace_id, destination.id, **said)
    except InvalidRequestError as error:
        return await _page(visit, values, edited=edited, event=event, error=error)
    except ConflictError as error:
        return await _page(visit, values, event=event, error=InvalidRequestError(str(error)))
    return visit.to("destinations", destination.id, "mappings")


def _fields(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"The fields are no JSON object: {error}.", field="fields") from error


async def _enable(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    mapping_id, wanted = visit.request.path_params["mapping"], visit.form.get("enabled") == "true"
    update = visit.desk.control.subscriptions.update
    await asyncio.to_thread(update, visit.workspace.id, destination.id, mapping_id, enabled=wanted)
    return visit.to("destinations", destination.id, "mappings")


async def _delete(visit: Visit) -> Response:
    destination = await asyncio.to_thread(found, visit)
    remove = visit.desk.control.subscriptions.delete
    await asyncio.to_thread(remove, visit.workspace.id, destination.id, visit.request.path_params["mapping"])
    return visit.to("destinations", destination.id, "mappings")
