"""Everything that is not the door's goes to the web process, and its answers come back as they flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from headwater.ingest.answers import ENDLESS, Answer, Headers, Receive, Scope, Send, answer, refusal, reply
from headwater.ingest.proxies import Network, sender
from headwater.limits import CONNECT_DEADLINE_S

_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# ours to say: a stranger's word about where a request came from counts nothing, only that of the operator's proxies
_FORWARDED: Final = frozenset((b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
_CONNECTIONS_MAX: Final = 256
_RETRY_AFTER_S: Final = 2

_DOWN_TEXT: Final = "The web app is starting or restarting. Events are still taken. Try again in a moment."
_DOWN_PAGE: Final = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Headwater</title>
<meta http-equiv="refresh" content="{_RETRY_AFTER_S}"><p>{_DOWN_TEXT}</p></html>"""


class Forward:
    """The ASGI application that stands for the web process; close it when done."""

    def __init__(self, url: str, trusted: Sequence[Network] = ()) -> None:
        """Take the address of the web process on loopback, and where proxies are whose word on senders counts."""
        self._url, self._trusted = url.rstrip("/"), trusted
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on and its answer back; when the sender goes away, the request to the web process ends."""
        exchange = asyncio.ensure_future(self._exchange(scope, body := _Body(receive), send))
        gone = asyncio.ensure_future(body.disconnected())
        try:
            await asyncio.wait((exchange, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (exchange, gone):
                task.cancel()
            results = await asyncio.gather(exchange, gone, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, scope: Scope, body: _Body, send: Send) -> None:
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1")
        # as it was sent: decoding and encoding it again would change what the web process sees
        url = URL(f"{self._url}{path}{'?' if query else ''}{query}", encoded=True)
        try:
            upstream = await self._opened().request(
                scope["method"],
                url,
                headers=_request_headers(scope, self._trusted),
                data=body.parts() if _has_body(scope) else None,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError:
            await reply(send, _down(scope), scope)
            return
        except (aiohttp.ClientError, TimeoutError, OSError):
            await reply(send, refusal(502, "bad_gateway", "The web app broke off. Try again.", close=True), scope)
            return
        async with upstream:
            body.finished.set()
            scope[ENDLESS] = upstream.content_type == "text/event-stream"
            await send({"type": "http.response.start", "status": upstream.status, "headers": _answer_headers(upstream)})
            async for part in upstream.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made inside the running loop at its first use."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_DEADLINE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


class _Body:
    """The request's body, and the news that its sender has gone: both come from one ASGI channel."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = asyncio.Event()
        self.finished = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the sender went away")
            more = message.get("more_body", False)
            if part := message.get("body", b""):
                yield part
        self._ended.set()
        self.finished.set()

    async def disconnected(self) -> None:
        """Return once the sender is gone; reads on only when nobody else does."""
        await self.finished.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} and value != b"0" for name, value in scope["headers"])


def _request_headers(scope: Scope, trusted: Sequence[Network]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    dropped = _HOP_BY_HOP | _FORWARDED | _named_by_connection(scope["headers"])
    for name, value in scope["headers"]:
        if name not in dropped and name != b"expect":
            headers.add(name.decode("latin-1"), value.decode("latin-1"))
    if scope.get("client"):
        forwarded = (value for name, value in scope["headers"] if name == b"x-forwarded-for")
        headers["X-Forwarded-For"] = sender(scope["client"][0], forwarded, trusted)
    headers["X-Forwarded-Proto"] = scope["scheme"]
    headers["X-Forwarded-Host"] = headers.get("Host", "")
    return headers


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    named = (value for name, value in headers if name == b"connection")
    return frozenset(token.strip().lower() for value in named for token in value.split(b","))


def _answer_headers(upstream: aiohttp.ClientResponse) -> Headers:
    return [
        (name.lower(), value)
        for name, value in upstream.raw_headers
        if name.lower() not in _HOP_BY_HOP and name.lower() not in {b"server", b"date"}
    ]


def _down(scope: Scope) -> Answer:
    accept: Any = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    if b"text/html" not in accept:
        return refusal(503, "web_unavailable", _DOWN_TEXT, retry_after_s=_RETRY_AFTER_S)
    return answer(
        503,
        _DOWN_PAGE.encode(),
        (b"content-type", b"text/html; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"%d" % _RETRY_AFTER_S),
    )
