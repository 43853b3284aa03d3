"""One's own page: name, password, and where one is signed in."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater.control.models import Role
from headwater.errors import ForbiddenError, InvalidRequestError
from headwater.web import forms
from headwater.web.access import address_of
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

# What browsers call themselves holds many names; the first of these that is found is what people call it.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
_FRESH: Final = timedelta(minutes=15)  # ours: since signing in, for what nothing else proves


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the page; whoever is signed in may change what is theirs."""
    own = "/{workspace}/profile"
    return [
        Route(own, page(desk, _profile), methods=["GET"]),
        Route(f"{own}/name", action(desk, _rename, Role.READ_ONLY), methods=["POST"]),
        Route(f"{own}/password", action(desk, _change_password, Role.READ_ONLY), methods=["POST"]),
        Route(f"{own}/sessions", action(desk, _end_sessions, Role.READ_ONLY), methods=["POST"]),
    ]


async def _profile(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, *, error: InvalidRequestError | None = None, name: str | None = None) -> Response:
    control, session = visit.desk.control, visit.session
    user = await asyncio.to_thread(control.users.find, session.caller.user_id) if session.is_person else None
    sessions = await asyncio.to_thread(control.sessions.all, session.caller.user_id) if user else []
    rows = [
        {"at": each, "agent": browser(each.agent), "is_this": each.id == session.caller.token_id} for each in sessions
    ]
    shown: dict[str, Any] = {"user": user, "rows": rows, "name": user.name if user and name is None else name}
    problems = {error.field: str(error)} if error else {}
    changed = "changed" in visit.request.query_params
    return visit.page("profile.html", **shown, problems=problems, changed=changed, status=422 if error else 200)


async def _rename(visit: Visit) -> Response:
    user_id, name = _user(visit), visit.form.get("name", "")
    try:
        await asyncio.to_thread(visit.desk.control.users.rename, user_id, name)
    except InvalidRequestError as error:
        return await _show(visit, error=error, name=name)
    return visit.to("profile")


async def _change_password(visit: Visit) -> Response:
    """Change it, end every session, and go on in a new one."""
    control, form, user_id = visit.desk.control, visit.form, _user(visit)
    given = form.get("present", ""), form.get("new", ""), address_of(visit.request)
    try:
        await asyncio.to_thread(_admit_first, visit, user_id)
        forms.same_twice(form, "new")
        await visit.desk.hashing.run(control.credentials.change_password, user_id, *given)
    except InvalidRequestError as error:
        return await _show(visit, error=error)
    user = await asyncio.to_thread(control.users.find, user_id)
    if user is None:
        raise ForbiddenError("Your account was removed a moment ago.")
    secret = await asyncio.to_thread(visit.desk.door.open_for_user, user, visit.request)
    answer = RedirectResponse(visit.path("profile", changed="password"), 303, HEADERS)
    visit.desk.door.keep(visit.request, secret, answer)
    return answer


def _admit_first(visit: Visit, user_id: str) -> None:
    """Return when whoever has no password yet may set one: a session that was stolen would be theirs for ever.

    Raises:
        InvalidRequestError: they signed in too long ago.
    """
    user, stored = visit.desk.control.users.find(user_id), visit.session.stored
    is_fresh = stored is not None and visit.desk.clock() - stored.created_at <= _FRESH
    if user is not None and not user.has_password and not is_fresh:
        message = "Sign out and in again before you set a first password: nobody else shall do it from your desk."
        raise InvalidRequestError(message, field="new")


async def _end_sessions(visit: Visit) -> Response:
    """End one session, or with none named all the others."""
    sessions, user_id = visit.desk.control.sessions, _user(visit)
    if chosen := visit.form.get("session", ""):
        await asyncio.to_thread(sessions.revoke, user_id, chosen)
    else:
        await asyncio.to_thread(sessions.revoke_all, user_id, visit.session.caller.token_id)
    return visit.to("profile")


def _user(visit: Visit) -> str:
    if not visit.session.is_person:
        raise ForbiddenError("An API token has no profile. Sign in with e-mail address and password.")
    return visit.session.caller.user_id


def browser(agent: str) -> str:
    """Return what people call a browser and its system, such as `Firefox on Windows`."""
    name = next((name for word, name in _BROWSERS if re.search(rf"\b{word}", agent)), "")
    system = next((name for word, name in _SYSTEMS if word in agent), "")
    if name and system:
        return f"{name} on {system}"
    return name or agent.partition("/")[0][:40] or "Unknown browser"
