"""A workspace's own settings, and the page where operators make another."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater.control.catalog import Kind
from headwater.control.models import Role
from headwater.control.workspaces import REGIONS
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = ("settings", "workspace")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the pages; owners change, operators make and delete."""
    own = "/{workspace}/" + "/".join(ROOM)
    return [
        Route(own, page(desk, _settings, Role.MEMBER), methods=["GET"]),
        Route(own, action(desk, _rename, Role.OWNER), methods=["POST"]),
        Route(f"{own}/delete", action(desk, _delete, Role.OWNER), methods=["POST"]),
        Route(f"{own}/new", page(desk, _new, Role.OWNER), methods=["GET"]),
        Route(f"{own}/new", action(desk, _create, Role.OWNER), methods=["POST"]),
    ]


async def _settings(visit: Visit) -> Response:
    return await _show(visit)


async def _show(
    visit: Visit, *, error: InvalidRequestError | None = None, refused: str = "", unconfirmed: bool = False
) -> Response:
    sources = await asyncio.to_thread(visit.desk.control.sources.all, visit.workspace.id)
    return visit.page(
        "workspace.html",
        name=visit.form.get("name", visit.workspace.name) if error else visit.workspace.name,
        problems={error.field: str(error)} if error else {},
        refused=refused,
        unconfirmed=unconfirmed,
        sources=sources,
        status=422 if error or unconfirmed else 409 if refused else 200,
    )


async def _rename(visit: Visit) -> Response:
    try:
        await asyncio.to_thread(visit.desk.control.workspaces.rename, visit.workspace.id, visit.form.get("name", ""))
    except InvalidRequestError as error:
        return await _show(visit, error=error)
    return visit.to(*ROOM)


async def _delete(visit: Visit) -> Response:
    """Delete the workspace once its slug was typed."""
    _admit_operator(visit)
    if visit.form.get("confirm", "").strip() != visit.workspace.slug:
        return await _show(visit, unconfirmed=True)
    try:
        await asyncio.to_thread(visit.desk.control.workspaces.delete, visit.workspace.id, visit.workspace.slug)
    except ConflictError as error:
        return await _show(visit, refused=str(error))
    return RedirectResponse("/", 303, HEADERS)


async def _new(visit: Visit) -> Response:
    _admit_operator(visit)
    return _show_new(visit)


def _show_new(visit: Visit, error: InvalidRequestError | None = None) -> Response:
    entries = visit.desk.control.catalog.entries(Kind.SOURCE)
    regions = [
        {"region": region, "missing": [each.name for each in entries if each.why_not(region)]} for region in REGIONS
    ]
    return visit.page(
        "workspace-new.html",
        name=visit.form.get("name", ""),
        slug=visit.form.get("slug", ""),
        region=visit.form.get("region", visit.workspace.region),
        regions=regions,
        problems={error.field: str(error)} if error else {},
        status=422 if error else 200,
    )


async def _create(visit: Visit) -> Response:
    """Make a workspace and go there; who makes it owns it."""
    _admit_operator(visit)
    form, user_id = visit.form, visit.session.caller.user_id
    wanted = form.get("name", ""), form.get("slug", "").strip(), form.get("region", "")
    try:
        made = await asyncio.to_thread(visit.desk.control.workspaces.create, *wanted, user_id)
    except InvalidRequestError as error:
        return _show_new(visit, error)
    except ConflictError as error:
        return _show_new(visit, InvalidRequestError(str(error), field="slug"))
    return RedirectResponse(f"/{made.slug}", 303, HEADERS)


def _admit_operator(visit: Visit) -> None:
    """Return when this session may make and delete workspaces.

    Raises:
        ForbiddenError: it may not.
    """
    if not visit.session.caller.is_operator:
        raise ForbiddenError("Only operators make and delete workspaces: whoever set Headwater up.")
