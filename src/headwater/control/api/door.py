"""The one way into the Public API: who asks, may they, is the request well formed; only then the operation runs.

Deny by default: a path exists only through `Door`, every operation names the role it needs, and nothing is told about
a path before the token is accepted.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.exc import OperationalError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headwater import errors
from headwater.control.acting import Actor, acting
from headwater.control.acting import Kind as ActorKind
from headwater.control.models import Caller, Role
from headwater.control.tokens import LOCAL
from headwater.errors import HeadwaterError, InvalidRequestError
from headwater.limits import KIB

BODY_BYTES_MAX: Final = 256 * KIB  # ours: far above any configuration
PLAIN: Final = "application/json"
SEGMENT: Final = re.compile(r"application/vnd\.segment\.v1(alpha|beta)?\+json")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(?P<field>.*?)`")
_AT: Final = re.compile(r" - at `\$\.?(?P<field>.*?)`$")
TRIAL: Final = 10
"""The cost of an operation that asks another service, or a warehouse."""
_log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_FAMILY: Final = {"destination": "destinations", "query": "queries", "replay": "replays", "sync": "syncs"}
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})

# What an error of ours means to the caller: HTTP status and `type`.
_MEANING: Final[tuple[tuple[type[HeadwaterError], int, str], ...]] = (
    (errors.NotFoundError, 404, "not_found"),
    (errors.ConflictError, 409, "conflict"),
    (errors.ForbiddenError, 403, "forbidden"),
    (errors.ForbiddenUrlError, 422, "forbidden_url"),
    (errors.InvalidRequestError, 422, "invalid_field"),
    (errors.QueryError, 422, "query_failed"),
    (errors.LogOverloadedError, 429, "overloaded"),
    (errors.UnauthorizedError, 422, "credentials_refused"),
    (errors.HeadwaterError, 503, "unavailable"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was let in: everything an operation may know of it."""

    caller: Caller
    method: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    body: Any = None

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number of the query.

        Raises:
            InvalidRequestError: it is no number, or outside the bounds.
        """
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise InvalidRequestError(f"{name} is a whole number from {least} to {most}", field=name)
        return int(text)


Answer = Mapping[str, Any] | Response
"""What an operation gives back: the value of `data`, or a finished response (a stream)."""

Run = Callable[[Asked], Answer] | Callable[[Asked], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Query:
    """One parameter of an operation's query, as its description names it; the operation itself judges the value.

    Attributes:
        schema: JSON Schema of the value.
    """

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; the first line of the docstring of `run` is its summary.

    Attributes:
        role: the least that is needed; SOURCE_ADMIN means "who administers the source in the path".
        run: a plain function (it may block: it gets a thread) or an async one.
        body: the strict model of the request's JSON; None where there is none.
        answer: the model of `data`: a Struct or TypedDict; None where the answer is no JSON.
        query: what its query may hold; `paged` says that it takes `pagination`, too.
        files: other media types that it can answer with.
        cost: how many requests it counts as; TRIAL for what keeps others busy.
        volatile: members of what a GET shows that change by themselves: they are no part of its ETag.
    """

    method: str
    path: str
    role: Role
    run: Run
    body: type[msgspec.Struct] | None = None
    status: int = 200
    answer: Any = None
    query: tuple[Query, ...] = ()
    paged: bool = False
    files: tuple[str, ...] = ()
    cost: int = 1
    volatile: tuple[str, ...] = ()

    @property
    def scope(self) -> str:
        """What a token's scopes call it: the family, and whether it reads or writes.

        The family is the first word of the path; Segment's paths have some of them in the singular. A question that
        is asked by POST reads, too: its role tells.
        """
        word = self.path.strip("/").partition("/")[0] or "workspace"
        reads = self.method == "GET" or self.role is Role.READ_ONLY
        return f"{_FAMILY.get(word, word)}:{'read' if reads else 'write'}"


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake of ours
    """Ends a request with this status and error."""

    def __init__(self, status: int, kind: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.field = status, kind, message, field


class Door:
    """The ASGI app of one path; answers every method itself, so that nothing is told without a token."""

    def __init__(
        self,
        operations: Iterable[Operation],
        authenticate: Callable[[str], Caller | None],
        source_of: Callable[[str, Mapping[str, str]], str],
    ) -> None:
        """Take the operations, what tells whose a token is, and which source of a workspace a path is about."""
        self.operations = {operation.method: operation for operation in operations}
        self._authenticate, self._source_of = authenticate, source_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        media_type = _media_type(request)
        try:
            response = await self._answer(request, media_type)
        except Refusal as refusal:
            response = _refused(refusal, media_type)
        except HeadwaterError as error:
            response = _refused(_refusal(error), media_type)
        except OperationalError:  # locked for longer than we wait, or the disk is full
            busy = Refusal(503, "unavailable", "The configuration cannot be read or changed now; try again.")
            response = _refused(busy, media_type)
        except Exception:  # noqa: BLE001 - the outermost place of a request: a defect of ours is logged, not shown
            _log.exception("api.failed", method=request.method)
            failure = Refusal(500, "internal", "Headwater could not do it; this is a defect, its log says more.")
            response = _refused(failure, media_type)
        response.headers["cache-control"] = "no-store"
        response.headers["x-content-type-options"] = "nosniff"
        await response(scope, receive, send)

    async def _answer(self, request: Request, media_type: str) -> Response:
        caller = await self._caller(request)
        operation = self._operation(request)
        await self._admit(caller, operation, request)
        body = await _body(request, operation) if request.method in _BODY_METHODS else None
        asked = Asked(caller, request.method, request.path_params, request.query_params, request.headers, body)
        with acting(_actor(caller, request)):
            data = await _run(operation.run, asked)
        if isinstance(data, Response):
            return data
        return Response(_encode({"data": data}), operation.status, media_type=media_type)

    async def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = None
        if scheme.lower() == "bearer" and token:
            caller = await asyncio.to_thread(self._authenticate, token.strip())
        if caller is None:
            message = "A valid token is needed: Authorization: Bearer TOKEN (`headwater token create` makes one)."
            raise Refusal(401, "unauthorized", message)
        return caller

    async def _admit(self, caller: Caller, operation: Operation, request: Request) -> None:
        source_id = ""
        if caller.role is operation.role is Role.SOURCE_ADMIN:  # the only pair that hangs on the source
            source_id = await asyncio.to_thread(self._source_of, caller.workspace_id, request.path_params)
        if not caller.may(operation.role, operation.scope, source_id):
            raise Refusal(403, "forbidden", _missing_right(caller, operation))

    def _operation(self, request: Request) -> Operation:
        if not self.operations:
            raise Refusal(404, "not_found", "There is nothing at this address.")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in self.operations:
            allowed = ", ".join(sorted(self.operations))
            raise Refusal(405, "method_not_allowed", f"This address takes {allowed}.")
        return self.operations[method]


def _missing_right(caller: Caller, operation: Operation) -> str:
    if caller.role.includes(operation.role) and not caller.may(Role.READ_ONLY, operation.scope):
        return f"This needs the scope {operation.scope}; the token has {', '.join(sorted(caller.scopes))}."
    if caller.role is operation.role is Role.SOURCE_ADMIN:
        return "This needs the rights of a source admin for this source; an owner can give them."
    return f"This needs the role {operation.role}; the token has {caller.role}."


def _actor(caller: Caller, request: Request) -> Actor:
    address = request.client.host if request.client else ""
    if caller.user_id:
        return Actor(ActorKind.USER, caller.user_id, caller.name, caller.email, address)
    if caller.token_id == LOCAL:
        return Actor(ActorKind.COMMAND, "", caller.name, address=address)
    return Actor(ActorKind.TOKEN, caller.token_id, caller.name, address=address)


async def _run(run: Run, asked: Asked) -> Answer:
    if inspect.iscoroutinefunction(run):
        found: Answer = await run(asked)
        return found
    return await asyncio.to_thread(run, asked)  # type: ignore[arg-type] # the coroutine functions are gone


def _media_type(request: Request) -> str:
    """Return Segment's media type to those who ask for it by name, plain JSON to everybody else."""
    accepted = request.headers.get("accept", "")
    if PLAIN in accepted:
        return PLAIN
    found = SEGMENT.search(accepted)
    return found.group() if found else PLAIN


async def _body(request: Request, operation: Operation) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind != PLAIN and not SEGMENT.fullmatch(kind):
        raise Refusal(415, "unsupported_media_type", f"Send {PLAIN}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_media_type", "Send the body uncompressed.")
    raw = await _read(request)
    if operation.body is None:
        if raw.strip() not in {b"", b"{}", b"null"}:
            raise Refusal(422, "unknown_field", "This address takes no body.")
        return None
    if not kind:
        raise Refusal(415, "unsupported_media_type", f"Say Content-Type: {PLAIN}.")
    return _decoded(raw, operation.body)


async def _read(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise Refusal(413, "too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            raise Refusal(413, "too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
    return bytes(raw)


def _decoded(raw: bytes, model: type[msgspec.Struct]) -> Any:
    try:
        decoded = msgspec.json.decode(raw, type=model)
        json.loads(raw, object_pairs_hook=_once)  # msgspec lets the last of two equal members win
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "malformed_json", f"The body is no JSON: {error}") from None
    except RecursionError:
        raise Refusal(422, "invalid_field", "The body is nested too deeply.") from None
    return decoded


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(422, "invalid_field", f"{twice[:60]!r} is there twice", twice[:60])


def _invalid(message: str) -> Refusal:
    at = _AT.search(message)
    where = at.group("field") if at else ""
    if unknown := _UNKNOWN_FIELD.search(message):
        field = f"{where}.{unknown.group('field')}".strip(".")[:60]
        return Refusal(422, "unknown_field", f"{field!r} is not known here", field)
    if missing := re.search(r"missing required field `(?P<field>.*?)`", message):
        field = f"{where}.{missing.group('field')}".strip(".")
        return Refusal(422, "invalid_field", f"{field} is required", field)
    return Refusal(422, "invalid_field", message, where[:60])


def _refusal(error: HeadwaterError) -> Refusal:
    status, kind = next((status, kind) for family, status, kind in _MEANING if isinstance(error, family))
    return Refusal(status, kind, str(error), getattr(error, "field", ""))


def _refused(refusal: Refusal, media_type: str) -> Response:
    told: dict[str, Any] = {"type": refusal.kind, "message": refusal.message, "status": refusal.status}
    if refusal.field:
        told["field"] = refusal.field
    response = Response(msgspec.json.encode({"errors": [told]}), refusal.status, media_type=media_type)
    if refusal.status == 401:  # noqa: PLR2004 - RFC 9110: a 401 names the scheme
        response.headers["www-authenticate"] = "Bearer"
    if refusal.status in {429, 503}:
        response.headers["retry-after"] = "1"
    return response
