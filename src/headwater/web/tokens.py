"""Access tokens of a workspace: listed, made and shown once, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Role, Source, Token
from headwater.control.scopes import FAMILIES, SCOPES
from headwater.errors import InvalidRequestError
from headwater.web import grant_form, phrases
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = ("settings", "tokens")
LASTS: Final = {"": "Never", "30": "In 30 days", "90": "In 90 days", "365": "In a year"}
"""When a token ends: days, as the form offers them."""


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the page, which is the owners'."""
    all_ = "/{workspace}/" + "/".join(ROOM)
    return [
        Route(all_, page(desk, _list, Role.OWNER), methods=["GET"]),
        Route(all_, action(desk, _create, Role.OWNER), methods=["POST"]),
        Route(f"{all_}/{{token}}/revoke", action(desk, _revoke, Role.OWNER), methods=["POST"]),
    ]


async def _list(visit: Visit) -> Response:
    return await _show(visit, {})


async def _show(
    visit: Visit,
    form: Mapping[str, str],
    *,
    error: InvalidRequestError | None = None,
    made: tuple[str, Token] | None = None,
) -> Response:
    control, workspace_id = visit.desk.control, visit.workspace.id
    tokens = await asyncio.to_thread(control.tokens.all, workspace_id)
    sources = await asyncio.to_thread(control.sources.all, workspace_id)
    now = visit.desk.clock()
    return visit.page(
        "tokens.html",
        tokens=[_row(each, sources, now) for each in reversed(tokens)],
        families=FAMILIES,
        ticked={scope for scope in SCOPES if f"scope.{scope}" in form},
        lasts=LASTS,
        name=form.get("name", ""),
        expires=form.get("expires", ""),
        grant=grant_form.shown(sources, form),
        problems={error.field: str(error)} if error else {},
        made=made,
        status=422 if error else 200,
    )


def _row(token: Token, sources: list[Source], now: datetime) -> dict[str, object]:
    return {
        "at": token,
        "role": phrases.role(token.role),
        "sources": [each.name for each in sources if each.id in (token.source_ids or ())],
        "is_expired": token.expires_at is not None and token.expires_at <= now,
    }


async def _create(visit: Visit) -> Response:
    """Make a token and show it, this once."""
    form, create = visit.form, visit.desk.control.tokens.create
    role, sources = grant_form.filled(form)
    try:
        made = await asyncio.to_thread(
            partial(
                create,
                visit.workspace.id,
                form.get("name", ""),
                role,
                only=[scope for scope in SCOPES if f"scope.{scope}" in form],
                source_ids=sources,
                expires_at=_end(form.get("expires", ""), visit.desk.clock()),
                maker=visit.session.caller,
            )
        )
    except InvalidRequestError as error:
        return await _show(visit, form, error=error)
    return await _show(visit, {}, made=made)


def _end(days: str, now: datetime) -> datetime | None:
    if days not in LASTS:
        raise InvalidRequestError("Choose when it ends.", field="expiresAt")
    return now + timedelta(days=int(days)) if days else None


async def _revoke(visit: Visit) -> Response:
    tokens, wanted = visit.desk.control.tokens, visit.request.path_params["token"]
    token = await asyncio.to_thread(tokens.get, visit.workspace.id, wanted)  # by id only: a name may be ambiguous
    await asyncio.to_thread(tokens.revoke, visit.workspace.id, token.id)
    return visit.to(*ROOM)
