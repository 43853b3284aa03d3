"""The pages of sources: list, catalog, form and overview."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headwater.control import naming
from headwater.control.accounts import TYPE, webhook_path
from headwater.control.catalog import Entry, Kind
from headwater.control.models import MASKED, Role, Source
from headwater.control.volume import LastEvent, Summary
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.web import charts, standing, steps
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

_HOURS = 24
_COLLECTIONS_MAX = 100


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the pages of sources."""
    sources = "/{workspace}/sources"
    return [
        Route(sources, page(desk, _list)),
        Route(f"{sources}/catalog", page(desk, _catalog)),
        Route(f"{sources}/schema-name", page(desk, _schema_name)),
        Route(f"{sources}/new/{{type}}", page(desk, _form, Role.SOURCE_ADMIN), methods=["GET"]),
        Route(f"{sources}/new/{{type}}", action(desk, _create, Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{sources}/{{source}}", page(desk, _to_overview)),
        Route(f"{sources}/{{source}}/overview", page(desk, _overview)),
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """A source in the list."""

    source: Source
    type_name: str
    state: standing.State
    received: int
    spark: charts.Spark
    last_at: datetime | None


async def _list(visit: Visit) -> Response:
    q = visit.request.query_params.get("q", "").strip()[:200]
    all_rows = await asyncio.to_thread(rows, visit)
    shown = [row for row in all_rows if _matches(row, q, by_key=visit.session.may_edit(row.source.id))]
    return visit.page("sources.html", rows=shown, total=len(all_rows), q=q)


def rows(visit: Visit) -> list[Row]:
    """Return every source of the workspace with its figures of the last 24 hours."""
    return [_row(visit.desk, source) for source in visit.desk.control.sources.all(visit.workspace.id)]


def _row(desk: Desk, source: Source) -> Row:
    hours = [hour.accepted for hour in desk.volume.hourly(source.id, _HOURS)]
    last = desk.volume.last_event(source.id)
    return Row(
        source=source,
        type_name=type_name(desk, source),
        state=standing.of_source(source, last),
        received=sum(hours),
        spark=charts.spark(hours),
        last_at=last.received_at if last else None,
    )


def type_name(desk: Desk, source: Source) -> str:
    """Return the name of a source's type, the bare type where it left the shelf."""
    try:
        return desk.control.catalog.find(Kind.SOURCE, source.type).name
    except NotFoundError:
        return source.type


def _matches(row: Row, q: str, *, by_key: bool) -> bool:
    words = (row.source.name, row.source.slug, row.source.schema_name, row.type_name)
    return any(q.lower() in word.lower() for word in words) or (by_key and q in row.source.write_keys)


async def _catalog(visit: Visit) -> Response:
    entries = await asyncio.to_thread(visit.desk.control.catalog.entries, Kind.SOURCE)
    return visit.page("source-catalog.html", entries=entries)


async def _schema_name(visit: Visit) -> Response:
    """Answer, while it is typed, whether a schema name can be used."""
    name = visit.request.query_params.get("name", "")[:100]
    problem = await asyncio.to_thread(_problem_with, visit, name)
    return JSONResponse({"name": name, "problem": problem}, headers=HEADERS)


def _problem_with(visit: Visit, slug: str) -> str:
    try:
        naming.checked_slug(slug)
    except InvalidRequestError as error:
        return str(error)
    taken = {source.schema_name for source in visit.desk.control.sources.all(visit.workspace.id)}
    schema = naming.schema_name(slug)
    return f"{schema} is the schema of another source; choose another name." if schema in taken else ""


async def _form(visit: Visit) -> Response:
    entry = await asyncio.to_thread(_entry, visit)
    if entry.why_not(visit.workspace.region):
        return visit.page("source-catalog.html", entries=[entry], status=403)  # its card says why
    slug = await asyncio.to_thread(_free_slug, visit, entry.schema_name or entry.slug)
    return _show_form(visit, entry, {"name": entry.name, "slug": slug})


def _entry(visit: Visit) -> Entry:
    return visit.desk.control.catalog.find(Kind.SOURCE, visit.request.path_params["type"])


def _free_slug(visit: Visit, wanted: str) -> str:
    """Return the suggested schema name, numbered where it is taken."""
    candidates = (wanted, *(f"{wanted}_{number}" for number in range(2, 100)))
    return next((name for name in candidates if not _problem_with(visit, name)), wanted)


def _show_form(visit: Visit, entry: Entry, values: Mapping[str, str], error: Exception | None = None) -> Response:
    field = getattr(error, "field", "slug" if isinstance(error, ConflictError) else "")
    problems = {field: str(error)} if error and field in {"name", "slug"} else {}
    return visit.page(
        "source-new.html",
        entry=entry,
        values=values,
        problems=problems,
        problem=str(error) if error and not problems else "",
        status=422 if error else 200,
    )


async def _create(visit: Visit) -> Response:
    entry = await asyncio.to_thread(_entry, visit)
    values = {name: visit.form.get(name, "") for name in ("name", "slug")}
    try:
        source = await asyncio.to_thread(
            visit.desk.control.sources.create, visit.workspace.id, values["slug"], entry.slug, name=values["name"]
        )
    except (InvalidRequestError, ConflictError) as error:
        return _show_form(visit, entry, values, error)
    return visit.to("sources", source.slug, "overview")


def found(visit: Visit) -> Source:
    """Return the source of the address.

    Raises:
        NotFoundError: this workspace has none like it.
    """
    return visit.desk.control.sources.get(visit.workspace.id, visit.request.path_params["source"])


async def _to_overview(visit: Visit) -> Response:
    source = await asyncio.to_thread(found, visit)
    return visit.to("sources", source.slug, "overview")


async def _overview(visit: Visit) -> Response:
    read = await asyncio.to_thread(_read, visit)
    source, last = read["source"], read["last"]
    connections = await standing.connections(visit.desk)
    destinations = await asyncio.to_thread(visit.desk.control.destinations.all, visit.workspace.id, source.id)
    shown = [
        {
            "name": each.name,
            "address": visit.path("destinations", each.id),
            "state": standing.of_connection(connections.get(each.id), enabled=each.enabled),
            "note": standing.note_of_connection(connections.get(each.id)),
        }
        for each in destinations
    ]
    account = await asyncio.to_thread(visit.desk.control.accounts.of_source, visit.workspace.id, source.id)
    return visit.page(
        "overview.html",
        account=account,
        **read | _shown_event(last) | _webhook(visit, source),
        destinations=shown,
        steps=await steps.of(visit, source, account, last, [connections.get(each.id) for each in destinations]),
        as_of=visit.desk.clock(),
    )


def _read(visit: Visit) -> dict[str, Any]:
    """Read everything about a source that one thread can read in one go."""
    desk, source = visit.desk, found(visit)
    last = desk.volume.last_event(source.id)
    since = desk.clock() - timedelta(hours=_HOURS - 1)
    summary = desk.volume.summary(source.id, since)
    collections = desk.volume.collections(source.id)
    hours = desk.volume.hourly(source.id, _HOURS)
    return {
        "source": source,
        "type_name": type_name(desk, source),
        "state": standing.of_source(source, last),
        "last": last,
        "figures": _figures(summary),
        "chart": charts.bars([(hour.start, {"accepted": hour.accepted}) for hour in hours]),
        "collections": [
            {
                "name": each.name,
                "type": each.type,
                "count": each.count,
                "recent": summary.events.get(each.name, 0),
                "last_at": each.last_seen,
            }
            for each in collections[:_COLLECTIONS_MAX]
        ],
        "more_collections": len(collections) if len(collections) > _COLLECTIONS_MAX else 0,
    }


def _figures(summary: Summary) -> dict[str, Any]:
    rejected = sum(summary.rejected.values())
    reasons = ", ".join(f"{code} {number:,}" for code, number in list(summary.rejected.items())[:2])
    return {
        "received": summary.accepted + summary.duplicates + rejected,
        "rejected": rejected,
        "reasons": reasons or "refused with a reason, kept",
        "duplicates": summary.duplicates,
        "unique": summary.accepted,
    }


def _shown_event(last: LastEvent | None) -> dict[str, Any]:
    shown = {"what": last.name, "who": last.who, "at": last.received_at} if last else None
    return {"last": shown}


def _webhook(visit: Visit, source: Source) -> dict[str, Any]:
    """Return the secret address that a cloud source posts to, and what else is needed to send to this source."""
    base = visit.desk.public_url.rstrip("/")
    address = f"{base}{webhook_path(source, visit.desk.control.catalog)}" if source.webhook_secret else ""
    return {
        "webhook_url": address,
        "has_account": source.type == TYPE,
        "webhook_url_masked": address.removesuffix(source.webhook_secret) + MASKED if address else "",
        "reachable": visit.desk.is_public,
        "example": (
            f"curl -u YOUR_WRITE_KEY: {base}/v1/track \\\n"
            "  -H 'Content-Type: application/json' \\\n"
            '  -d \'{"userId": "user-1", "event": "Hello Headwater"}\''
        ),
    }
