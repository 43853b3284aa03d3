"""Signing in with an API token, and out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater.control.models import Role
from headwater.errors import HeadwaterError
from headwater.web.access import admit_same_origin, own_path
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, read_form, refusal

_REFUSED: Final = "This token is unknown or revoked. Make one with: headwater token create --name me"


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the door."""
    return [
        Route("/sign-in", _guarded(desk, _form), methods=["GET"]),
        Route("/sign-in", _guarded(desk, _enter), methods=["POST"]),
        Route("/sign-out", action(desk, _leave, Role.READ_ONLY), methods=["POST"]),
    ]


Step = Callable[[Desk, Request], Awaitable[Response]]


def _guarded(desk: Desk, step: Step) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that needs no session, but no other site may send anybody through it."""

    async def endpoint(request: Request) -> Response:
        try:
            desk.door.admit_host(request)
            if request.method == "POST" or "token" in request.query_params:
                admit_same_origin(request)
            return await step(desk, request)
        except HeadwaterError as error:
            return refusal(desk, request, error)

    return endpoint


async def _form(desk: Desk, request: Request) -> Response:
    target = own_path(request.query_params.get("next", "/"))
    if token := request.query_params.get("token", ""):
        return await _try(desk, request, token, target)
    if await asyncio.to_thread(desk.door.session, request) is not None:
        return RedirectResponse(target, 303, HEADERS)
    return _page(desk, target)


async def _enter(desk: Desk, request: Request) -> Response:
    form = await read_form(request)
    return await _try(desk, request, form.get("token", ""), own_path(form.get("next", "/")))


async def _try(desk: Desk, request: Request, token: str, target: str) -> Response:
    session = await asyncio.to_thread(desk.door.open, token)
    if session is None:
        return _page(desk, target, problem=_REFUSED, status=403)
    answer = RedirectResponse(target, 303, HEADERS)
    desk.door.keep(request, session, answer)
    return answer


def _page(desk: Desk, target: str, *, problem: str = "", status: int = 200) -> Response:
    return desk.renderer.page("sign-in.html", {"next": target, "problem": problem, "theme": ""}, status=status)


async def _leave(visit: Visit) -> Response:
    answer = RedirectResponse("/sign-in", 303, HEADERS)
    visit.desk.door.forget(visit.request, answer)
    return answer
