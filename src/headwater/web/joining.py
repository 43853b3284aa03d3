"""Becoming somebody here: the first person by the set-up link, the others by invitation."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater.control.acting import Actor, Kind, acting
from headwater.control.models import Workspace
from headwater.control.people.invites import Invitation
from headwater.control.people.models import User
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.web import forms
from headwater.web.access import address_of
from headwater.web.rendering import HEADERS
from headwater.web.sign_in import guarded, let_in
from headwater.web.visit import Desk, read_form


def routes(desk: Desk) -> list[Route]:
    """Return the routes of both ways in."""
    return [
        Route("/set-up", guarded(desk, _set_up), methods=["GET"]),
        Route("/set-up", guarded(desk, _make_first), methods=["POST"]),
        Route("/invitation/{token}", guarded(desk, _invitation), methods=["GET"]),
        Route("/invitation/{token}", guarded(desk, _accept), methods=["POST"]),
    ]


async def _set_up(desk: Desk, request: Request) -> Response:
    token = request.query_params.get("token", "")
    if not await asyncio.to_thread(desk.control.credentials.opens_set_up, token):
        return await _no_set_up(desk)
    return _form(desk, "set-up.html", {}, token=token)


async def _no_set_up(desk: Desk) -> Response:
    is_set_up = await asyncio.to_thread(desk.control.credentials.is_set_up)
    return _form(desk, "set-up.html", {}, token="", is_set_up=is_set_up, status=403)


async def _make_first(desk: Desk, request: Request) -> Response:
    form = await read_form(request)
    token, control = form.get("token", ""), desk.control
    if not await asyncio.to_thread(control.credentials.opens_set_up, token):
        return await _no_set_up(desk)
    workspace = await asyncio.to_thread(control.workspaces.get)
    given = (form.get("email", ""), form.get("name", ""), form.get("password", ""))
    try:
        forms.same_twice(form)
        with acting(Actor(Kind.SYSTEM, name="Set-up link", address=address_of(request))):
            user = await desk.hashing.run(control.credentials.set_up, token, workspace.id, *given)
    except InvalidRequestError as error:
        return _form(desk, "set-up.html", form, token=token, error=error)
    return await let_in(desk, request, user, "/")


async def _invitation(desk: Desk, request: Request) -> Response:
    found = await asyncio.to_thread(_found, desk, request)
    if found is None:
        return _no_invitation(desk)
    is_them = await asyncio.to_thread(_is_them, desk, request, found[2])
    return _form(desk, "invitation.html", {}, **_told(*found), is_them=is_them)


async def _accept(desk: Desk, request: Request) -> Response:
    found = await asyncio.to_thread(_found, desk, request)
    if found is None:
        return _no_invitation(desk)
    invitation, workspace, known = found
    control, token = desk.control, request.path_params["token"]
    if not await asyncio.to_thread(_is_them, desk, request, known):
        return RedirectResponse(f"/sign-in?{urlencode({'next': request.url.path})}", 303, HEADERS)
    form = await read_form(request)
    name = known.name if known else form.get("name", "")
    actor = Actor(Kind.SYSTEM, name=known.name if known else name.strip()[:100], email=invitation.email)
    try:
        if known is None:
            forms.same_twice(form)
            given = (invitation.email, name, form.get("password", ""))
            hashed = await desk.hashing.run(control.credentials.hashed, *given)
        with acting(Actor(actor.kind, "", actor.name, actor.email, address_of(request))):
            accepting = partial(control.invites.accept, token, name, None if known else hashed)
            user_id = await asyncio.to_thread(accepting)
    except InvalidRequestError as error:
        return _form(desk, "invitation.html", form, error=error, **_told(*found))
    except (NotFoundError, ConflictError) as error:
        return _no_invitation(desk, str(error))
    user = await asyncio.to_thread(control.users.find, user_id)
    if known is not None or user is None:
        return RedirectResponse(f"/{workspace.slug}", 303, HEADERS)
    return await let_in(desk, request, user, f"/{workspace.slug}")


def _found(desk: Desk, request: Request) -> tuple[Invitation, Workspace, User | None] | None:
    invitation = desk.control.invites.find(request.path_params["token"])
    if invitation is None:
        return None
    workspace = desk.control.workspaces.get(invitation.workspace_id)
    return invitation, workspace, desk.control.users.by_email(invitation.email)


def _is_them(desk: Desk, request: Request, known: User | None) -> bool:
    """Return whether the link is in the right hands: where there is an account already, of who is signed in to it.

    Who chose its password may have come by somebody else's invitation, and who has this link need not know it: either
    alone would give one of them what the other may do.
    """
    return known is None or desk.door.user_id(request) == known.id


def _told(invitation: Invitation, workspace: Workspace, known: User | None) -> dict[str, Any]:
    return {"invitation": invitation, "workspace": workspace, "known": known}


def _no_invitation(desk: Desk, problem: str = "") -> Response:
    return _form(desk, "invitation.html", {}, invitation=None, problem=problem, status=404)


def _form(
    desk: Desk,
    template: str,
    form: dict[str, str],
    *,
    error: InvalidRequestError | None = None,
    status: int = 200,
    **shown: Any,
) -> Response:
    problems = {error.field: str(error)} if error else {}
    values = {"theme": "", "is_set_up": False, "is_them": True, "problem": "", "problems": problems, **shown}
    values |= {"email": form.get("email", ""), "name": form.get("name", "")}  # never a password
    return desk.renderer.page(template, values, status=422 if error else status)
