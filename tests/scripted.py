"""A service on a real port that answers what a script tells it, and a client that waits without time passing."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from headwater.activecampaign.address import Address
from headwater.budget import Budget
from headwater.delivery.http import GuardedHttp
from headwater.sources.activecampaign.api.account import AccountApi
from receiver import LOOPBACK

KEY = "0123456789abcdef-the-key"

Reply = Callable[["Asked"], web.StreamResponse]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes
    url: str

    @property
    def json(self):
        return json.loads(self.body)


def said(value=None, status: int = 200, text: str | None = None, **headers: str) -> web.Response:
    """Return an answer: a JSON value, or a text instead."""
    named = {name.replace("_", "-"): told for name, told in headers.items()}
    body = json.dumps(value) if text is None else text
    return web.Response(status=status, text=body, headers=named, content_type="application/json")


@dataclass
class Script:
    """What was asked, in order; each answer is used once and the last for ever, or `reply` decides."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    reply: Reply | None = None

    def say(self, *answers: web.Response) -> None:
        self.answers = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        named = {name.lower(): value for name, value in request.headers.items()}
        query = dict(request.query)
        self.asked.append(
            Asked(request.method, request.path, query, named, await request.read(), request.path_qs)
        )  # fmt: skip
        if self.reply is not None:
            return self.reply(self.asked[-1])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers.items()))


class Time:
    """A clock that moves only while somebody waits, and remembers each wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.pauses: list[float] = []

    async def slept(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def paused(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Scripted:
    """A scripted account and the client that calls it."""

    script: Script
    api: AccountApi
    time: Time
    budget: Budget


@contextlib.asynccontextmanager
async def scripted(*, key: str = KEY, **http_options) -> AsyncIterator[Scripted]:
    script, time = Script(), Time()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", script.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = GuardedHttp(LOOPBACK, **http_options)
    budget = Budget(1_000_000, seconds=lambda: time.now, sleep=time.paused)
    api = AccountApi(http, budget, Address(script.url, "acme"), key, sleep=time.slept, chance=lambda: 1.0)
    try:
        yield Scripted(script, api, time, budget)
    finally:
        await http.close()
        await runner.cleanup()
