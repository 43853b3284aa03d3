"""Who may see a page and who may change something: sessions, same origin, CSRF tokens.

A session is a signed cookie that names an API token; the token itself is not in it and is asked for on every request,
so that revoking the token ends the session at once.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from headwater.control.models import Caller, Role
from headwater.control.service import Control
from headwater.errors import ForbiddenError

SESSION_S: Final = 12 * 3600  # ours: a working day
_COOKIE: Final = "headwater"
_COOKIE_CHARS_MAX: Final = 2_000
_LOCAL: Final = "local"  # the token id of the machine's own command line, which no list holds
_DEMO: Final = "demo"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Session:
    """Who looks at the pages.

    Attributes:
        csrf: what every form of this session carries.
        is_new: the answer has to set its cookie.
    """

    caller: Caller
    csrf: str
    is_new: bool = False

    @property
    def may_change(self) -> bool:
        """Whether this session may change things and see write keys."""
        return self.caller.role.includes(Role.MEMBER)

    @property
    def may_own(self) -> bool:
        """Whether this session may do what only owners do: delete, and change secrets."""
        return self.caller.role.includes(Role.OWNER)


class Door:
    """Opens sessions and tells whose a request is.

    Args:
        control: knows the tokens.
        secret: signs the cookies.
        public_url: where `https://` makes cookies secure.
        open_access: no sign-in, every visitor is the owner; only a demo on loopback may set it.
    """

    def __init__(self, control: Control, secret: bytes, public_url: str, *, open_access: bool) -> None:
        self._control = control
        self._signer = URLSafeTimedSerializer(secret, salt="headwater.web.session")
        self._public = urlsplit(public_url)
        self.open_access = open_access

    def open(self, token: str) -> Session | None:
        """Return a session for an API token, None when the token is worth nothing."""
        caller = self._control.authenticate(token.strip())
        return None if caller is None else Session(caller, secrets.token_urlsafe(24), is_new=True)

    def session(self, request: Request) -> Session | None:
        """Return the session a request belongs to, None when it has to sign in."""
        stored = self._read(request)
        if stored is not None:
            caller = self._caller(str(stored.get("token")), str(stored.get("workspace")))
            if caller is not None:
                return Session(caller, str(stored.get("csrf")))
        if not self.open_access:
            return None
        workspace = self._control.workspaces.get()
        return Session(Caller(workspace.id, Role.OWNER, _DEMO, "demo"), secrets.token_urlsafe(24), is_new=True)

    def keep(self, request: Request, session: Session, answer: Response) -> None:
        """Set the session's cookie on an answer."""
        value = self._signer.dumps(
            {"token": session.caller.token_id, "workspace": session.caller.workspace_id, "csrf": session.csrf}
        )
        name, secure = self._cookie(request)
        answer.set_cookie(name, str(value), max_age=SESSION_S, secure=secure, httponly=True, samesite="lax")

    def forget(self, request: Request, answer: Response) -> None:
        """Take the session's cookie away."""
        name, secure = self._cookie(request)
        answer.delete_cookie(name, secure=secure, httponly=True, samesite="lax")

    def admit_host(self, request: Request) -> None:
        """Return when the request was sent to a name of ours.

        Without sign-in, any name that leads to loopback would open the pages to the website that made it (DNS
        rebinding), so only loopback's own names are served then.

        Raises:
            ForbiddenError: it was sent to another name.
        """
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        if self.open_access and host not in _LOOPBACK | {self._public.hostname}:
            raise ForbiddenError("This demo answers only at http://localhost.")

    def _caller(self, token_id: str, workspace_id: str) -> Caller | None:
        if token_id == _DEMO:
            return Caller(workspace_id, Role.OWNER, _DEMO, "demo") if self.open_access else None
        if token_id == _LOCAL:
            return Caller(workspace_id, Role.OWNER, _LOCAL, "command line")
        for token in self._control.tokens.all(workspace_id):
            if token.id == token_id:
                return Caller(workspace_id, token.role, token.id, token.name)
        return None

    def _read(self, request: Request) -> dict[str, Any] | None:
        value = request.cookies.get(self._cookie(request)[0], "")
        if not value or len(value) > _COOKIE_CHARS_MAX:
            return None
        try:
            stored = self._signer.loads(value, max_age=SESSION_S)
        except BadData:
            return None
        return stored if isinstance(stored, dict) else None

    def _cookie(self, request: Request) -> tuple[str, bool]:
        """Return the cookie's name and whether it is secure: bound to host and HTTPS where the visitor uses HTTPS."""
        reached_publicly = request.headers.get("host", "") == self._public.netloc
        secure = request.url.scheme == "https" or (self._public.scheme == "https" and reached_publicly)
        return (f"__Host-{_COOKIE}" if secure else _COOKIE), secure


def admit_same_origin(request: Request) -> None:
    """Return when a request comes from our own pages, or from no page at all.

    Our pages send no referrer, and browsers then call the origin of a form "null": that tells nothing either way, so
    `Sec-Fetch-Site` decides, and the form's token where a browser (on plain HTTP) sends neither.

    Raises:
        ForbiddenError: another site sent it.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")
    if site not in {"same-origin", "none"}:
        raise ForbiddenError("This request came from another site, so nothing was done.")
    if origin != "null" and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForbiddenError("This request came from another address than this page's, so nothing was done.")


def admit_form(session: Session, given: str) -> None:
    """Return when a form was made by this session.

    Raises:
        ForbiddenError: its token is missing, old or another session's.
    """
    if not hmac.compare_digest(session.csrf.encode(), given.encode("utf-8", "replace")):
        raise ForbiddenError("This form is from another session. Load the page again and send it once more.")


def own_path(target: str) -> str:
    """Return where to go after signing in: a path of ours, `/` for anything else."""
    parts = urlsplit(target)
    is_own = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if is_own and target.isprintable() and "\\" not in target else "/"
