"""What the door says back, ready to send: an answer is built once where it can be, and never says more than it must."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""

Headers = list[tuple[bytes, bytes]]

JSON_TYPE: Final = (b"content-type", b"application/json; charset=utf-8")
ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
ENDLESS: Final = "headwater.endless"
"""Set in a scope whose answer has no end of its own: such a stream is cut when the server stops."""
WHOLE: Final = "headwater.whole"
"""In a scope of our own protocol: takes the scope and a finished answer; False when it must be sent by ASGI."""
CLOSE: Final = (b"connection", b"close")

_encode = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """A whole HTTP answer, used for every request alike.

    Attributes:
        start: the first ASGI message.
        content: the second and last one.
        wire: both as they go over the wire on a connection that stays open; b"" where it does not.
    """

    start: MutableMapping[str, Any]
    content: MutableMapping[str, Any]
    wire: bytes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.start["status"])


def answer(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    """Return an answer with these headers and the length of `body`."""
    lines = [(b"content-length", b"%d" % len(body)), *headers]
    return Answer(
        {"type": "http.response.start", "status": status, "headers": lines},
        {"type": "http.response.body", "body": body},
        b"" if CLOSE in headers else wire(status, lines, body),
    )


def wire(status: int, headers: Headers, body: bytes) -> bytes:
    """Return an answer as HTTP/1.1 spells it."""
    first = b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())
    return b"\r\n".join((first, *(b"%s: %s" % header for header in headers), b"", body))


def json_answer(status: int, value: Any, *headers: tuple[bytes, bytes]) -> Answer:
    """Return `value` as JSON, readable by pages of any origin: there are no cookies on these routes."""
    return answer(status, _encode(value), JSON_TYPE, NO_SNIFF, ANY_ORIGIN, *headers)


def refusal(status: int, code: str, message: str, *, retry_after_s: int | None = None, close: bool = False) -> Answer:
    """Return the error shape of all our addresses; 429 and 503 name the seconds to wait."""
    headers: Headers = []
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
        if status == 429:  # noqa: PLR2004 - Segment's header for this status alone
            headers.append((b"x-ratelimit-reset", b"%d" % retry_after_s))
    if close:
        headers.append(CLOSE)
    return json_answer(status, {"success": False, "code": code, "message": message}, *headers)


async def reply(send: Send, ready: Answer, scope: Scope | None = None) -> None:
    """Send an answer; in one piece where the request's scope is given and our own protocol offers that in it."""
    whole = None if scope is None else scope.get(WHOLE)
    if whole is not None and whole(scope, ready.wire):
        return
    await send(ready.start)
    await send(ready.content)


SUCCESS: Final = answer(200, b'{"success": true}', JSON_TYPE, NO_SNIFF, ANY_ORIGIN)

PREFLIGHT: Final = answer(
    204,
    b"",
    ANY_ORIGIN,
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Content-Encoding, X-Requested-With"),
    (b"access-control-max-age", b"86400"),
)

NOT_FOUND: Final = refusal(404, "not_found", "There is nothing at this address.")


def wrong_method(allowed: bytes) -> Answer:
    """Return 405, naming what is allowed, such as b"GET, HEAD"."""
    error = {"success": False, "code": "method_not_allowed", "message": f"Use {allowed.decode()}."}
    return json_answer(405, error, (b"allow", allowed))
