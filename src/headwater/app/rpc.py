"""How one role asks another: a method call as a POST on loopback, with a token that only this installation can make.

The callee serves the public async methods of one object; arguments and results are JSON. Errors come back as the same
class, so a caller cannot tell a neighbour process from a neighbour object.
"""

from __future__ import annotations

import hmac
import inspect
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater import config, errors
from headwater.errors import HeadwaterError, LogUnavailableError

_DEADLINE_S: Final = 600.0  # a first sync of a long history is one call


def internal_token(data_dir: Path) -> str:
    """Return the token that the roles of one installation show each other; made when it is first asked for.

    It is no part of SECRET_KEY, so that a rotation interrupts nobody: a key of its own in `run`, which only the owner
    of the data directory can read, and which is worth nothing on another machine.
    """
    path = data_dir / "run" / "internal.key"
    if not path.exists():
        config.write_keys(path, [secrets.token_hex(32).encode()])
    return path.read_text().strip()


def serving(target: object, token: str) -> Starlette:
    """Return an ASGI app that serves the public async methods of `target` at `POST /internal/{method}`."""

    async def call(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("authorization", ""), f"Bearer {token}"):
            return Response(status_code=404)
        name = request.path_params["method"]
        method = None if name.startswith("_") else getattr(type(target), name, None)
        if not inspect.iscoroutinefunction(method):
            return Response(status_code=404)
        try:
            result = await method(target, **msgspec.json.decode(await request.body()))
        except HeadwaterError as error:
            failure = {"error": type(error).__name__, "message": str(error), "field": getattr(error, "field", "")}
            return Response(msgspec.json.encode(failure), status_code=409, media_type="application/json")
        return Response(msgspec.json.encode(result), media_type="application/json")

    return Starlette(routes=[Route("/internal/{method}", call, methods=["POST"])])


class Caller:
    """Calls the methods of another role; `method(name, **arguments)` awaits its result."""

    def __init__(self, url: str, token: str, *, who: str) -> None:
        self._url, self._token, self._who = url, token, who
        self._session: aiohttp.ClientSession | None = None

    async def method(self, name: str, **arguments: Any) -> Any:
        """Return what the other role's method returned.

        Raises:
            HeadwaterError: the same class as there; `LogUnavailableError` when the role does not answer.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"authorization": f"Bearer {self._token}"},
                timeout=aiohttp.ClientTimeout(total=_DEADLINE_S, connect=5),
            )
        try:
            async with self._session.post(
                f"{self._url}/internal/{name}", data=msgspec.json.encode(arguments)
            ) as answer:
                body, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LogUnavailableError(f"The {self._who} does not answer yet; try again in a moment.") from error
        if status == 200:  # noqa: PLR2004 - HTTP OK
            return msgspec.json.decode(body)
        raise _failure(body, self._who)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class Remote:
    """Stands in for an object of another role: every method of the contract becomes a call."""

    def __init__(self, contract: type, caller: Caller) -> None:
        self._contract, self._caller = contract, caller

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        signature = inspect.signature(getattr(self._contract, name))

        def call(*values: Any, **named: Any) -> Awaitable[Any]:
            arguments = signature.bind(self, *values, **named).arguments
            return self._caller.method(name, **{each: arguments[each] for each in list(arguments)[1:]})

        return call


def _failure(body: bytes, who: str) -> HeadwaterError:
    try:
        told = msgspec.json.decode(body)
        kind = getattr(errors, told["error"])
        is_field_named = issubclass(kind, errors.InvalidRequestError)
        made = kind(told["message"], field=told["field"]) if is_field_named else kind(told["message"])
    except (msgspec.DecodeError, KeyError, AttributeError, TypeError):
        return LogUnavailableError(f"The {who} could not do it; its log says why.")
    assert isinstance(made, HeadwaterError)  # noqa: S101 - checks our own work
    return made
