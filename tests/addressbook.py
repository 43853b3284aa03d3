"""An account's contacts and campaigns behind real HTTP, with switches for everything that can go wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from headwater.activecampaign.address import Address
from headwater.budget import Budget
from headwater.delivery.http import GuardedHttp
from headwater.sources.activecampaign.api.account import AccountApi
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.contract import Account
from receiver import LOOPBACK

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE_S = 20.0
PAGE = 100


class Clock:
    """A wall clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class AddressBook:
    """What the account knows, and what it was asked.

    Attributes:
        contacts: {id: row}; one that is removed is a deleted one.
        campaigns: {id: row}.
        open: answers wait until it is set.
        status: what every request is answered with, None for the truth.
        asked: query or path of every request, in order.
    """

    url: str = ""
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None
    status_after: int = 10**9  # requests that are answered before `status` counts
    asked: list[dict[str, str]] = field(default_factory=list)
    answered: int = 0
    delay_s: float = 0.0

    def add(self, id_: int | str, email: str = "", user_id: str = "", **members: Any) -> None:
        email = email or f"c{id_}@example.org"
        self.contacts[str(id_)] = {"id": str(id_), "email": email, "segmentio_id": user_id, **members}

    def lookups(self) -> list[list[str]]:
        """Return the ids of every look-up of contacts, one list a request."""
        several = [query["ids"].split(",") for query in self.asked if "ids" in query]
        return several + [[query["contact"]] for query in self.asked if "contact" in query]

    def passes(self) -> list[dict[str, str]]:
        """Return the queries that read one contact after the other."""
        return [query for query in self.asked if "id_greater" in query]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        kind, _, id_ = request.path.removeprefix("/api/3/").partition("/")
        query = dict(request.query)
        self.asked.append({kind.rstrip("s"): id_} if id_ else query)
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        self.answered += 1
        if self.status is not None and self.answered > self.status_after:
            return web.json_response({}, status=self.status)
        if kind == "contacts":
            return self._one("contact", self.contacts.get(id_)) if id_ else self._several(query)
        if kind == "messages":
            return web.json_response({"message": {"id": id_, "subject": f"Subject {id_}"}})
        id_, _, related = id_.partition("/")
        if related:
            rows = [{"id": "1", "messageid": each} for each in self.campaigns[id_].get("messages", ())]
            return web.json_response({"campaignMessages": rows})
        return self._one("campaign", self.campaigns.get(id_))

    def _one(self, name: str, row: dict[str, Any] | None) -> web.Response:
        if row is None:
            return web.json_response({"message": "No Result found for Subscriber with id 1"}, status=404)
        return web.json_response({name: row})

    def _several(self, query: dict[str, str]) -> web.Response:
        ids = query["ids"].split(",") if "ids" in query else sorted(self.contacts, key=int)
        after = int(query.get("id_greater", "0"))
        since = query.get("filters[updated_after]", "")
        rows = [self.contacts[id_] for id_ in ids if id_ in self.contacts and int(id_) > after]
        rows = [row for row in rows if not since or row.get("udate", "") > since[:10]][:PAGE]
        return web.json_response({"contacts": rows, "meta": {"total": str(len(rows))}})


@dataclass
class Desk:
    """An address book and how to connect it."""

    book: AddressBook
    http: GuardedHttp
    budget: Budget

    def connected(
        self, source_id: str = "src", *, key: str = "k3y", enabled: bool = True, **settings: Any
    ) -> Connected:
        account = Account(
            f"conn-{source_id}",
            source_id,
            "ws",
            self.book.url,
            key,
            enabled=enabled,
            webhook_url="https://events.example.com/webhooks/activecampaign/x",
            settings=settings,
        )
        return Connected(account, AccountApi(self.http, self.budget, Address(self.book.url, "acme"), key))


@contextlib.asynccontextmanager
async def address_book(per_s: int = 100_000) -> AsyncIterator[Desk]:
    """Serve an account that answers at once."""
    book = AddressBook()
    book.open.set()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", book.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    book.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = GuardedHttp(LOOPBACK)
    try:
        yield Desk(book, http, Budget(per_s))
    finally:
        book.open.set()
        await http.close()
        await runner.cleanup()


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = is_so()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.01)
