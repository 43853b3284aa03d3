"""A real receiver on a real port that does what a script tells it, and what its events look like."""

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from headwater.delivery.address import Policy
from headwater.delivery.connection import Connection, Rules
from headwater.delivery.engine import Delivery
from headwater.eventlog.contract import Topic
from headwater.spec.event import Record

LOOPBACK = Policy(networks=(ipaddress.ip_network("127.0.0.0/8"),))
QUICK = Rules(retry_first_s=0.02, retry_max_s=0.1, hold_max_s=0.1, drain_s=5.0)

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """What was received, in order; `answer` decides what comes back."""

    url: str = ""
    answer: Answering | None = None
    bodies: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    got: asyncio.Event = field(default_factory=asyncio.Event)

    def ids(self) -> list[str]:
        return [body["messageId"] for body in self.bodies]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(json.loads(await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.got.set()
        return web.Response() if self.answer is None else await self.answer(request)

    def answering(self, *statuses: int, headers: dict | None = None) -> None:
        """Answer with these statuses, then with 200 for ever."""
        left = list(statuses)

        async def answer(_: web.Request) -> web.Response:
            status = left.pop(0) if left else 200
            return web.Response(status=status, headers=headers if status != 200 else None)

        self.answer = answer


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def webhook(receiver: Receiver, destination_id: str = "d1", **changes) -> Connection:
    chosen = {"source_id": "s1", "type": "webhook", "name": "Mine", "enabled": True, "settings": {"url": receiver.url}}
    return Connection(id=destination_id, **{**chosen, **changes})


def body(message_id: str, **members) -> dict:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"type": "track", "event": "Email Opened", "userId": "u1", "messageId": message_id}
    return {**event, "timestamp": at, "receivedAt": at, **members}


async def append(log, *bodies: dict, source_id: str = "s1", received_at: datetime | None = None) -> None:
    records = [Record(one["messageId"], json.dumps(one).encode()) for one in bodies]
    await log.append(Topic.EVENTS, source_id, received_at or datetime.now(UTC), records)


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 20.0) -> None:
    """Return as soon as the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - a question to a database has no event to wait for
            await asyncio.sleep(0.01)


async def settled(delivery: Delivery, **expected) -> None:
    """Return once the first connection's status has these values, and its counters conserve."""

    async def reached() -> bool:
        status = (await delivery.status())[0]
        return all(getattr(status, name) == value for name, value in expected.items())

    await until(reached)
    conserved((await delivery.status())[0])


def conserved(status) -> None:
    delivered = status.delivered_first_try + status.delivered_on_retry
    kept = sum(status.filtered.values()) + status.retrying + status.dead + status.dropped + status.expired
    assert status.read == delivered + kept
