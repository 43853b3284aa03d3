"""The rejected calls of a source: what was refused, why, and the first call of each kind."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Source
from headwater.spec.event import Event
from headwater.web import forms, sources, standing
from headwater.web.visit import Desk, Visit, page

_SHOWN_MAX: Final = 100
_DAY: Final = timedelta(hours=24)


def routes(desk: Desk) -> list[Route]:
    """Return the route of the rejected calls."""
    return [Route("/{workspace}/sources/{source}/rejected", page(desk, _rejected))]


async def _rejected(visit: Visit) -> Response:
    source = await asyncio.to_thread(sources.found, visit)
    return visit.page("rejected.html", **await asyncio.to_thread(_read, visit, source))


def _read(visit: Visit, source: Source) -> dict[str, Any]:
    desk = visit.desk
    last = desk.volume.last_event(source.id)
    summary = desk.volume.summary(source.id, desk.clock() - _DAY)
    return {
        "source": source,
        "type_name": sources.type_name(desk, source),
        "state": standing.of_source(source, last),
        "codes": summary.rejected,
        "rejections": [_shown(each) for each in desk.rejected.recent(source.id, _SHOWN_MAX)],
    }


def _shown(rejection: Event) -> dict[str, Any]:
    """Return a line of the `rejected` topic as the page shows it; a sample that is no whole JSON stays as it came."""
    body = rejection.body
    return {
        "at": datetime.fromisoformat(str(body["receivedAt"])),
        "code": str(body["code"]),
        "message": str(body["message"]),
        "count": int(body.get("count", 1)),
        "sample": forms.pretty_text(str(body.get("sample", ""))),
        "inbox_seq": body.get("inboxSeq"),
    }
