"""The real door on a real port: its own thread and loop, a log in memory, and everything it may be asked."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import uvloop

from headwater.clock import now
from headwater.errors import LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Topic
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.answers import App, refusal, reply
from headwater.ingest.collector import Collector
from headwater.ingest.directory import SourceRef
from headwater.ingest.forward import Forward
from headwater.ingest.internal import Internal
from headwater.ingest.protocol import DoorProtocol
from headwater.ingest.rejections import Rejections
from headwater.ingest.server import BOUNDS, serve
from headwater.spec.event import Record

KEY = "k" * 32
OTHER_KEY = "o" * 32
DISABLED_KEY = "d" * 32
FOREIGN_KEY = "f" * 32
SECRET = "Secret-of-the-address"
OLD_SECRET = "Secret-before-the-rotation"
FUNCTION_SECRET = "Secret-of-a-function"
TOKEN = "internal-token"

WEBSITE = SourceRef("src-website", "website", enabled=True)
ACTIVECAMPAIGN = SourceRef("src-ac", "activecampaign", enabled=True, webhooks="activecampaign")
FUNCTION = SourceRef(
    "src-function", "function", enabled=True, webhooks="function", webhook_bytes_max=512 * 1024, keeps_headers=True
)
SUPPRESSED_USER = "nobody-may-know"


class Directory:
    """Two websites, a disabled and a foreign source, and ActiveCampaign with two secrets while one is rotated."""

    keys: ClassVar = {
        KEY: WEBSITE,
        OTHER_KEY: SourceRef("src-other", "other", enabled=True),
        DISABLED_KEY: SourceRef("src-disabled", "disabled", enabled=False),
        FOREIGN_KEY: SourceRef("src-foreign", "foreign", enabled=True, region_allowed=False),
    }

    def by_write_key(self, write_key: str) -> SourceRef | None:
        return self.keys.get(write_key)

    def by_webhook_secret(self, secret: str) -> SourceRef | None:
        return {SECRET: ACTIVECAMPAIGN, OLD_SECRET: ACTIVECAMPAIGN, FUNCTION_SECRET: FUNCTION}.get(secret)

    def settings_document(self, write_key: str) -> dict[str, Any] | None:
        if write_key not in self.keys:
            return None
        return {"integrations": {"Segment.io": {"apiKey": write_key}}}


class WeatherLog(MemoryLog):
    """A log in memory whose disk can be full or slow to take more."""

    def __init__(self) -> None:
        super().__init__()
        self.error: LogUnavailableError | LogOverloadedError | None = None
        self.reserved_only = False

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        if self.error is not None or (self.reserved_only and not reserved):
            raise self.error or LogUnavailableError("the disk is full")
        return await super().append(topic, source_id, received_at, records, reserved=reserved)


@dataclass
class Answered:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Door:
    """A running door and what stands behind it."""

    port: int
    log: WeatherLog
    rejections: Rejections
    collector: Collector
    loop: asyncio.AbstractEventLoop
    frozen: list[datetime] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, headers: Any = (), *, connection: Any = None) -> Answered:
        """Send one request: `body` bytes as they are, anything else as JSON; `headers` pairs, also repeated ones."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        own.putrequest(method, path, skip_accept_encoding=True)
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        if raw is not None and not any(name.lower() == "content-length" for name, _ in pairs):
            pairs.append(("Content-Length", str(len(raw))))
        for name, value in pairs:
            own.putheader(name, value)
        own.endheaders(raw)
        answer = own.getresponse()
        answered = Answered(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        if connection is None:
            own.close()
        return answered

    def post(self, path: str, body: Any, headers: Any = (), **options: Any) -> Answered:
        return self.ask("POST", path, body, headers, **options)

    def events(self, topic: Topic = Topic.EVENTS) -> list[dict[str, Any]]:
        """Return all stored records of a topic."""
        return [event.body for event in self.log.read(topic, 0, records_max=10**9, bytes_max=10**12).events()]

    def rejected(self) -> dict[str, int]:
        """Return how many were refused, by code."""
        counts: dict[str, int] = {}
        for (code, _), count in list(self.rejections.counts.items()):
            counts[code] = counts.get(code, 0) + count
        return counts

    def flush(self) -> list[dict[str, Any]]:
        """Write the rejections now, and return all that are in the log."""
        asyncio.run_coroutine_threadsafe(self.rejections.flush(), self.loop).result(10)
        return self.events(Topic.REJECTED)

    def connections(self) -> set[Any]:
        """Return the open connections, the server's own set."""
        return {item for item in gc.get_objects() if isinstance(item, DoorProtocol) and item in item.connections}

    def until(self, holds: Callable[[], bool]) -> None:
        """Return once a condition holds, seen from inside the door's loop."""
        deadline = time.monotonic() + 20
        while not self.within(holds):
            assert time.monotonic() < deadline, "the condition never came true"

    def within(self, call: Callable[[], Any]) -> Any:
        """Return what a call gives when made inside the door's loop."""
        answered: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.loop.call_soon_threadsafe(lambda: answered.set_result(call()))
        return answered.result(20)

    @contextmanager
    def socket(self) -> Iterator[socket.socket]:
        """Open a raw connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as raw:
            yield raw

    def raw(self, *parts: bytes) -> bytes:
        """Send bytes and return all that comes back until the connection ends."""
        with self.socket() as raw:
            for part in parts:
                raw.sendall(part)
            return read_all(raw)


def read_all(raw: socket.socket) -> bytes:
    """Return what comes until the other side ends the connection."""
    parts = []
    try:
        while part := raw.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


async def nothing_here(scope: Any, _receive: Any, send: Any) -> None:
    """Stand for the web process where a test does not need it."""
    await reply(send, refusal(404, "web_not_found", "This is the web app's answer."), scope)


@contextmanager
def open_door(
    *, fallback: App = nothing_here, bounds: Any = BOUNDS, sock: Any = None, **options: Any
) -> Iterator[Door]:
    """Run a door until the block ends."""
    started: list[Door] = []
    ready, failed = threading.Event(), []

    async def run() -> None:
        stop = asyncio.Event()
        log = options.pop("log", None) or WeatherLog()
        rejections = Rejections(log, clock=options.get("clock", now), interval_s=3600)
        suppressed = lambda _source, event: event.get("userId") == SUPPRESSED_USER  # noqa: E731 - one expression
        parts = {"clock": now, "suppressed": suppressed, "internal": Internal(log, TOKEN), **options}
        collector = Collector(log, Directory, rejections, fallback=fallback, **parts)
        writing = asyncio.create_task(rejections.run())

        def on_ready(_host: str, port: int) -> None:
            started.append(Door(port, log, rejections, collector, asyncio.get_running_loop()))
            stops.append(lambda: started[0].loop.call_soon_threadsafe(stop.set))
            ready.set()

        await serve(collector, on_ready=on_ready, stop=stop, bounds=bounds, sock=sock)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        if isinstance(fallback, Forward):
            await fallback.close()

    stops: list[Any] = []

    def main() -> None:
        try:
            uvloop.run(run())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert ready.wait(20)
    if failed:
        raise failed[0]
    try:
        yield started[0]
    finally:
        stops[0]()
        thread.join(20)
        assert not thread.is_alive()
        if failed:
            raise failed[0]


def track(**members: Any) -> dict[str, Any]:
    """Return a good track call with these members instead of or beside the usual ones."""
    return {"type": "track", "userId": "u-1", "event": "Tested", **members}


def milliseconds(text: str) -> datetime:
    """Return the instant of a stored time."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
