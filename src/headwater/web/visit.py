"""One request to a page: who asks, in which workspace, and how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headwater.clock import Clock
from headwater.control.asking import Asking
from headwater.control.live import Live
from headwater.control.models import Role, Workspace
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.control.volume import Volume
from headwater.errors import (
    ConflictError,
    ForbiddenError,
    HeadwaterError,
    InvalidRequestError,
    LogUnavailableError,
    NotFoundError,
    RequestError,
)
from headwater.limits import KIB, MIB
from headwater.web.access import Door, Session, admit_form, admit_same_origin
from headwater.web.rendering import HEADERS, Renderer

_FORM_BYTES_MAX: Final = 256 * KIB  # ours: the longest SQL and every setting fit many times
_FORM_FIELDS_MAX: Final = 200
_DRAINED_BYTES_MAX: Final = 16 * MIB  # ours: what is read of a form that is too large, and thrown away
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything pages ask; `public_url` is the address that ActiveCampaign reaches."""

    control: Control
    volume: Volume
    live: Live
    rejected: Live
    pipeline: Pipeline
    asking: Asking
    door: Door
    renderer: Renderer
    public_url: str
    clock: Clock

    @property
    def is_public(self) -> bool:
        """Whether others than this machine may reach the public address."""
        return (urlsplit(self.public_url).hostname or "") not in {"", "localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Visit:
    """A request with its session and workspace, and for a POST its form."""

    desk: Desk
    request: Request
    session: Session
    workspace: Workspace
    form: Mapping[str, str]

    def path(self, *parts: str, **query: str) -> str:
        """Return the address of a page of this workspace."""
        address = "/".join(["", *(quote(part, safe="") for part in (self.workspace.slug, *parts))])
        return f"{address}?{urlencode(query)}" if query else address

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page inside the frame."""
        shown = {"visit": self, "theme": _theme(self.request), **values}
        return self.desk.renderer.page(template, shown, status=status)

    def to(self, *parts: str, **query: str) -> Response:
        """Return a redirect to a page of this workspace, after a change."""
        return RedirectResponse(self.path(*parts, **query), 303, HEADERS)


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def page(desk: Desk, handler: Handler) -> Endpoint:
    """Return the endpoint of a page: shown to whoever has a session in its workspace."""
    return _endpoint(desk, handler, None)


def action(desk: Desk, handler: Handler, needs: Role = Role.MEMBER) -> Endpoint:
    """Return the endpoint of a form: same origin, the session's own token, the role it needs."""
    return _endpoint(desk, handler, needs)


def _endpoint(desk: Desk, handler: Handler, needs: Role | None) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        session = None
        try:
            desk.door.admit_host(request)
            session = await asyncio.to_thread(desk.door.session, request)
            if session is None:
                return _sign_in_first(request)
            workspace = await asyncio.to_thread(_workspace, desk, request, session)
            form = {} if needs is None else await _admitted_form(request, session, needs)
            answer = await handler(Visit(desk, request, session, workspace, form))
        except (HeadwaterError, HTTPException) as error:
            answer = refusal(desk, request, error)
        except Exception:  # noqa: BLE001 - the outermost loop of the pages: one broken page and a line in the log
            _log.exception("page.failed", path=request.url.path)
            answer = refusal(desk, request, HTTPException(500))
        if session is not None and session.is_new:
            desk.door.keep(request, session, answer)
        return answer

    return endpoint


def _sign_in_first(request: Request) -> Response:
    if "text/event-stream" in request.headers.get("accept", ""):
        return Response(status_code=401, headers=HEADERS)  # a stream follows no link; its page asks again and does
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = urlencode({"next": target}) if request.method == "GET" else ""
    return RedirectResponse(f"/sign-in?{query}".rstrip("?"), 303, HEADERS)


def _workspace(desk: Desk, request: Request, session: Session) -> Workspace:
    """Return the workspace of the address; another's looks like one that does not exist."""
    workspace = desk.control.workspaces.get(session.caller.workspace_id)
    slug = request.path_params.get("workspace", workspace.slug)
    if slug != workspace.slug:
        raise NotFoundError(f"There is no workspace {slug[:60]!r}.")
    return workspace


async def _admitted_form(request: Request, session: Session, needs: Role) -> dict[str, str]:
    admit_same_origin(request)
    form = await read_form(request)
    admit_form(session, form.get("csrf", ""))
    if not session.caller.role.includes(needs):
        raise ForbiddenError("This session can only read. Ask an owner for a token with the role member.")
    return form


async def read_form(request: Request) -> dict[str, str]:
    """Return a form's fields, the last of each name.

    Raises:
        RequestError: it is too large, or has too many fields.
    """
    body, received = b"", 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= _FORM_BYTES_MAX:
            body += chunk
        elif received > _DRAINED_BYTES_MAX:
            break
    if received > _FORM_BYTES_MAX:  # read to its end all the same: a browser shows no answer before it has sent all
        raise RequestError(413, "form_too_large", f"A form has at most {_FORM_BYTES_MAX // KIB} KB.")
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX, errors="replace"
        )
    except ValueError as error:
        message = f"A form has at most {_FORM_FIELDS_MAX} fields."
        raise RequestError(413, "too_many_fields", message) from error
    return dict(pairs)


_STATUS: Final[Mapping[type[HeadwaterError], int]] = {
    NotFoundError: 404,
    ForbiddenError: 403,
    ConflictError: 409,
    InvalidRequestError: 422,
    LogUnavailableError: 503,
}
_TITLES: Final[Mapping[int, tuple[str, str]]] = {
    403: ("Not allowed", "You may not do this."),
    404: ("Not found", "There is nothing at this address, or not for you."),
    405: ("Not allowed here", "This address does not take such a request."),
    413: ("Too large", "What was sent is too large."),
    500: ("Something broke here", "This page failed. The server's log says why; your data is safe."),
    503: ("Not reachable now", "A part of Headwater does not answer. Try again in a moment."),
}


def refusal(desk: Desk, request: Request, error: HeadwaterError | HTTPException) -> Response:
    """Return the page that says what went wrong and what to do next."""
    if isinstance(error, HTTPException):
        status, reason = error.status_code, ""
    else:
        status = error.status if isinstance(error, RequestError) else _STATUS.get(type(error), 400)
        reason = "" if isinstance(error, NotFoundError) else str(error)
    title, usual = _TITLES.get(status, ("That did not work", "Go back and try again."))
    values = {"theme": _theme(request), "title": title, "reason": reason or usual, "status": status}
    return desk.renderer.page("refusal.html", values, status=status)


def _theme(request: Request) -> str:
    theme = request.cookies.get("headwater-theme", "")
    return theme if theme in {"light", "dark"} else ""
