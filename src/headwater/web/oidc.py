"""Signing in with the organisation's identity provider: the way there and the way back."""

from __future__ import annotations

import asyncio
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater.control.acting import Actor, Kind, acting
from headwater.control.people.models import Identity, User
from headwater.control.people.oidc import Begun, Provider
from headwater.errors import ForbiddenError, HeadwaterError, NotFoundError
from headwater.web.access import address_of, own_path
from headwater.web.rendering import HEADERS
from headwater.web.sign_in import let_in
from headwater.web.visit import Desk, refusal

_AWAY_S: Final = 10 * 60  # ours: how long somebody may take at the provider
_COOKIE: Final = "headwater-away"
_COOKIE_CHARS_MAX: Final = 2_000
_BACK: Final = "/sign-in/oidc/back"


def routes(desk: Desk, secret: bytes) -> list[Route]:
    """Return the routes of both ways; without a provider they lead nowhere.

    Args:
        desk: everything pages ask.
        secret: signs what the browser keeps while it is away.
    """
    away = Away(desk, URLSafeTimedSerializer(secret, salt="headwater.web.oidc"))
    return [Route("/sign-in/oidc", away.leave, methods=["GET"]), Route(_BACK, away.come_back, methods=["GET"])]


class Away:
    """Sends browsers to the provider and takes them back; the cookie between is bound to the browser and signed."""

    def __init__(self, desk: Desk, signer: URLSafeTimedSerializer) -> None:
        self._desk, self._signer = desk, signer

    async def leave(self, request: Request) -> Response:
        """Send the browser to the provider."""
        try:
            self._desk.door.admit_host(request)
            url, begun = await self._provider().begin(self._back)
        except HeadwaterError as error:
            return refusal(self._desk, request, error)
        target = own_path(request.query_params.get("next", "/"))
        kept = self._signer.dumps(
            {"state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier, "to": target}
        )
        answer = RedirectResponse(url, 303, HEADERS)
        name, secure = self._cookie(request)
        # Lax, not strict: the browser comes back from another site, and has to show it then.
        answer.set_cookie(name, str(kept), max_age=_AWAY_S, secure=secure, httponly=True, samesite="lax")
        return answer

    async def come_back(self, request: Request) -> Response:
        """Let in whom the provider vouches for."""
        try:
            self._desk.door.admit_host(request)
            begun, target = self._kept(request)
            identity = await self._provider().finish(begun, dict(request.query_params), self._back)
            user = await asyncio.to_thread(_user, self._desk, identity, address_of(request))
            answer = await let_in(self._desk, request, user, target)
        except HeadwaterError as error:
            answer = refusal(self._desk, request, error)
        name, secure = self._cookie(request)
        answer.delete_cookie(name, secure=secure, httponly=True, samesite="lax")
        return answer

    def _provider(self) -> Provider:
        if self._desk.provider is None:
            raise NotFoundError("No identity provider is set up here.")
        return self._desk.provider

    def _kept(self, request: Request) -> tuple[Begun, str]:
        value = request.cookies.get(self._cookie(request)[0], "")
        try:
            kept = self._signer.loads(value, max_age=_AWAY_S) if len(value) <= _COOKIE_CHARS_MAX else {}
            return Begun(kept["state"], kept["nonce"], kept["verifier"]), own_path(kept["to"])
        except (BadData, KeyError) as error:
            message = "This sign-in took longer than ten minutes or was begun in another browser. Begin again."
            raise ForbiddenError(message) from error

    @property
    def _back(self) -> str:
        """Where the provider sends the browser back to: the public address, which is registered with it."""
        return f"{self._desk.public_url.rstrip('/')}{_BACK}"

    def _cookie(self, request: Request) -> tuple[str, bool]:
        secure = self._desk.door.is_secure(request)
        return (f"__Host-{_COOKIE}" if secure else _COOKIE), secure


def _user(desk: Desk, identity: Identity, address: str) -> User:
    with acting(Actor(Kind.SYSTEM, name="Identity provider", email=identity.email, address=address)):
        return desk.control.credentials.by_identity(identity)
