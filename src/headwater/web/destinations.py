"""The pages of destinations: list, catalog, the form of a new one; and the head that each one's pages share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.catalog import Entry, Kind
from headwater.control.models import Destination, Role
from headwater.errors import InvalidRequestError, LogUnavailableError, NotFoundError
from headwater.web import forms, standing
from headwater.web.visit import Desk, Visit, action, page


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the pages of destinations."""
    all_ = "/{workspace}/destinations"
    return [
        Route(all_, page(desk, _list)),
        Route(f"{all_}/catalog", page(desk, _catalog)),
        Route(f"{all_}/new/{{type}}", page(desk, _form, Role.MEMBER), methods=["GET"]),
        Route(f"{all_}/new/{{type}}", action(desk, _create), methods=["POST"]),
    ]


async def _list(visit: Visit) -> Response:
    control = visit.desk.control
    destinations = await asyncio.to_thread(control.destinations.all, visit.workspace.id)
    names = {each.id: each for each in await asyncio.to_thread(control.sources.all, visit.workspace.id)}
    connections = await standing.connections(visit.desk)
    rows = [
        {
            "entry": each,
            "type_name": _type_name(visit, each),
            "source": names.get(each.source_id),
            "state": standing.of_connection(connections.get(each.id), enabled=each.enabled),
            "connection": connections.get(each.id),
        }
        for each in destinations
    ]
    return visit.page("destinations.html", rows=rows, has_sources=bool(names))


def _type_name(visit: Visit, destination: Destination) -> str:
    try:
        return visit.desk.control.catalog.find(Kind.DESTINATION, destination.type).name
    except NotFoundError:
        return destination.type


async def _catalog(visit: Visit) -> Response:
    control = visit.desk.control
    entries = await asyncio.to_thread(control.catalog.entries, Kind.DESTINATION)
    sources = await asyncio.to_thread(control.sources.all, visit.workspace.id)
    chosen = visit.request.query_params.get("source", "")
    return visit.page("destination-catalog.html", entries=entries, sources=sources, chosen=chosen)


async def _form(visit: Visit) -> Response:
    entry = await asyncio.to_thread(_entry, visit)
    values = {"name": entry.name, "source": visit.request.query_params.get("source", "")}
    return await _show_form(visit, entry, values, {})


def _entry(visit: Visit) -> Entry:
    return visit.desk.control.catalog.find(Kind.DESTINATION, visit.request.path_params["type"])


async def _show_form(
    visit: Visit,
    entry: Entry,
    values: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    error: InvalidRequestError | NotFoundError | None = None,
    tried: Mapping[str, Any] | None = None,
) -> Response:
    field = getattr(error, "field", "source")
    fields = forms.fields(entry.options, settings, {field: str(error)} if error else {})
    shown_there = {each.name for each in fields} | {"name", "source"}
    return visit.page(
        "destination-new.html",
        entry=entry,
        values=values,
        sources=await asyncio.to_thread(visit.desk.control.sources.all, visit.workspace.id),
        fields=fields,
        problems={field: str(error)} if error else {},
        problem=str(error) if error and field not in shown_there else "",
        tried=tried,
        status=422 if error else 200,
    )


async def _create(visit: Visit) -> Response:
    """Create the destination, or with the button "Test connection" try its settings and show the form again."""
    entry = await asyncio.to_thread(_entry, visit)
    control, form = visit.desk.control, visit.form
    values = {"name": form.get("name", ""), "source": form.get("source", "")}
    raw = {option.name: form.get(f"{forms.PREFIX}{option.name}", "") for option in entry.options}
    try:
        settings = forms.filled(entry.options, form)
        if "test" in form:
            tried = await attempt(visit, entry, settings)
            return await _show_form(visit, entry, values, settings, tried=tried)
        created = await asyncio.to_thread(
            control.destinations.create,
            visit.workspace.id,
            values["source"],
            entry.slug,
            name=values["name"],
            settings=settings,
        )
    except (InvalidRequestError, NotFoundError) as error:
        return await _show_form(visit, entry, values, raw, error=error)
    return visit.to("destinations", created.id)


async def attempt(
    visit: Visit, entry: Entry, settings: Mapping[str, Any], destination_id: str | None = None
) -> dict[str, Any]:
    """Try settings out and return `ok` and `message`; a masked secret is the stored one of the destination."""
    checked = await asyncio.to_thread(
        visit.desk.control.destinations.merged_settings, visit.workspace.id, entry.slug, settings, destination_id
    )
    try:
        return await visit.desk.pipeline.test_destination(entry.module_name, checked)
    except LogUnavailableError as error:
        return {"ok": False, "message": str(error)}


def found(visit: Visit) -> Destination:
    """Return the destination of the address.

    Raises:
        NotFoundError: this workspace has none like it.
    """
    return visit.desk.control.destinations.get(visit.workspace.id, visit.request.path_params["destination"])


async def headed(visit: Visit, tab: str) -> dict[str, Any]:
    """Return what the head of each of a destination's pages shows, and how its connection does.

    Args:
        visit: its address names the destination.
        tab: which of the pages it is.
    """
    destination = await asyncio.to_thread(found, visit)
    connection = (await standing.connections(visit.desk)).get(destination.id)
    return {
        "tab": tab,
        "destination": destination,
        "type_name": _type_name(visit, destination),
        "source": await asyncio.to_thread(visit.desk.control.sources.get, visit.workspace.id, destination.source_id),
        "connection": connection,
        "state": standing.of_connection(connection, enabled=destination.enabled),
    }
