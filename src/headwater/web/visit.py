"""One request to a page: who asks, in which workspace, and how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headwater.clock import Clock
from headwater.control.acting import acting
from headwater.control.alerting import Alerts
from headwater.control.asking import Asking
from headwater.control.live import Live
from headwater.control.models import Role, Workspace
from headwater.control.people.oidc import Provider
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
from headwater.observing.seen import Seen
from headwater.web.access import Door, Session, actor_of, address_of, admit_form, admit_same_origin
from headwater.web.hashing import Hashing
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
    alerts: Alerts
    seen: Seen
    provider: Provider | None = None
    hashing: Hashing = field(default_factory=Hashing)

    @property
    def is_public(self) -> bool:
        """Whether others than this machine may reach the public address."""
        return (urlsplit(self.public_url).hostname or "") not in {"", "localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Visit:
    """A request with its session and workspace, and for a POST its form; `workspaces` are all that it may see."""

    desk: Desk
    request: Request
    session: Session
    workspace: Workspace
    form: Mapping[str, str]
    workspaces: tuple[Workspace, ...] = ()

    def path(self, *parts: str, **query: str) -> str:
        """Return the address of a page of this workspace."""
        address = "/".join(["", *(quote(part, safe="") for part in (self.workspace.slug, *parts))])
        return f"{address}?{urlencode(query)}" if query else address

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page inside the frame."""
        shown = {"visit": self, "theme": theme_of(self.request), **values}
        return self.desk.renderer.page(template, shown, status=status)

    def to(self, *parts: str, **query: str) -> Response:
        """Return a redirect to a page of this workspace, after a change."""
        return RedirectResponse(self.path(*parts, **query), 303, HEADERS)


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def page(desk: Desk, handler: Handler, needs: Role = Role.READ_ONLY) -> Endpoint:
    """Return the endpoint of a page: shown to whoever has a session in its workspace and the role it needs."""
    return _endpoint(desk, handler, needs, is_form=False)


def action(desk: Desk, handler: Handler, needs: Role = Role.MEMBER) -> Endpoint:
    """Return the endpoint of a form: same origin, the session's own token, the role it needs.

    SOURCE_ADMIN stands for "who administers the source in the path".
    """
    return _endpoint(desk, handler, needs, is_form=True)


def needs_of(endpoint: object) -> Role | None:
    """Return the role that an endpoint was declared with, None where it has none: for the table of rights."""
    found = getattr(endpoint, "needs", None)
    return found if isinstance(found, Role) else None


def _endpoint(desk: Desk, handler: Handler, needs: Role, *, is_form: bool) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        session = None
        try:
            desk.door.admit_host(request)
            session = await asyncio.to_thread(desk.door.session, request)
            if session is None:
                return _sign_in_first(request)
            workspace, seen = await asyncio.to_thread(_workspaces, desk, request, session)
            form = await _admitted_form(request, session) if is_form else {}
            await asyncio.to_thread(_admit, desk, request, session, needs)
            with acting(actor_of(session.caller, address_of(request))):
                answer = await handler(Visit(desk, request, session, workspace, form, seen))
        except (HeadwaterError, HTTPException) as error:
            answer = refusal(desk, request, error)
        except Exception:  # noqa: BLE001 - the outermost loop of the pages: one broken page and a line in the log
            _log.exception("page.failed", path=request.url.path)
            answer = refusal(desk, request, HTTPException(500))
        if session is not None and session.is_new:
            desk.door.keep(request, session.secret, answer)
        return answer

    endpoint.needs = needs  # type: ignore[attr-defined] # read by `needs_of`
    return endpoint


def _admit(desk: Desk, request: Request, session: Session, needs: Role) -> None:
    """Return when the session may do what the address is for.

    Raises:
        ForbiddenError: it may not.
        NotFoundError: the workspace has no such source, destination or account.
    """
    caller, source_id = session.caller, ""
    if not caller.role.includes(needs):
        raise ForbiddenError(f"This needs the role {needs}; yours is {caller.role}. An owner can change it.")
    if caller.role is needs is Role.SOURCE_ADMIN:  # the only pair that hangs on the source
        source_id = desk.control.rights.source_of(caller.workspace_id, request.path_params)
    if needs is Role.SOURCE_ADMIN and not caller.administers(source_id):
        raise ForbiddenError("This source is not among those that you administer. An owner can change that.")


def _sign_in_first(request: Request) -> Response:
    if "text/event-stream" in request.headers.get("accept", ""):
        return Response(status_code=401, headers=HEADERS)  # a stream follows no link; its page asks again and does
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = urlencode({"next": target}) if request.method == "GET" else ""
    return RedirectResponse(f"/sign-in?{query}".rstrip("?"), 303, HEADERS)


def _workspaces(desk: Desk, request: Request, session: Session) -> tuple[Workspace, tuple[Workspace, ...]]:
    """Return the workspace of the address and all that the session may see; another's looks like none at all."""
    seen = desk.control.workspaces.of(session.caller)
    workspace = desk.control.workspaces.get(session.caller.workspace_id)
    slug = request.path_params.get("workspace", workspace.slug)
    if slug != workspace.slug:
        raise NotFoundError(f"There is no workspace {slug[:60]!r}.")
    return workspace, tuple(seen)


async def _admitted_form(request: Request, session: Session) -> dict[str, str]:
    admit_same_origin(request)
    form = await read_form(request)
    admit_form(session, form.get("csrf", ""))
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
    429: ("Too many attempts", "Wait a moment, then try again."),
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
    values = {"theme": theme_of(request), "title": title, "reason": reason or usual, "status": status}
    answer = desk.renderer.page("refusal.html", values, status=status)
    if isinstance(error, RequestError) and error.retry_after_s is not None:
        answer.headers["retry-after"] = str(error.retry_after_s)
    return answer


def theme_of(request: Request) -> str:
    """Return what the viewer chose, light or dark; "" follows the system."""
    theme = request.cookies.get("headwater-theme", "")
    return theme if theme in {"light", "dark"} else ""
