"""The settings of one source and of one destination: changed, and deleted once its name was typed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control import tuning
from headwater.control.catalog import Kind
from headwater.control.connecting import Connecting
from headwater.control.models import Destination, Role, Source
from headwater.errors import InvalidRequestError
from headwater.limits import MIB
from headwater.web import destinations, forms, sources, standing
from headwater.web.visit import Desk, Visit, action, page

_DIGITS_MAX: Final = 10  # ours: a longer number is refused before it is one
_RETENTION: Final = {"retentionDays": ("retention_days", 1), "retentionBytes": ("retention_bytes", MIB)}
"""The fields of the form, as the API calls them: the column and its unit on the page."""


def routes(desk: Desk) -> list[Route]:
    """Return the routes of both settings pages."""
    source, destination = "/{workspace}/sources/{source}", "/{workspace}/destinations/{destination}"
    return [
        Route(f"{source}/settings", page(desk, _source), methods=["GET"]),
        Route(f"{source}/settings", action(desk, _save_source, Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{source}/retention", action(desk, _save_retention, Role.OWNER), methods=["POST"]),
        Route(f"{source}/enable", action(desk, _enable_source, Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{source}/delete", action(desk, _delete_source, Role.OWNER), methods=["POST"]),
        Route(f"{destination}/settings", page(desk, _destination), methods=["GET"]),
        Route(f"{destination}/settings", action(desk, _save_destination, Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{destination}/delete", action(desk, _delete_destination), methods=["POST"]),
    ]


async def _source(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    return await _show_source(visit, source, source.name, source.settings)


async def _show_source(
    visit: Visit,
    source: Source,
    name: str,
    settings: Mapping[str, Any],
    *,
    error: InvalidRequestError | None = None,
    unconfirmed: bool = False,
    retention: Mapping[str, str] | None = None,
) -> Response:
    entry = await asyncio.to_thread(visit.desk.control.catalog.find, Kind.SOURCE, source.type)
    last = await asyncio.to_thread(visit.desk.volume.last_event, source.id)
    problems = {str(error.field): str(error)} if error else {}
    fields = forms.fields(entry.options, settings, problems)
    shown_there = {each.name for each in fields} | {"name", *_RETENTION}
    return visit.page(
        "source-settings.html",
        retention=_retention(source) if retention is None else retention,
        source=source,
        type_name=entry.name,
        state=standing.of_source(source, last),
        name=name,
        fields=fields,
        connected=await asyncio.to_thread(visit.desk.control.destinations.all, visit.workspace.id, source.id),
        problems=problems,
        problem=str(error) if error and error.field not in shown_there else "",
        unconfirmed=unconfirmed,
        status=422 if error or unconfirmed else 200,
    )


async def _save_source(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    control, form = visit.desk.control, visit.form
    entry = await asyncio.to_thread(control.catalog.find, Kind.SOURCE, source.type)
    name = form.get("name", "")
    raw = {option.name: form.get(f"{forms.PREFIX}{option.name}", "") for option in entry.options}
    try:
        settings = forms.emptied(entry.options) | forms.filled(entry.options, form)
        await asyncio.to_thread(control.sources.update, visit.workspace.id, source.id, name=name, settings=settings)
    except InvalidRequestError as error:
        return await _show_source(visit, source, name, raw, error=error)
    return visit.to("sources", source.slug, "overview")


async def _save_retention(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    texts = {name: visit.form.get(name, "").strip() for name in _RETENTION}
    try:
        wanted = {column: _times(texts[name], unit, name) for name, (column, unit) in _RETENTION.items()}
        await asyncio.to_thread(visit.desk.control.sources.update, visit.workspace.id, source.id, retention=wanted)
    except InvalidRequestError as error:
        return await _show_source(visit, source, source.name, source.settings, error=error, retention=texts)
    return visit.to("sources", source.slug, "settings")


def _times(text: str, unit: int, field: str) -> int | None:
    """Return a whole number of units, None for a blank field."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS_MAX):
        raise InvalidRequestError("This is no whole number.", field=field)
    return int(text) * unit


def _retention(source: Source) -> dict[str, str]:
    """Return what the fields of a source's retention show."""
    stored = {name: (getattr(source, column), unit) for name, (column, unit) in _RETENTION.items()}
    return {name: "" if value is None else str(value // unit) for name, (value, unit) in stored.items()}


async def _enable_source(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    wanted = visit.form.get("enabled") == "true"
    await asyncio.to_thread(visit.desk.control.sources.update, visit.workspace.id, source.id, enabled=wanted)
    return visit.to("sources", source.slug, "settings")


async def _delete_source(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    if not _is_confirmed(visit, source.name):
        return await _show_source(visit, source, source.name, source.settings, unconfirmed=True)
    await Connecting(visit.desk.control, visit.desk.pipeline).release(visit.workspace.id, source.id)
    await asyncio.to_thread(visit.desk.control.sources.delete, visit.workspace.id, source.id)
    return visit.to("sources")


def _is_confirmed(visit: Visit, name: str) -> bool:
    return visit.form.get("confirm", "").strip() == name.strip()


@dataclass(frozen=True, slots=True)
class _Filled:
    """What the form of a destination says, or what is stored."""

    name: str
    settings: Mapping[str, Any]
    delivery: Mapping[str, Any]


def _stored(destination: Destination) -> _Filled:
    return _Filled(destination.name, destination.settings, tuning.shape(destination.tuning))


async def _destination(visit: Visit) -> Response:
    destination = await asyncio.to_thread(destinations.found, visit)
    return await _show_destination(visit, destination, _stored(destination))


async def _show_destination(
    visit: Visit,
    destination: Destination,
    filled: _Filled,
    *,
    error: InvalidRequestError | None = None,
    tried: Mapping[str, Any] | None = None,
    unconfirmed: bool = False,
) -> Response:
    entry = await asyncio.to_thread(visit.desk.control.catalog.find, Kind.DESTINATION, destination.type)
    problems = {str(error.field): str(error)} if error else {}
    fields = forms.fields(entry.options, filled.settings, problems)
    shown_there = {each.name for each in fields} | {"name"} | {f"delivery.{member}" for member in tuning.BOUNDS}
    return visit.page(
        "destination-settings.html",
        **await destinations.headed(visit, "settings"),
        entry=entry,
        name=filled.name,
        fields=fields,
        delivery={member: "" if value is None else value for member, value in filled.delivery.items()},
        card=entry.card,
        problems=problems,
        problem=str(error) if error and error.field not in shown_there else "",
        tried=tried,
        unconfirmed=unconfirmed,
        status=422 if error or unconfirmed else 200,
    )


async def _save_destination(visit: Visit) -> Response:
    """Change the destination, or with the button "Test connection" try what the form says and show it again."""
    destination = await asyncio.to_thread(destinations.found, visit)
    control, form = visit.desk.control, visit.form
    entry = await asyncio.to_thread(control.catalog.find, Kind.DESTINATION, destination.type)
    name = form.get("name", "")
    raw = {option.name: form.get(f"{forms.PREFIX}{option.name}", "") for option in entry.options}
    paced: dict[str, Any] = {member: form.get(f"delivery.{member}", "").strip() for member in tuning.BOUNDS}
    try:
        settings = forms.emptied(entry.options) | forms.filled(entry.options, form)
        if "test" in form:
            tried = await destinations.attempt(visit, entry, settings, destination.id)
            return await _show_destination(visit, destination, _Filled(name, settings, paced), tried=tried)
        change: dict[str, Any] = {"name": name, "settings": settings, "delivery": _paced(paced)}
        await asyncio.to_thread(partial(control.destinations.update, visit.workspace.id, destination.id, **change))
    except InvalidRequestError as error:
        return await _show_destination(visit, destination, _Filled(name, raw, paced), error=error)
    return visit.to("destinations", destination.id)


def _paced(given: Mapping[str, str]) -> dict[str, Any]:
    """Return how fast and how long it is tried, as the API takes it; blank is the type's own."""
    found: dict[str, Any] = {}
    for member, text in given.items():
        try:
            found[member] = forms.number(text) if text else None
        except ValueError as error:
            raise InvalidRequestError("This is no number.", field=f"delivery.{member}") from error
    return found


async def _delete_destination(visit: Visit) -> Response:
    destination = await asyncio.to_thread(destinations.found, visit)
    if not _is_confirmed(visit, destination.name):
        return await _show_destination(visit, destination, _stored(destination), unconfirmed=True)
    await asyncio.to_thread(visit.desk.control.destinations.delete, visit.workspace.id, destination.id)
    return visit.to("destinations")
