"""Signing in at the organisation's identity provider: OpenID Connect, authorization code with PKCE.

Rules: OpenID Connect Core 1.0 section 3.1, Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from headwater.clock import Clock
from headwater.control.people.models import Identity
from headwater.errors import DeliveryError, ForbiddenError, RequestError
from headwater.outgoing import Answer, Http

_Model = TypeVar("_Model")
# Signed with the provider's private key; never "none", and no shared secret that could be taken for a key.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KEPT_FOR: Final = timedelta(hours=1)  # ours: how long the provider's description and keys are taken as they were
_AGAIN_AFTER: Final = timedelta(minutes=1)  # ours: how soon its keys are asked for again when one is not among them
_FAILED_FOR: Final = timedelta(seconds=5)  # ours: how long a provider that is away is left alone
_LEEWAY_S: Final = 60  # between its clock and ours
_CHARS_MAX: Final = 20_000  # of a code or a token
_SUBJECT_CHARS_MAX: Final = 255  # OpenID Connect Core, section 2: `sub`
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Registration:
    """What the operator set: how this installation is known to the provider.

    Attributes:
        issuer: the provider's address, exactly as it names itself.
        allowed_domains: of e-mail addresses; whoever has one of them comes in without an invitation.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    allowed_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """What a browser keeps while it is at the provider, and what its return is held against."""

    state: str
    nonce: str
    verifier: str


class _Described(msgspec.Struct):
    """The members of the provider's description that are used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=lambda: ["client_secret_basic"])


class _Tokens(msgspec.Struct):
    id_token: str


@dataclass(frozen=True, slots=True)
class _Known:
    described: _Described
    keys: KeySet
    asked_at: datetime


class Provider:
    """The identity provider.

    Args:
        registration: as the operator set it.
        http: the guarded client.
        clock: judges the tokens' times.
    """

    def __init__(self, registration: Registration, http: Http, clock: Clock) -> None:
        self._own, self._http, self._clock = registration, http, clock
        self._known: _Known | None = None
        self._failed: tuple[RequestError, datetime] | None = None
        self._asking = asyncio.Lock()

    async def begin(self, redirect_uri: str) -> tuple[str, Begun]:
        """Return the provider's address where the browser goes, and what it keeps meanwhile.

        Raises:
            RequestError: 503, the provider does not answer as one.
        """
        known = await self._provider()
        begun = Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        challenge = base64.urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._own.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email profile",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        at = known.described.authorization_endpoint
        return f"{at}{'&' if '?' in at else '?'}{urlencode(query)}", begun

    async def finish(self, begun: Begun, answer: dict[str, str], redirect_uri: str) -> Identity:
        """Return who came back from the provider.

        Args:
            begun: what the browser kept.
            answer: the query it came back with.
            redirect_uri: where it was sent back to, as it was told at the beginning.

        Raises:
            ForbiddenError: the provider refused, or what it sent cannot be trusted.
            RequestError: 503, the provider does not answer as one.
        """
        if not secrets.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise ForbiddenError("This sign-in was begun somewhere else. Begin again on the sign-in page.")
        if answer.get("iss", self._own.issuer) != self._own.issuer:
            raise ForbiddenError("Another provider answered than the one that was asked. Begin again.")
        code = answer.get("code", "")
        if not 0 < len(code) <= _CHARS_MAX:
            raise ForbiddenError("Your organisation did not sign you in. Begin again, or ask who runs it.")
        known = await self._provider()
        token = await self._exchange(known.described, code, begun.verifier, redirect_uri)
        return self._identity(await self._claims(token, known), begun.nonce)

    async def _exchange(self, described: _Described, code: str, verifier: str, redirect_uri: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        form |= {"code_verifier": verifier}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if "client_secret_basic" in described.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(self._own.client_id)}:{quote_plus(self._own.client_secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._own.client_id, "client_secret": self._own.client_secret}
        answer = await self._ask("POST", described.token_endpoint, urlencode(form).encode(), headers)
        if answer.status != _OK:
            raise ForbiddenError("Your organisation did not confirm this sign-in. Begin again on the sign-in page.")
        return _decoded(answer, _Tokens).id_token

    async def _claims(self, token: str, known: _Known) -> dict[str, Any]:
        """Return what an id token says, once its signature is checked.

        The provider may have changed its keys since they were read, so an unknown one is looked for once more.
        """
        try:
            return self._verified(token, known.keys)
        except (JoseError, ValueError, KeyError):
            if self._clock() - known.asked_at < _AGAIN_AFTER:
                raise _untrusted() from None
        try:
            return self._verified(token, (await self._provider(anew=True)).keys)
        except (JoseError, ValueError, KeyError) as error:
            raise _untrusted() from error

    def _verified(self, token: str, keys: KeySet) -> dict[str, Any]:
        if len(token) > _CHARS_MAX:
            raise ValueError("too long")
        claims = jwt.decode(token, keys, algorithms=list(_ALGORITHMS)).claims
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._own.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self._own.client_id},
            exp={"essential": True},
            iat={"essential": True},
        )
        rules.validate(claims)
        return claims

    def _identity(self, claims: dict[str, Any], nonce: str) -> Identity:
        given, subject, email = (claims.get(name) for name in ("nonce", "sub", "email"))
        parties = claims.get("azp", self._own.client_id)
        if not isinstance(given, str) or not secrets.compare_digest(given.encode(), nonce.encode()):
            raise _untrusted()
        if parties != self._own.client_id or not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_CHARS_MAX:
            raise _untrusted()
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise ForbiddenError("Your organisation has not verified your e-mail address, so nobody was signed in.")
        name = claims.get("name")
        domain = email.strip().rpartition("@")[2].lower()
        return Identity(
            subject=f"{self._own.issuer} {subject}",
            email=email,
            name=name if isinstance(name, str) and name.strip() else email.partition("@")[0],
            may_join=domain in self._own.allowed_domains,
        )

    async def _provider(self, *, anew: bool = False) -> _Known:
        """Return what is known of the provider; whoever opens the sign-in page on and on does not ask it each time.

        Raises:
            RequestError: 503, it does not answer as a provider, or did not a moment ago.
        """
        async with self._asking:
            now = self._clock()
            if self._known is not None and now - self._known.asked_at < (_AGAIN_AFTER if anew else _KEPT_FOR):
                return self._known
            if self._failed is not None and now - self._failed[1] < _FAILED_FOR:
                raise self._failed[0]
            try:
                self._known = await self._described(now)
            except RequestError as error:
                self._failed = error, now
                raise
            return self._known

    async def _described(self, now: datetime) -> _Known:
        at = f"{self._own.issuer.rstrip('/')}/.well-known/openid-configuration"
        described = _decoded(await self._ask("GET", at), _Described)
        if described.issuer != self._own.issuer:
            raise _no_provider("it names itself differently; set OIDC_ISSUER to exactly what it says")
        found = _decoded(await self._ask("GET", described.jwks_uri), dict)
        try:
            return _Known(described, KeySet.import_key_set(found), now)  # type: ignore[arg-type] # the library judges it
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _no_provider("its keys cannot be read") from error

    async def _ask(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        try:
            return await self._http.request(method, url, body=body, headers=headers)
        except DeliveryError as error:
            raise _no_provider(str(error).rstrip(".")) from error


def _decoded(answer: Answer, model: type[_Model]) -> _Model:
    if answer.status != _OK or answer.cut:
        raise _no_provider(f"it answered {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=model)
    except msgspec.DecodeError as error:
        raise _no_provider("its answer is not what OpenID Connect says") from error


def _untrusted() -> ForbiddenError:
    return ForbiddenError("What your organisation sent cannot be trusted, so nobody was signed in. Begin again.")


def _no_provider(why: str) -> RequestError:
    message = f"Your organisation's sign-in cannot be used now: {why}. Sign in with a password, or try again."
    return RequestError(503, "provider_unavailable", message, retry_after_s=10)
