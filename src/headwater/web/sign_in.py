"""Signing in: with e-mail address and password, or with an API token; and out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater.control.acting import Actor, Kind, acting
from headwater.control.models import Role
from headwater.control.people.models import User
from headwater.errors import ForbiddenError, HeadwaterError, RequestError
from headwater.web.access import address_of, admit_same_origin, own_path
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, read_form, refusal

_log = structlog.get_logger(__name__)
_REFUSED: Final = "This token is unknown, revoked or for the API only. Make one with: headwater token create --name me"


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the door."""
    return [
        Route("/sign-in", guarded(desk, _form), methods=["GET"]),
        Route("/sign-in", guarded(desk, _enter), methods=["POST"]),
        Route("/sign-out", action(desk, _leave, Role.READ_ONLY), methods=["POST"]),
    ]


Step = Callable[[Desk, Request], Awaitable[Response]]


def guarded(desk: Desk, step: Step) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that needs no session, but no other site may send anybody through it."""

    async def endpoint(request: Request) -> Response:
        try:
            desk.door.admit_host(request)
            if request.method == "POST" or "token" in request.query_params:
                admit_same_origin(request)
            return await step(desk, request)
        except HeadwaterError as error:
            return refusal(desk, request, error)
        except Exception:  # noqa: BLE001 - the outermost loop of these pages: one broken page and a line in the log
            _log.exception("page.failed", path=request.scope["route"].path)  # the rule, for the path may hold a link
            return refusal(desk, request, HTTPException(500))

    return endpoint


async def let_in(desk: Desk, request: Request, user: User, target: str) -> Response:
    """Return the answer that opens a session for a user and leads to a page of ours."""
    actor = Actor(Kind.USER, user.id, user.name, user.email, address_of(request))
    places = await asyncio.to_thread(desk.control.users.memberships_of, user.id)
    workspace_id = places[0].workspace_id if places else None
    with acting(actor):
        secret = await asyncio.to_thread(desk.door.open_for_user, user, request)
        noted = "User Signed In", workspace_id, ("user", user.id, user.name)
        await asyncio.to_thread(desk.control.audit.note, *noted)
    answer = RedirectResponse(target, 303, HEADERS)
    desk.door.keep(request, secret, answer)
    return answer


async def _form(desk: Desk, request: Request) -> Response:
    target = own_path(request.query_params.get("next", "/"))
    if token := request.query_params.get("token", ""):
        return await _by_token(desk, request, token, target)
    try:
        if await asyncio.to_thread(desk.door.session, request) is not None:
            return RedirectResponse(target, 303, HEADERS)
    except ForbiddenError:  # in no workspace any more: as somebody else, perhaps
        pass
    return await _page(desk, target)


async def _enter(desk: Desk, request: Request) -> Response:
    form = await read_form(request)
    target = own_path(form.get("next", "/"))
    if "token" in form:
        return await _by_token(desk, request, form["token"], target)
    return await _by_password(desk, request, form.get("email", ""), form.get("password", ""), target)


async def _by_password(desk: Desk, request: Request, email: str, password: str, target: str) -> Response:
    address = address_of(request)
    try:
        user = await desk.hashing.run(desk.control.credentials.by_password, email, password, address)
    except (ForbiddenError, RequestError) as error:
        status = error.status if isinstance(error, RequestError) else 403
        answer = await _page(desk, target, email=email, problem=str(error), status=status)
        if isinstance(error, RequestError) and error.retry_after_s is not None:
            answer.headers["retry-after"] = str(error.retry_after_s)
        if isinstance(error, ForbiddenError):  # what is throttled is not tried, and fills no trail
            # Once the answer is out: how long it took would tell whether there is such a person.
            answer.background = BackgroundTask(_note_refusal, desk, email, address)
        return answer
    return await let_in(desk, request, user, target)


def _note_refusal(desk: Desk, email: str, address: str) -> None:
    """Write down that somebody failed to sign in, in the trail of the person whose address was used."""
    user = desk.control.users.by_email(email)
    places = desk.control.users.memberships_of(user.id) if user else []
    if user is None or not places:
        return
    with acting(Actor(Kind.SYSTEM, name="Somebody", address=address)):
        desk.control.audit.note("Sign In Failed", places[0].workspace_id, ("user", user.id, user.name))


async def _by_token(desk: Desk, request: Request, token: str, target: str) -> Response:
    secret = await asyncio.to_thread(desk.door.open_for_token, token, request)
    if secret is None:
        return await _page(desk, target, refused=_REFUSED, status=403)
    answer = RedirectResponse(target, 303, HEADERS)
    desk.door.keep(request, secret, answer)
    return answer


async def _page(desk: Desk, target: str, *, status: int = 200, **told: str) -> Response:
    shown: dict[str, Any] = {"email": "", "problem": "", "refused": "", **told}
    shown["is_set_up"] = await asyncio.to_thread(desk.control.credentials.is_set_up)
    shown["provider"] = desk.provider is not None
    return desk.renderer.page("sign-in.html", {"next": target, "theme": "", **shown}, status=status)


async def _leave(visit: Visit) -> Response:
    answer = RedirectResponse("/sign-in", 303, HEADERS)
    await asyncio.to_thread(visit.desk.door.end, visit.request)
    visit.desk.door.forget(visit.request, answer)
    return answer
