"""A tool's API on loopback, played from a script, and the destination that talks to it over real HTTP."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from headwater.delivery.engine import build
from headwater.delivery.http import GuardedHttp
from headwater.spec.event import Event
from receiver import LOOPBACK
from rooms import room

NOW = datetime(2026, 5, 4, 13, 0, tzinfo=UTC)
AT = "2026-05-04T12:00:00.250Z"


@dataclass
class Service:
    """Gives one of `answers` a request, in order, the last one for ever.

    `asked` is what came: method, path, JSON, headers with lower-case names.
    """

    answers: list
    url: str = ""
    asked: list = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        headers = {name.lower(): each for name, each in request.headers.items()}
        self.asked.append((request.method, request.path_qs, body, headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, told, *more = answer(body) if callable(answer) else answer
        text = told if isinstance(told, str) else json.dumps(told)
        return web.Response(status=status, text=text, headers=more[0] if more else None)

    @property
    def bodies(self) -> list:
        return [body for _, _, body, _ in self.asked]


@contextlib.asynccontextmanager
async def playing(name: str, settings: dict, *answers) -> AsyncIterator[tuple[object, Service]]:
    """Yield a destination whose `endpoint` is the service.

    An answer is (status, JSON or text[, headers]), or returns that for a request's body.
    """
    service = Service(list(answers) or [(200, {})])
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", service.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = GuardedHttp(LOOPBACK)
    try:
        _, destination = build(name, {**settings, "endpoint": service.url}, room(http, clock=lambda: NOW))
        yield destination, service
    finally:
        await http.close()
        await runner.cleanup()


def event(number: int = 1, **members) -> Event:
    body = {"type": "track", "event": "Email Opened", "userId": "u1", "messageId": f"m{number}", "timestamp": AT}
    body = {name: each for name, each in {**body, **members}.items() if each is not None}
    return Event(number, "s1", json.dumps(body).encode(), body)


def kinds(outcomes: list) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]
