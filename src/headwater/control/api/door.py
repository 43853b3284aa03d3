"""The one way into the Public API: who asks, may they, is the request well formed; only then the operation runs.

Deny by default: a path exists only through `Door`, every operation names the role it needs, and nothing is told about
a path before the token is accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

import msgspec
import structlog
from sqlalchemy.exc import OperationalError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headwater.control.acting import Actor, acting
from headwater.control.acting import Kind as ActorKind
from headwater.control.api import bodies, conditions, refusing
from headwater.control.api.rates import LOCAL_FACTOR, Pace, Rates
from headwater.control.api.refusing import Refusal
from headwater.control.intent import Intent, meaning
from headwater.control.models import Caller, Role
from headwater.control.requests.repeats import Given, Key, Repeats
from headwater.control.tokens import LOCAL
from headwater.errors import HeadwaterError, InvalidRequestError, NotFoundError, StaleError

TRIAL: Final = 10
"""The cost of an operation that asks another service, or a warehouse."""
WORKSPACE: Final = "headwater-workspace"
"""The header that names the workspace a local token is meant for, by slug; other tokens have one of their own."""
_log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_FAMILY: Final = {
    "destination": "destinations",
    "query": "queries",
    "replay": "replays",
    "schema-controls": "sources",
    "sync": "syncs",
}
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_SHOWING: Final = frozenset({"GET", "PUT", "PATCH"})  # what they answer is what is there now
_LOOKS_MAX: Final = 5  # ours: so often a condition is looked at again when something else has changed meanwhile


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was let in: everything an operation may know of it."""

    caller: Caller
    method: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    body: Any = None

    def text(self, name: str) -> str | None:
        """Return a parameter of the query, None where it is missing; `a.b` may be written `a[b]`, as Segment does."""
        outer, _, inner = name.partition(".")
        found = self.query.get(name)
        return self.query.get(f"{outer}[{inner}]") if found is None and inner else found

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number of the query.

        Raises:
            InvalidRequestError: it is no number, or outside the bounds.
        """
        text = self.text(name)
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
        body_bytes_max: of the request.
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
    body_bytes_max: int = bodies.BODY_BYTES_MAX

    @property
    def scope(self) -> str:
        """What a token's scopes call it: the family, and whether it reads or writes.

        The family is the first word of the path; Segment's paths have some of them in the singular. A question that
        is asked by POST reads, too: its role tells.
        """
        word = self.path.strip("/").partition("/")[0] or "workspace"
        reads = self.method == "GET" or self.role is Role.READ_ONLY
        return f"{_FAMILY.get(word, word)}:{'read' if reads else 'write'}"


@dataclass(frozen=True, slots=True)
class Lobby:
    """What all doors share.

    Attributes:
        authenticate: tells whose a token is, None for nobody's; the second is the workspace that a request names.
        source_of: tells which source of a workspace a path is about, "" for none.
        version: of the configuration.
        repeats: answers by idempotency key.
        rates: buckets of tokens.
        guesses: buckets of addresses whose tokens are refused.
    """

    authenticate: Callable[[str, str], Caller | None]
    source_of: Callable[[str, Mapping[str, str]], str]
    version: Callable[[], int]
    repeats: Repeats
    rates: Rates
    guesses: Rates


class Door:
    """The ASGI app of one path; answers every method itself, so that nothing is told without a token."""

    def __init__(self, operations: Iterable[Operation], lobby: Lobby) -> None:
        self.operations = {operation.method: operation for operation in operations}
        self._lobby = lobby

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await _settled(self._answer(request), request)
        response.headers["cache-control"] = "no-store"
        response.headers["x-content-type-options"] = "nosniff"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        caller = await self._caller(request)
        asked_for = self.operations.get(_method(request))
        factor = LOCAL_FACTOR if caller.token_id == LOCAL else 1
        who = f"{caller.workspace_id} {caller.token_id}"
        pace = self._lobby.rates.spend(who, asked_for.cost if asked_for else 1, factor)
        answering = _too_fast(pace) if pace.wait_s else self._serve(caller, request)
        response = await _settled(answering, request)
        response.headers.update(pace.headers())
        return response

    async def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = None
        if scheme.lower() == "bearer" and token:
            wanted = request.headers.get(WORKSPACE, "")
            try:
                caller = await asyncio.to_thread(self._lobby.authenticate, token.strip(), wanted)
            except NotFoundError as error:
                raise Refusal(401, "unknown_workspace", str(error)) from error
        if caller is None:
            pace = self._lobby.guesses.spend(_address(request))
            if pace.wait_s:
                return await _too_fast(pace)
            message = "A valid token is needed: Authorization: Bearer TOKEN (`headwater token create` makes one)."
            raise Refusal(401, "unauthorized", message)
        return caller

    async def _serve(self, caller: Caller, request: Request) -> Response:
        operation = self._operation(request)
        await self._admit(caller, operation, request)
        raw, body = b"", None
        if request.method in _BODY_METHODS:
            raw = await bodies.read(request, operation.body_bytes_max)
            body = bodies.decoded(request, raw, operation.body)
        asked = Asked(caller, request.method, request.path_params, request.query_params, request.headers, body)
        with acting(_actor(caller, request)):
            if operation.method == "GET":
                return await self._carry_out(operation, asked, Intent())
            target = f"{request.url.path}?{request.url.query}"
            key = conditions.key_of(request.headers, caller, operation.method, target, raw)
            if key is None:
                return await self._carry_out(operation, asked, Intent())
            return await self._once(key, operation, asked, request)

    async def _once(self, key: Key, operation: Operation, asked: Asked, request: Request) -> Response:
        """Return what was answered to this key, or carry the request out and keep its answer."""
        repeats, intent = self._lobby.repeats, Intent()
        given = await asyncio.to_thread(repeats.begin, key)
        if given is not None:
            kind = _media_type(request.headers)
            return Response(given.body, given.status, {"idempotent-replayed": "true"}, kind)
        try:
            response = await _settled(self._carry_out(operation, asked, intent), request)
        except BaseException:  # the server stops: whether it was done is not known
            repeats.leave(key)
            raise
        if response.status_code >= 500 and (intent.changes or response.status_code == 500):  # noqa: PLR2004 - HTTP
            repeats.leave(key)
            return response
        is_done = response.status_code < 300 and type(response) is Response  # noqa: PLR2004 - HTTP
        kept = Given(response.status_code, bytes(response.body)) if is_done else None
        try:
            await asyncio.to_thread(repeats.end, key, kept)
        except OperationalError:  # it is done all the same; the same key is told that its end is unknown
            _log.warning("api.answer_not_kept", method=request.method)
        return response

    async def _carry_out(self, operation: Operation, asked: Asked, intent: Intent) -> Response:
        tags = frozenset[str]() if operation.method == "GET" else conditions.wanted_tags(asked.headers)
        if tags:
            data = await self._change(operation, asked, intent, tags)
        else:
            with meaning(intent):
                data = await _run(operation.run, asked)
        if isinstance(data, Response):
            return data
        response = Response(_encode({"data": data}), operation.status, media_type=_media_type(asked.headers))
        shown = self._shown()
        if shown is not None and operation.answer is shown.answer and operation.method in _SHOWING:
            response.headers["etag"] = conditions.etag(data, shown.volatile)
        return response

    async def _change(self, operation: Operation, asked: Asked, intent: Intent, tags: frozenset[str]) -> Answer:
        """Carry out what is meant for one state, and only for that: whoever changes it meanwhile was first."""
        shown = self._shown()
        if shown is None:
            raise Refusal(412, "precondition_failed", "Nothing here has an ETag; leave If-Match out.", "If-Match")
        for _ in range(_LOOKS_MAX):
            version = await asyncio.to_thread(self._lobby.version)
            seen = await _run(shown.run, replace(asked, method="GET", body=None))
            if isinstance(seen, Response) or not conditions.matches(conditions.etag(seen, shown.volatile), tags):
                told = "It was changed since you read it; nothing is done. GET it again, and send its new ETag."
                raise Refusal(412, "precondition_failed", told, "If-Match")
            intent.version = version
            with contextlib.suppress(StaleError), meaning(intent):
                return await _run(operation.run, asked)
        raise Refusal(503, "unavailable", "The configuration is being changed all the time; try again.")

    def _shown(self) -> Operation | None:
        """Return what shows the one thing at this address, None where there is no such thing."""
        shown = self.operations.get("GET")
        return None if shown is None or shown.paged or shown.answer is None else shown

    async def _admit(self, caller: Caller, operation: Operation, request: Request) -> None:
        source_id = ""
        if caller.role is operation.role is Role.SOURCE_ADMIN:  # the only pair that hangs on the source
            source_of = self._lobby.source_of
            source_id = await asyncio.to_thread(source_of, caller.workspace_id, request.path_params)
        if not caller.may(operation.role, operation.scope, source_id):
            raise Refusal(403, "forbidden", _missing_right(caller, operation))

    def _operation(self, request: Request) -> Operation:
        if not self.operations:
            raise Refusal(404, "not_found", "There is nothing at this address.")
        method = _method(request)
        if method not in self.operations:
            allowed = ", ".join(sorted(self.operations))
            raise Refusal(405, "method_not_allowed", f"This address takes {allowed}.")
        return self.operations[method]


async def _settled(answering: Awaitable[Response], request: Request) -> Response:
    """Return the answer, or the refusal that an error means."""
    try:
        return await answering
    except Refusal as refusal:
        told = refusal
    except HeadwaterError as error:
        told = refusing.refusal(error)
    except OperationalError:  # locked for longer than we wait, or the disk is full
        told = Refusal(503, "unavailable", "The configuration cannot be read or changed now; try again.")
    except Exception:  # noqa: BLE001 - the outermost place of a request: a defect of ours is logged, not shown
        _log.exception("api.failed", method=request.method)
        told = Refusal(500, "internal", "Headwater could not do it; this is a defect, its log says more.")
    return refusing.refused(told, _media_type(request.headers))


async def _too_fast(pace: Pace) -> NoReturn:
    told = "Too many requests; wait as long as Retry-After says."
    raise Refusal(429, "too_many_requests", told, after_s=pace.wait_s)


def _method(request: Request) -> str:
    return "GET" if request.method == "HEAD" else request.method


def _missing_right(caller: Caller, operation: Operation) -> str:
    if caller.role.includes(operation.role) and not caller.may(Role.READ_ONLY, operation.scope):
        return f"This needs the scope {operation.scope}; the token has {', '.join(sorted(caller.scopes))}."
    if caller.role is operation.role is Role.SOURCE_ADMIN:
        return "This needs the rights of a source admin for this source; an owner can give them."
    return f"This needs the role {operation.role}; the token has {caller.role}."


def _actor(caller: Caller, request: Request) -> Actor:
    address = _address(request)
    if caller.user_id:
        return Actor(ActorKind.USER, caller.user_id, caller.name, caller.email, address, caller.workspace_id)
    if caller.token_id == LOCAL:
        return Actor(ActorKind.COMMAND, "", caller.name, address=address, workspace_id=caller.workspace_id)
    return Actor(ActorKind.TOKEN, caller.token_id, caller.name, address=address, workspace_id=caller.workspace_id)


async def _run(run: Run, asked: Asked) -> Answer:
    if inspect.iscoroutinefunction(run):
        found: Answer = await run(asked)
        return found
    return await asyncio.to_thread(run, asked)  # type: ignore[arg-type] # the coroutine functions are gone


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _media_type(headers: Mapping[str, str]) -> str:
    """Return Segment's media type to those who ask for it by name, plain JSON to everybody else."""
    accepted = headers.get("accept", "")
    if bodies.PLAIN in accepted:
        return bodies.PLAIN
    found = bodies.SEGMENT.search(accepted)
    return found.group() if found else bodies.PLAIN
