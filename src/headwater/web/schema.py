"""The schema of a source: what it has sent, allowed and blocked by name, and what happens to what is not planned."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.api.schema import KINDS, csv_of
from headwater.control.models import Role, Source
from headwater.control.protocols import seen as shown
from headwater.control.protocols.settings import COMMON, FORWARDING, omitting, shape
from headwater.errors import InvalidRequestError
from headwater.protocols.rules import NAMED, Kind, Name
from headwater.web import charts, sources, standing
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = "schema"
_PAGE: Final = 50
_DAYS: Final = 7
_SHOWN_VIOLATIONS: Final = 50
_SORTS: Final = ("name", "count", "last")
_SWITCHES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "track": (
        ("allowUnplannedEvents", "New and unplanned events"),
        ("allowUnplannedEventProperties", "Properties that are not in the plan"),
        ("allowEventOnViolations", "Events that violate the plan"),
        ("allowPropertiesOnViolations", "Properties that violate the plan"),
    ),
    "identify": (
        ("allowUnplannedTraits", "New and unplanned traits"),
        ("allowTraitsOnViolations", "Traits that violate the plan"),
    ),
    "group": (
        ("allowUnplannedTraits", "New and unplanned traits"),
        ("allowTraitsOnViolations", "Traits that violate the plan"),
    ),
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the schema page."""
    room = f"/{{workspace}}/sources/{{source}}/{ROOM}"
    admin = Role.SOURCE_ADMIN
    return [
        Route(room, page(desk, _page), methods=["GET"]),
        Route(room, action(desk, _decide, admin), methods=["POST"]),
        Route(f"{room}/settings", action(desk, _save, admin), methods=["POST"]),
        Route(f"{room}/clear", action(desk, _clear, admin), methods=["POST"]),
        Route(f"{room}/export", page(desk, _export), methods=["GET"]),
    ]


async def _page(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, problem: str = "") -> Response:
    values = await asyncio.to_thread(_read, visit)
    return visit.page("source-schema.html", **values, problem=problem, status=422 if problem else 200)


def _read(visit: Visit) -> dict[str, Any]:
    desk, source, query = visit.desk, sources.found(visit), visit.request.query_params
    kind = query.get("type", "") if query.get("type") in KINDS else str(Kind.TRACK)
    name, search = query.get("name", ""), query.get("search", "")[:200]
    last = desk.volume.last_event(source.id)
    plan = desk.control.tracking_plans.of_source(visit.workspace.id, source.id)
    opened = "name" in query or Kind(kind) not in NAMED
    rows = _properties(desk, source, kind, name, search) if opened else _collections(desk, source, query, kind, search)
    first = _page_number(query.get("page", "")) * _PAGE
    settings = shape(desk.control.schema_controls.settings(visit.workspace.id, source.id))
    return {
        "source": source,
        "type_name": sources.type_name(desk, source),
        "state": standing.of_source(source, last),
        "kind": kind,
        "kinds": [str(each) for each in KINDS],
        "name": name,
        "opened": opened,
        "named": Kind(kind) in NAMED,
        "search": search,
        "sort": query.get("sort", "name"),
        "rows": rows[first : first + _PAGE],
        "total": len(rows),
        "place": first // _PAGE,
        "pages": max(1, -(-len(rows) // _PAGE)),
        "more": desk.seen.more(source.id, kind, name) if opened else desk.seen.more(source.id),
        "plan": plan,
        "switches": _SWITCHES,
        "settings": settings,
        "omitting": omitting,
        "destinations": desk.control.destinations.all(visit.workspace.id, source.id),
        "others": [each for each in desk.control.sources.all(visit.workspace.id) if each.id != source.id],
        "days": _DAYS,
        **violations(desk, [source.id]),
    }


def violations(desk: Desk, source_ids: list[str]) -> dict[str, Any]:
    """Return what did not fit the plans of sources, and how often each day."""
    found = desk.seen.violations(source_ids, _DAYS)
    trend = desk.seen.trend(source_ids, _DAYS)
    points = [(datetime.fromisoformat(day).replace(tzinfo=UTC), {"failed": count}) for day, count in trend]
    return {
        "violations": [
            {"source_id": source_id, "broken": each, "last_at": datetime.fromisoformat(each.last_at)}
            for source_id, each in found[:_SHOWN_VIOLATIONS]
        ],
        "more_violations": max(0, len(found) - _SHOWN_VIOLATIONS),
        "violation_count": sum(count for _, count in trend),
        "trend": charts.bars(points, "day"),
    }


def _collections(desk: Desk, source: Source, query: Mapping[str, str], kind: str, search: str) -> list[dict[str, Any]]:
    decided = shown.decisions(desk.control, source)
    found = [
        shown.collection_shape(each, decided)
        for each in desk.seen.collections(source.id, _DAYS)
        if each.kind == kind and not each.archived and search.lower() in each.name.lower()
    ]
    match query.get("sort"):
        case "count":
            found.sort(key=lambda each: -each["recent"])
        case "last":
            found.sort(key=lambda each: str(each["lastSeenAt"]), reverse=True)
    return [_timed(each) | {"blockedCount": sum(each["blocked"].values())} for each in found]


def _properties(desk: Desk, source: Source, kind: str, name: str, search: str) -> list[dict[str, Any]]:
    decided = shown.decisions(desk.control, source)
    return [
        _timed(shown.property_shape(each, kind, name, decided))
        for each in desk.seen.properties(source.id, kind, name)
        if search.lower() in each.field.lower()
    ]


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"last_at": datetime.fromisoformat(row["lastSeenAt"])}


def _page_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0  # noqa: PLR2004 - digits


async def _decide(visit: Visit) -> Response:
    """Allow or block one name."""
    source, form = await asyncio.to_thread(sources.found, visit), visit.form
    kind = form.get("type", "")
    if kind not in KINDS:
        raise InvalidRequestError(f"type is one of {', '.join(KINDS)}", field="type")
    name = Name(Kind(kind), form.get("name", ""), form.get("property", ""))
    allowed = form.get("allowed") == "true"
    controls = visit.desk.control.schema_controls
    await asyncio.to_thread(controls.decide, visit.workspace.id, source.id, [(name, allowed)])
    return visit.to("sources", source.slug, ROOM, **_back(visit.form))


def _back(form: Mapping[str, str]) -> dict[str, str]:
    """Return what the page showed, to show it again."""
    kept = {name: form.get(f"at_{name}", "") for name in ("search", "sort", "page")}
    if form.get("property"):
        kept["name"] = form.get("name", "")
    return {"type": form.get("type", ""), **{name: value for name, value in kept.items() if value}}


async def _save(visit: Visit) -> Response:
    source, form = await asyncio.to_thread(sources.found, visit), visit.form
    given: dict[str, Any] = {
        call: {name: form.get(f"{call}.{name}") == "allow" for name, _ in switches}
        | {COMMON: form.get(f"{call}.{COMMON}", "ALLOW")}
        for call, switches in _SWITCHES.items()
    }
    given |= {each: form.get(each, "") for each in ("forwardingViolationsTo", "forwardingBlockedEventsTo")}
    controls, seen = visit.desk.control.schema_controls, visit.desk.seen
    present = shape(await asyncio.to_thread(controls.settings, visit.workspace.id, source.id))
    ends = [given[each] for each in FORWARDING], {present[each] for each in FORWARDING}
    await asyncio.to_thread(visit.desk.control.rights.admit_connecting, visit.session.caller, *ends)
    try:
        await asyncio.to_thread(
            controls.change, visit.workspace.id, source.id, given, lambda: shown.names_seen(seen, source.id)
        )
    except InvalidRequestError as error:
        return await _show(visit, str(error))
    return visit.to("sources", source.slug, ROOM)


async def _clear(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    await asyncio.to_thread(visit.desk.seen.clear, source.id)
    return visit.to("sources", source.slug, ROOM)


async def _export(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    kind = visit.request.query_params.get("type", "")
    if kind not in KINDS:
        raise InvalidRequestError(f"type is one of {', '.join(KINDS)}", field="type")
    text = await asyncio.to_thread(csv_of, visit.desk.control, visit.desk.seen, source, kind, _DAYS)
    named = {"content-disposition": f'attachment; filename="{source.slug}-{kind.lower()}.csv"'}
    return Response(text, media_type="text/csv", headers={**HEADERS, **named})
