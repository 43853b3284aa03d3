"""The event tester: one event through filters, mappings and the destination, with each request and its answer."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.catalog import Kind
from headwater.control.models import Role
from headwater.delivery import samples
from headwater.errors import HeadwaterError
from headwater.web import forms
from headwater.web.destinations import headed
from headwater.web.standing import State
from headwater.web.visit import Desk, Visit, action, page

_OUTCOMES: Final = {
    "delivered": State("Delivered", "ok"),
    "retry": State("Would be tried again", "warn"),
    "discarded": State("Refused for good", "bad"),
    "unauthorized": State("Credentials refused", "bad"),
    "skipped": State("Nothing to do there", ""),
    "filtered": State("Filtered", ""),
}
_FIRST: Final = "track"


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the event tester."""
    here = "/{workspace}/destinations/{destination}/test"
    return [
        Route(here, page(desk, _show), methods=["GET"]),
        Route(here, action(desk, _send, Role.SOURCE_ADMIN), methods=["POST"]),
    ]


async def _show(visit: Visit) -> Response:
    name = visit.request.query_params.get("sample", _FIRST)
    sample = samples.SAMPLES.get(name, samples.SAMPLES[_FIRST])
    return await _page(visit, forms.pretty(sample), name=name)


async def _page(
    visit: Visit,
    body: str,
    *,
    name: str = "",
    tried: dict[str, Any] | None = None,
    problem: str = "",
    as_is: bool = False,
) -> Response:
    head = await headed(visit, "test")
    return visit.page(
        "destination-test.html",
        **head,
        samples=list(samples.SAMPLES),
        chosen=name,
        body=body,
        as_is=as_is,
        tried=tried,
        outcome=_OUTCOMES[tried["outcome"]] if tried else None,
        sent=forms.pretty(tried["sent"]) if tried and tried["sent"] is not None else "",
        pretty=forms.pretty_text,
        problem=problem,
        status=422 if problem else 200,
    )


async def _send(visit: Visit) -> Response:
    """Send the event of the form; nothing of it is counted or tried again."""
    text, as_is = visit.form.get("event", ""), "as_is" in visit.form
    head = await headed(visit, "test")
    destination = head["destination"]
    try:
        entry = visit.desk.control.catalog.find(Kind.DESTINATION, destination.type)
        settings = await asyncio.to_thread(
            visit.desk.control.destinations.merged_settings, visit.workspace.id, entry.slug, {}, destination.id
        )
        tried = await visit.desk.pipeline.try_event(
            entry.module_name, settings, forms.event(text), destination_id=destination.id, as_is=as_is
        )
    except HeadwaterError as error:
        return await _page(visit, text, problem=str(error), as_is=as_is)
    return await _page(visit, text, tried=tried, as_is=as_is)
