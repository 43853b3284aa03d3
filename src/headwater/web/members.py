"""The members of a workspace: who they are, what they may do, who is invited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Role, Source
from headwater.control.people.invites import Invitation, Sent, Wanted
from headwater.control.people.models import Member
from headwater.errors import ConflictError, InvalidRequestError
from headwater.web import grant_form, phrases
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = ("settings", "members")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the pages; owners change, members look."""
    all_ = "/{workspace}/" + "/".join(ROOM)
    one, invited = f"{all_}/{{user}}", f"{all_}/invitations/{{invitation}}"
    return [
        Route(all_, page(desk, _list, Role.MEMBER), methods=["GET"]),
        Route(f"{all_}/invite", action(desk, _invite, Role.OWNER), methods=["POST"]),
        Route(f"{invited}/renew", action(desk, _renew, Role.OWNER), methods=["POST"]),
        Route(f"{invited}/revoke", action(desk, _revoke, Role.OWNER), methods=["POST"]),
        Route(one, page(desk, _member, Role.OWNER), methods=["GET"]),
        Route(f"{one}/role", action(desk, _set_role, Role.OWNER), methods=["POST"]),
        Route(f"{one}/sessions", action(desk, _end_sessions, Role.OWNER), methods=["POST"]),
        Route(f"{one}/remove", action(desk, _remove, Role.OWNER), methods=["POST"]),
    ]


async def _list(visit: Visit) -> Response:
    return await _show_list(visit, {})


async def _show_list(
    visit: Visit, form: Mapping[str, str], *, error: InvalidRequestError | None = None, sent: Sent | None = None
) -> Response:
    control, workspace_id = visit.desk.control, visit.workspace.id
    members = await asyncio.to_thread(control.users.all, workspace_id)
    invited = await asyncio.to_thread(control.invites.all, workspace_id) if visit.session.may_own else []
    sources = await asyncio.to_thread(control.sources.all, workspace_id)
    now = visit.desk.clock()
    return visit.page(
        "members.html",
        members=[{"at": each, "role": phrases.role(each.role), "sources": named(each, sources)} for each in members],
        invited=[
            {
                "at": each,
                "role": phrases.role(each.role),
                "sources": named(each, sources),
                "is_expired": each.expires_at <= now,
            }
            for each in invited
        ],
        email=form.get("email", ""),
        grant=grant_form.shown(sources, form),
        problems={error.field: str(error)} if error else {},
        sent=sent,
        status=422 if error else 200,
    )


async def _invite(visit: Visit) -> Response:
    """Invite somebody and show the link, this once."""
    role, sources = grant_form.filled(visit.form)
    wanted = Wanted(visit.form.get("email", ""), role, sources)
    try:
        (sent,) = await asyncio.to_thread(visit.desk.control.invites.invite, visit.workspace.id, [wanted])
    except InvalidRequestError as error:
        return await _show_list(visit, visit.form, error=error)
    except ConflictError as error:
        return await _show_list(visit, visit.form, error=InvalidRequestError(str(error), field="email"))
    return await _show_list(visit, {}, sent=sent)


async def _renew(visit: Visit) -> Response:
    wanted = visit.request.path_params["invitation"]
    sent = await asyncio.to_thread(visit.desk.control.invites.renew, visit.workspace.id, wanted)
    return await _show_list(visit, {}, sent=sent)


async def _revoke(visit: Visit) -> Response:
    wanted = visit.request.path_params["invitation"]
    await asyncio.to_thread(visit.desk.control.invites.revoke, visit.workspace.id, [wanted])
    return visit.to(*ROOM)


async def _member(visit: Visit) -> Response:
    return await _show_member(visit)


async def _show_member(
    visit: Visit, *, error: InvalidRequestError | None = None, refused: ConflictError | None = None
) -> Response:
    control = visit.desk.control
    member = await asyncio.to_thread(_found, visit)
    sources = await asyncio.to_thread(control.sources.all, visit.workspace.id)
    sessions = await asyncio.to_thread(control.sessions.all, member.user.id)
    stored = grant_form.stored(member.role, member.source_ids)
    return visit.page(
        "member.html",
        member=member,
        sessions=sessions,
        is_self=member.user.id == visit.session.caller.user_id,
        grant=grant_form.shown(sources, visit.form if error else stored),
        problems={error.field: str(error)} if error else {},
        refused=str(refused) if refused else "",
        status=422 if error else 409 if refused else 200,
    )


async def _set_role(visit: Visit) -> Response:
    member = await asyncio.to_thread(_found, visit)
    role, sources = grant_form.filled(visit.form)
    try:
        await asyncio.to_thread(visit.desk.control.users.set_role, visit.workspace.id, member.user.id, role, sources)
    except InvalidRequestError as error:
        return await _show_member(visit, error=error)
    except ConflictError as error:
        return await _show_member(visit, refused=error)
    return visit.to(*ROOM)


async def _end_sessions(visit: Visit) -> Response:
    member = await asyncio.to_thread(_found, visit)
    await asyncio.to_thread(visit.desk.control.sessions.revoke_all, member.user.id)
    return visit.to(*ROOM, member.user.id)


async def _remove(visit: Visit) -> Response:
    member = await asyncio.to_thread(_found, visit)
    try:
        await asyncio.to_thread(visit.desk.control.users.remove, visit.workspace.id, member.user.id)
    except ConflictError as error:
        return await _show_member(visit, refused=error)
    return visit.to(*ROOM)


def _found(visit: Visit) -> Member:
    return visit.desk.control.users.get(visit.workspace.id, visit.request.path_params["user"])


def named(holder: Member | Invitation, sources: list[Source]) -> list[str]:
    """Return the names of the sources that somebody is narrowed to."""
    return [each.name for each in sources if each.id in (holder.source_ids or ())]
