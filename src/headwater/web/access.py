"""Who may see a page and who may change something: sessions, same origin, CSRF tokens.

The browser keeps 256 random bits in a cookie; the control database says whose session that is, on every request, so
that what is revoked ends at once.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from headwater.control.acting import Actor, Kind
from headwater.control.models import Caller, Role
from headwater.control.people.models import Session as Stored
from headwater.control.people.models import User
from headwater.control.people.sessions import LASTS
from headwater.control.service import Control
from headwater.control.tokens import LOCAL
from headwater.errors import ForbiddenError, NotFoundError

DEMO: Final = "demo"
"""Stands for the token of a visitor whom a demo lets in unasked."""

_COOKIE: Final = "headwater"
_SECRET_CHARS_MAX: Final = 100
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Session:
    """Who looks at the pages.

    Attributes:
        caller: what they may do in the workspace of the address.
        secret: what the browser keeps.
        stored: what is known of the session; None for a visitor of a demo.
        is_new: the answer has to set its cookie.
    """

    caller: Caller
    secret: str
    stored: Stored | None = None
    is_new: bool = False

    @property
    def csrf(self) -> str:
        """What every form of this session carries; nothing that helps to find the secret."""
        return hmac.new(self.secret.encode(), b"headwater form", sha256).hexdigest()

    @property
    def may_change(self) -> bool:
        """Whether this session may make, connect and change whatever is no secret."""
        return self.caller.role.includes(Role.MEMBER)

    def may_edit(self, source_id: str = "") -> bool:
        """Return whether this session may change a source and what is connected to it; "" is one yet to be made."""
        return self.caller.administers(source_id)

    @property
    def may_own(self) -> bool:
        """Whether this session may do what only owners do: delete, and change secrets."""
        return self.caller.role.includes(Role.OWNER)

    @property
    def is_person(self) -> bool:
        """Whether a person is signed in, and not whoever holds an API token."""
        return bool(self.caller.user_id)


class Door:
    """Opens sessions and tells whose a request is.

    Args:
        control: knows people, tokens and sessions.
        public_url: where `https://` makes cookies secure.
        open_access: no sign-in, every visitor is the owner; only a demo on loopback may set it.
    """

    def __init__(self, control: Control, public_url: str, *, open_access: bool) -> None:
        self._control = control
        self._public = urlsplit(public_url)
        self.open_access = open_access

    def open_for_token(self, token: str, request: Request) -> str | None:
        """Return what the browser keeps of a session for an API token, None when the token opens none.

        One that is narrowed by scopes is for the API: pages are not divided the same way.
        """
        caller = self._control.authenticate(token.strip())
        if caller is None or caller.scopes:
            return None
        self.end(request)
        where = address_of(request), request.headers.get("user-agent", "")
        return self._control.sessions.open_for_token(caller.token_id, caller.workspace_id, *where)[0]

    def open_for_user(self, user: User, request: Request) -> str:
        """Return what the browser keeps of a new session of a user; the one it had before ends."""
        self.end(request)
        return self._control.sessions.open(user.id, address_of(request), request.headers.get("user-agent", ""))[0]

    def end(self, request: Request) -> None:
        """End the session that the browser shows, if there is one."""
        stored = self._control.sessions.find(self._shown(request))
        if stored is not None:
            self._control.sessions.end(stored)

    def session(self, request: Request) -> Session | None:
        """Return the session a request belongs to, None when it has to sign in.

        Raises:
            NotFoundError: the address is of a workspace that is not theirs.
            ForbiddenError: they are in no workspace.
        """
        secret, slug = self._shown(request), request.path_params.get("workspace")
        stored = self._control.sessions.find(secret)
        if stored is not None:
            caller = self._caller(stored, slug)
            if caller is not None:
                return Session(caller, secret, stored)
        if not self.open_access:
            return None
        is_new = not 0 < len(secret) <= _SECRET_CHARS_MAX
        workspace = self._control.workspaces.get(slug) if slug else self._control.workspaces.get()
        caller = Caller(workspace.id, Role.OWNER, DEMO, "demo", is_operator=True)
        return Session(caller, secrets.token_urlsafe(32) if is_new else secret, is_new=is_new)

    def user_id(self, request: Request) -> str:
        """Return who is signed in, of whatever workspaces or none; "" for nobody and for a token."""
        stored = self._control.sessions.find(self._shown(request))
        return "" if stored is None else stored.user_id

    def is_open(self, session: Session) -> bool:
        """Return whether a session still stands: for answers that last, such as a stream."""
        if session.stored is None:
            return self.open_access
        stored = self._control.sessions.find(session.secret)
        if stored is None:
            return False
        slug = self._control.workspaces.get(session.caller.workspace_id).slug
        try:
            return self._caller(stored, slug) is not None
        except (NotFoundError, ForbiddenError):
            return False

    def keep(self, request: Request, secret: str, answer: Response) -> None:
        """Set the session's cookie on an answer."""
        name, secure = self._cookie(request)
        lasts_s = int(LASTS.total_seconds())
        answer.set_cookie(name, secret, max_age=lasts_s, secure=secure, httponly=True, samesite="lax")

    def forget(self, request: Request, answer: Response) -> None:
        """Take the session's cookie away."""
        name, secure = self._cookie(request)
        answer.delete_cookie(name, secure=secure, httponly=True, samesite="lax")

    def is_secure(self, request: Request) -> bool:
        """Return whether the visitor uses HTTPS, here or at the proxy in front."""
        reached_publicly = request.headers.get("host", "") == self._public.netloc
        return request.url.scheme == "https" or (self._public.scheme == "https" and reached_publicly)

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

    def _caller(self, stored: Stored, slug: str | None) -> Caller | None:
        """Return what a session may do in the workspace of an address, `slug` None for an address without one."""
        if stored.user_id:
            return self._member(stored, slug)
        if stored.token_id == LOCAL:
            known = {each.id: each.slug for each in self._control.workspaces.all()}
            workspace = self._control.workspaces.get(slug or known.get(stored.workspace_id) or next(iter(known)))
            self._control.sessions.visited(stored, workspace.id)
            return Caller(workspace.id, Role.OWNER, LOCAL, "command line", is_operator=True)
        return self._control.tokens.caller(stored.token_id)

    def _member(self, stored: Stored, slug: str | None) -> Caller | None:
        """Return what a user may do: in the workspace of the address, else where they were last, else where first."""
        places = self._control.users.memberships_of(stored.user_id)
        if not places:
            if self._control.users.find(stored.user_id) is None:
                return None
            raise ForbiddenError("You are in no workspace any more. Ask an owner for an invitation.")
        wanted = self._control.workspaces.get(slug).id if slug else stored.workspace_id
        here = [each for each in places if each.workspace_id == wanted] or ([] if slug else places)
        if not here:
            raise NotFoundError(f"There is no workspace {str(slug)[:60]!r}.")
        place, user = here[0], here[0].user
        self._control.sessions.visited(stored, place.workspace_id)
        return Caller(
            place.workspace_id,
            place.role,
            stored.id,
            user.name,
            user_id=user.id,
            email=user.email,
            source_ids=place.source_ids,
            is_operator=user.is_operator,
        )

    def _shown(self, request: Request) -> str:
        return request.cookies.get(self._cookie(request)[0], "")

    def _cookie(self, request: Request) -> tuple[str, bool]:
        """Return the cookie's name and whether it is secure: bound to host and HTTPS where the visitor uses HTTPS."""
        secure = self.is_secure(request)
        return (f"__Host-{_COOKIE}" if secure else _COOKIE), secure


def address_of(request: Request) -> str:
    """Return where a request comes from, "" where that is not known."""
    return request.client.host if request.client else ""


def actor_of(caller: Caller, address: str) -> Actor:
    """Return who acts when this caller changes something."""
    if caller.user_id:
        return Actor(Kind.USER, caller.user_id, caller.name, caller.email, address, caller.workspace_id)
    if caller.token_id in {LOCAL, DEMO}:
        return Actor(Kind.COMMAND, "", caller.name, address=address, workspace_id=caller.workspace_id)
    return Actor(Kind.TOKEN, caller.token_id, caller.name, address=address, workspace_id=caller.workspace_id)


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
