"""The pages as routes: what `headwater.app` mounts in the web role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater import clock as wall
from headwater.clock import Clock
from headwater.control.alerting import Alerts
from headwater.control.asking import Asking
from headwater.control.audit.witness import witnessed
from headwater.control.live import Live
from headwater.control.people.oidc import Provider
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.control.volume import Volume
from headwater.errors import NotFoundError
from headwater.observing.seen import Seen
from headwater.web import (
    accounts,
    audit,
    console,
    debugger,
    delivery,
    destinations,
    filters,
    home,
    joining,
    mappings,
    members,
    oidc,
    plans,
    privacy,
    profile,
    rejected,
    replays,
    schema,
    settings_pages,
    sign_in,
    sources,
    tester,
    tokens,
    warehouse,
    warehouse_settings,
    warehouses,
    workspaces,
)
from headwater.web import alerts as alert_pages
from headwater.web.access import Door
from headwater.web.rendering import HEADERS, Assets, Renderer
from headwater.web.visit import Desk, Visit, page

_ROOMS: Final[tuple[Callable[[Desk], list[Route]], ...]] = (
    sources.routes,
    debugger.routes,
    rejected.routes,
    audit.routes,
    privacy.routes,
    settings_pages.routes,
    destinations.routes,
    delivery.routes,
    replays.routes,
    filters.routes,
    mappings.routes,
    tester.routes,
    accounts.routes,
    warehouses.routes,
    warehouse.routes,
    warehouse_settings.routes,
    console.routes,
    profile.routes,
    workspaces.routes,
    members.routes,
    tokens.routes,
    alert_pages.routes,
    schema.routes,
    plans.routes,
    home.routes,
)
"""The pages inside a workspace; what matches first counts, so home, which is a workspace's bare name, is last."""


def build(  # noqa: PLR0913 - each is a part of its own that the app has made
    control: Control,
    volume: Volume,
    live: Live,
    refused: Live,
    pipeline: Pipeline,
    asking: Asking,
    *,
    session_secret: bytes,
    public_url: str,
    open_access: bool,
    alerts: Alerts,
    seen: Seen,
    provider: Provider | None = None,
    clock: Clock = wall.now,
) -> list[Route]:
    """Return the routes of all pages; the ones with a workspace in front match last.

    Args:
        control: workspaces, sources, destinations, warehouses, tokens.
        volume: counts of what arrived.
        live: the newest events, and those that arrive.
        refused: the newest rejections.
        pipeline: deliveries and loads.
        asking: asks warehouses in SQL.
        session_secret: signs what a browser keeps while it is away to sign in elsewhere.
        public_url: the address under which ActiveCampaign and visitors reach this server.
        open_access: nobody has to sign in; only a demo on loopback may set it.
        alerts: what is wrong now and was.
        seen: what sources have sent.
        provider: where people sign in with OpenID Connect; None is nowhere.
        clock: what "5 minutes ago" counts from.
    """
    door = Door(control, public_url, open_access=open_access)
    pipeline = witnessed(pipeline, control.audit)
    desk = Desk(
        control,
        volume,
        live,
        refused,
        pipeline,
        asking,
        door,
        Renderer(clock),
        public_url,
        clock,
        alerts,
        seen,
        provider,
    )
    return [
        Route("/static/{path:path}", Assets(), methods=["GET", "HEAD"]),
        Route("/favicon.ico", _favicon),
        *sign_in.routes(desk),
        *joining.routes(desk),
        *oidc.routes(desk, session_secret),
        Route("/", page(desk, _start)),
        *(route for room in _ROOMS for route in room(desk)),
        Route("/{workspace}/{rest:path}", page(desk, _nothing)),
    ]


async def _start(visit: Visit) -> Response:
    return visit.to()


async def _nothing(_: Visit) -> Response:
    raise NotFoundError("There is no such page.")


async def _favicon(_: Request) -> Response:
    return RedirectResponse("/static/current/img/mark.svg", 302, HEADERS)
