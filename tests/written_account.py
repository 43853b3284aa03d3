"""A simulated ActiveCampaign account in this process, an ActiveCampaign destination on it, and what was written."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from headwater.activecampaign.address import normalised
from headwater.delivery.engine import build
from headwater.delivery.http import GuardedHttp
from headwater.delivery.rooms import Outside
from headwater.simulators.activecampaign.server import Program, serve
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.spec.event import Event
from receiver import LOOPBACK
from rooms import outside

ACCOUNT = Settings(
    present=datetime(2025, 7, 1, 12, tzinfo=UTC),
    contacts=30,
    history_campaigns=0,
    history="past",
    live_campaigns=0,
    api_per_s=0,
)
PER_S = 10_000
"""The account's own five a second are another test's matter."""


@dataclass
class WrittenAccount:
    """The account over real HTTP: a destination that writes, and a client that reads back."""

    url: str
    http: aiohttp.ClientSession
    outside: Outside

    def settings(self, **changes) -> dict:
        keys = {"api_key": ACCOUNT.api_key, "event_key": "simulated-event-key", "actid": "25000001"}
        return {"api_url": self.url, "tracking_url": self.url, **keys, **changes}

    def destination(self, **changes):
        return build("activecampaign", self.settings(**changes), self.outside.room())[1]

    async def call(self, method: str, path: str, body=None) -> tuple[int, dict]:
        headers = {"Api-Token": ACCOUNT.api_key}
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> dict:
        return (await self.call("GET", path))[1]

    async def switch(self, **switches) -> None:
        assert (await self.call("PUT", "/switches", switches))[0] == 200

    async def contact(self, email: str) -> dict | None:
        async with self.http.get(
            f"{self.url}/api/3/contacts", params={"email": email}, headers={"Api-Token": ACCOUNT.api_key}
        ) as answer:
            rows = (await answer.json())["contacts"]
        return rows[0] if rows else None

    async def part(self, email: str, name: str) -> list[dict]:
        contact = await self.contact(email)
        return (await self.get(f"/api/3/contacts/{contact['id']}/{name}"))[name]

    async def tags(self, email: str) -> set[str]:
        names = {row["id"]: row["tag"] for row in (await self.get("/api/3/tags?limit=100"))["tags"]}
        return {names[row["tag"]] for row in await self.part(email, "contactTags")}

    async def lists(self, email: str) -> dict[str, str]:
        return {row["list"]: row["status"] for row in await self.part(email, "contactLists")}

    async def fields(self, email: str) -> dict[str, str]:
        return {row["field"]: row["value"] for row in await self.part(email, "fieldValues")}

    async def tracked(self, email: str) -> list[tuple[str, str]]:
        return [(row["type"], row["value"]) for row in await self.part(email, "trackingLogs")]

    async def calls(self) -> dict[str, int]:
        return (await self.get("/progress"))["api"]


@contextlib.asynccontextmanager
async def written_account(home: Path, settings: Settings = ACCOUNT, per_s: int = PER_S, **switches):
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    program = Program(replace(settings, switches=Switches(**switches)))
    task = asyncio.create_task(serve(program, address.set_result))
    guarded = GuardedHttp(LOOPBACK)
    async with aiohttp.ClientSession() as http:
        try:
            url = await address
            around = outside(guarded, home)
            # the first who asks for a bucket sets its limit; its name is the one that the account's own bucket has
            around.budgets.of(f"activecampaign {normalised(url).base}", per_s)
            around.budgets.of(f"activecampaign imports {url}", PER_S)
            yield WrittenAccount(url, http, around)
        finally:
            await guarded.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def events(*bodies: dict) -> list[Event]:
    whole = [
        {"messageId": f"m{n}", "timestamp": "2026-05-04T12:00:00.000Z", "userId": f"u{n}", **body}
        for n, body in enumerate(bodies)
    ]
    return [Event(n, "s1", json.dumps(body).encode(), body) for n, body in enumerate(whole)]


def identify(traits: dict, **members) -> dict:
    return {"type": "identify", "traits": traits, **members}


def track(event: str, properties: dict | None = None, **members) -> dict:
    return {"type": "track", "event": event, "properties": properties or {}, **members}
