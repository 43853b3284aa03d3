"""The one client for outgoing calls: deadlines, bounds, no redirects, and no address that was not checked first.

A name is resolved once per connection, every answer is judged, and the connection goes to a judged address: a name
that answers differently a moment later gains nothing. The socket factory judges once more what is really dialled.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection as AioConnection
from yarl import URL

from headwater import __version__, limits
from headwater.clock import Clock, now
from headwater.delivery.address import Policy, Target, parse
from headwater.errors import DeliveryError, RetryableError
from headwater.outgoing import Answer

Resolve = Callable[[str], Awaitable[list[str]]]
"""Returns the addresses of a name as text; raises OSError when there is none."""

_RESOLVER_THREADS: Final = 16  # names that may hang at the same time without delaying others
_UNTRUSTED: Final = "No secure connection: the server's TLS certificate or protocol was refused."
_UNTRUSTED_FOR_S: Final = 24 * 3600.0  # ours: a certificate that nobody renewed in a day is no passing trouble
_LINE_BREAK: Final = re.compile(r"[\r\n\x00]")


class GuardedHttp:
    """`outgoing.Http`, kept inside the address policy; connections are reused, `close` ends them."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        resolve: Resolve | None = None,
        clock: Clock = now,
        deadline_s: float = limits.ATTEMPT_DEADLINE_S,
        answer_bytes_max: int = limits.ANSWER_BYTES_MAX,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy, self._clock = policy or Policy(), clock
        self._names = Names() if resolve is None else None
        self._resolve: Resolve = resolve or self._names_of
        self._timeout = aiohttp.ClientTimeout(
            total=deadline_s,
            connect=min(deadline_s, limits.CONNECT_DEADLINE_S),
            ceil_threshold=float("inf"),  # aiohttp rounds longer deadlines up to whole seconds otherwise
        )
        self._deadline_s, self._answer_bytes_max = deadline_s, answer_bytes_max
        self._tls = tls or ssl.create_default_context()  # verifies, TLS 1.2 at least
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and return the answer, whatever its status; the body is cut at the bound and not decoded.

        Raises:
            RetryableError: no whole answer came: refused, timed out, cut, name not found.
            DeliveryError: the address is forbidden or malformed.
        """
        target = self.checked(url)
        sent = {"accept-encoding": "identity", "user-agent": f"Headwater/{__version__}", **(headers or {})}
        if any(_LINE_BREAK.search(text) for pair in sent.items() for text in pair):
            raise DeliveryError("A header holds a line break; correct the settings it is made from.")
        try:
            return await self._exchange(method, target, body, sent)
        except aiohttp.InvalidURL as error:
            raise DeliveryError("The URL is malformed.") from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise RetryableError(_UNTRUSTED, for_s=_UNTRUSTED_FOR_S) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(self._reason(error)) from error

    def checked(self, url: str) -> Target:
        """Return the URL's parts if its form, and its address where it is one, may be called.

        Raises:
            DeliveryError: it may not.
        """
        target = parse(url)
        if target.address is not None:
            self._policy.judge(target.address, target.port, plain=target.scheme == "http")
        return target

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._names is not None:
            self._names.close()

    async def _exchange(self, method: str, target: Target, body: bytes, headers: Mapping[str, str]) -> Answer:
        session = self._session(target.scheme)
        async with session.request(
            method, URL(target.text, encoded=True), data=body or None, headers=headers, allow_redirects=False
        ) as response:
            read, cut = await _head(response.content, self._answer_bytes_max)
            named = {name.lower(): text for name, text in response.headers.items()}
            # RFC 9110 lets the recipient supply the date; a `Retry-After` date is counted from it.
            named.setdefault("date", format_datetime(self._clock(), usegmt=True))
            return Answer(response.status, named, read, cut)

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            self._sessions[scheme] = self._open(plain=scheme == "http")
        return self._sessions[scheme]

    def _open(self, *, plain: bool) -> aiohttp.ClientSession:
        policy = self._policy

        def dial(info: aiohttp.AddrInfoType) -> socket.socket:
            family, kind, protocol, _, where = info
            policy.judge(ipaddress.ip_address(str(where[0])), int(where[1]), plain=plain)
            return socket.socket(family, kind, protocol)

        connector = aiohttp.TCPConnector(
            resolver=_JudgedResolver(self._resolve, policy, plain=plain),
            use_dns_cache=False,
            ssl=self._tls,
            limit=0,  # the engine bounds each connection's calls; a shared bound would let one starve the others
            socket_factory=dial,
        )
        return aiohttp.ClientSession(
            connector=connector,
            request_class=_judged_requests(policy, plain=plain),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("content-type",),
        )

    async def _names_of(self, host: str) -> list[str]:
        assert self._names is not None  # noqa: S101 - checks our own work
        return await self._names.resolve(host)

    def _reason(self, error: BaseException) -> str:
        match error:
            case aiohttp.ClientConnectorDNSError():
                return "The host name was not found."
            case TimeoutError():
                return f"No whole answer within {self._deadline_s:g} s."
            case aiohttp.ClientConnectorError():
                return "No connection: refused or unreachable."
            case _:
                return "The connection was cut before a whole answer came."


async def _head(stream: aiohttp.StreamReader, bytes_max: int) -> tuple[bytes, bool]:
    """Return up to `bytes_max` bytes, and whether there are more."""
    parts: list[bytes] = []
    left = bytes_max + 1
    while left and (part := await stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)[:bytes_max], not left


def _judged_requests(policy: Policy, *, plain: bool) -> type[aiohttp.ClientRequest]:
    """Return a class of requests that are sent only to a peer that may be reached, asked of the open socket."""

    class Judged(aiohttp.ClientRequest):
        async def send(self, conn: AioConnection) -> aiohttp.ClientResponse:
            peer = conn.transport.get_extra_info("peername") if conn.transport else None
            if peer:
                policy.judge(ipaddress.ip_address(str(peer[0])), int(peer[1]), plain=plain)
            return await super().send(conn)

    return Judged


class _JudgedResolver(AbstractResolver):
    """Answers with addresses that may be dialled, or not at all: one forbidden answer refuses the name."""

    def __init__(self, resolve: Resolve, policy: Policy, *, plain: bool) -> None:
        self._resolve, self._policy, self._plain = resolve, policy, plain

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return every address of `host`, judged.

        Raises:
            DeliveryError: one of them is forbidden.
            OSError: there is none.
        """
        found = [ipaddress.ip_address(text) for text in await self._resolve(host)]
        for address in found:
            self._policy.judge(address, port, plain=self._plain)
        if not found:
            raise OSError("no address")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004 - IPv4
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
            if family in {socket.AF_UNSPEC, socket.AF_INET if address.version == 4 else socket.AF_INET6}  # noqa: PLR2004
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Names:
    """The system's resolver on threads of its own, so that a name server that hangs blocks nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")
        self._running: dict[str, asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of `host`; callers that ask while a look-up runs share it.

        Raises:
            OSError: the name has none.
        """
        running = self._running.get(host)
        if running is None:
            running = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            self._running[host] = running
            running.add_done_callback(lambda done: self._finished(host, done))
        return await asyncio.shield(running)

    def close(self) -> None:
        """Start no look-up any more; one that hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finished(self, host: str, done: asyncio.Future[list[str]]) -> None:
        self._running.pop(host, None)
        if not done.cancelled():
            done.exception()  # every caller may have timed out; an exception nobody took is no news


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))
