"""The connection against the simulated account: webhooks over HTTP, registered, lost, revived, moved, taken away."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from account import SimulatedAccount
from headwater import shelf
from headwater.budget import Budgets
from headwater.delivery.http import GuardedHttp
from headwater.errors import DeliveryError, InvalidRequestError
from headwater.limits import ACCOUNT_ANSWER_BYTES_MAX
from headwater.sources.activecampaign.connection.registration import INITIATORS
from headwater.sources.activecampaign.connection.silence import GRACE
from headwater.sources.contract import Account, Room, Webhook
from receiver import LOOPBACK

ONGOING = ("--contacts", "400", "--history-campaigns", "1", "--history", "past", "--speed", "100", "--seed", "3")
PATIENCE_S = 40.0


@dataclass
class Inbox:
    """Where the webhooks arrive: kept, answered, and taken in batches as the mapper does."""

    worker: Any = None
    url: str = ""
    status: int = 200
    stopped: bool = False
    waiting: list[Webhook] = field(default_factory=list)
    paths: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.Response:
        body, path = await request.read(), request.path.rpartition("/")[2]
        if self.status == 200:
            self.paths[path] += 1
            kind = request.headers["content-type"]
            self.waiting.append(Webhook(self.paths.total(), "src", datetime.now(UTC), kind, body))
        return web.Response(status=self.status)

    async def map(self) -> None:
        while not self.stopped:
            batch, self.waiting = self.waiting, []
            if batch:
                taken = await self.worker.take("src", batch, {})
                await self.worker.keep("src", taken)
                self.events.update(event["event"] for mapped in taken.mapped for event in mapped.events)
            await asyncio.sleep(0.02)


@dataclass
class Connection:
    """A worker that is connected to a simulated account."""

    account: SimulatedAccount
    inbox: Inbox
    worker: Any
    wanted: Account
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def use(self, **changes: Any) -> None:
        self.wanted = replace(self.wanted, **changes)
        self.worker.apply([self.wanted])

    async def registered(self) -> list[str]:
        taker = self.worker._parts.keeper.taker("con")
        return [row.url.rpartition("/")[2] for row in await taker.connected.api.webhooks()]

    async def watched(self, after: timedelta) -> None:
        """Compare counters as the hourly look does, some time later."""
        self.ahead += after
        await self.worker._parts.keeper.taker("con").watch()


@contextlib.asynccontextmanager
async def connected(home: Path, *options: str):
    inbox = Inbox()
    app = web.Application()
    app.router.add_post("/webhooks/activecampaign/{secret}", inbox.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/activecampaign/"
    http = GuardedHttp(LOOPBACK, answer_bytes_max=ACCOUNT_ANSWER_BYTES_MAX)
    with SimulatedAccount(*ONGOING, "--paused", *options) as account:
        wanted = Account("con", "src", "ws", account.url, account.KEY, enabled=True, webhook_url=inbox.url + "s3cret")
        made = Connection(account, inbox, None, wanted)
        room = Room(home, http, Budgets(), deposited, made.now)
        made.worker = inbox.worker = shelf.take("headwater.sources", "activecampaign").open(room)
        mapping = asyncio.create_task(inbox.map())
        try:
            yield made
        finally:
            inbox.stopped = True
            await mapping
            await made.worker.stop()
            await runner.cleanup()
            made.worker.close()
            await http.close()


async def deposited(source_id: str, bodies: Any) -> None:
    """Take what history reads: not looked at here."""


async def until(look: Callable[[], Any]) -> None:
    """Return once something is true; what is asked may be a coroutine."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = look()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.1)


async def test_connecting_makes_events_flow_and_switching_off_ends_it(tmp_path):
    async with connected(tmp_path) as connection:
        found = await connection.worker.check(connection.account.url + "/api/3/", connection.account.KEY)
        assert found["url"] == connection.account.url
        connection.use()
        told = await connection.worker.settle("con")
        assert (told["state"], told["webhook"]["state"]) == ("waiting", "ok")
        (row,) = await connection.worker._parts.keeper.taker("con").connected.api.webhooks()
        assert set(row.sources) == set(INITIATORS)
        assert {"open", "click", "bounce", "unsubscribe"} <= set(row.events)
        await asyncio.to_thread(connection.account.begin)
        await until(lambda: connection.inbox.events["Email Opened"] > 5)
        told = await connection.worker.status("con")
        assert told["state"] == "sending"
        assert told["lastEvent"]["event"].startswith("Email ")
        connection.use(enabled=False)
        assert (await connection.worker.settle("con"))["state"] == "off"
        assert await connection.registered() == []


async def test_a_wrong_key_is_refused_and_changes_nothing(tmp_path):
    async with connected(tmp_path) as connection:
        with pytest.raises(InvalidRequestError) as refusal:
            await connection.worker.check(connection.account.url, "wrong")
        assert refusal.value.field == "apiKey"
        connection.use(key="wrong")
        assert (await connection.worker.settle("con"))["state"] == "attention"
        connection.use(key=connection.account.KEY)
        assert await connection.registered() == []
        assert (await connection.worker.settle("con"))["state"] == "waiting"


async def test_pitfall_38_a_webhook_that_met_a_410_is_revived_although_the_account_lists_it(tmp_path):
    async with connected(tmp_path) as connection:
        connection.use()
        await connection.worker.settle("con")
        await connection.watched(timedelta())
        connection.inbox.status = 410
        await asyncio.to_thread(connection.account.begin)
        taker = connection.worker._parts.keeper.taker("con")

        async def clicked() -> bool:
            return any(each.unique_clicks for each in await taker.connected.api.campaigns() if each.id != "1")

        await until(clicked)
        connection.inbox.status = 200
        assert await connection.registered() == ["s3cret"]  # as if nothing were wrong
        assert connection.inbox.paths.total() == 0
        await connection.watched(timedelta(hours=1))
        await connection.watched(GRACE)
        assert await connection.registered() == ["s3cret"]
        assert (await connection.worker.status("con"))["warnings"][0]["code"] == "webhook_was_silent"
        await until(lambda: connection.inbox.events["Email Opened"] > 0)
        await connection.watched(timedelta(hours=1))
        assert taker.health.silence.silent_at is None


async def test_a_changed_secret_moves_the_webhook_while_events_flow(tmp_path):
    async with connected(tmp_path) as connection:
        connection.use()
        await connection.worker.settle("con")
        await asyncio.to_thread(connection.account.begin)
        await until(lambda: connection.inbox.paths["s3cret"])
        connection.use(webhook_url=connection.inbox.url + "n3w", former_webhook_urls=(connection.inbox.url + "s3cret",))
        assert (await connection.worker.settle("con"))["webhook"]["state"] == "ok"
        assert await connection.registered() == ["n3w"]
        await until(lambda: connection.inbox.paths["n3w"])


async def test_an_account_with_bad_days_is_connected_all_the_same(tmp_path):
    bad = ("--html-answers", "0.15", "--refusals", "0.15", "--server-errors", "0.15", "--api-rate", "0")
    async with connected(tmp_path, *bad) as connection:
        connection.use()
        running = asyncio.create_task(connection.worker.run())

        async def is_ready() -> bool:
            return (await connection.worker.settle("con"))["state"] == "waiting"

        await until(is_ready)
        await connection.worker.stop()
        await running

        async def is_listed() -> bool:
            with contextlib.suppress(DeliveryError):
                return await connection.registered() == ["s3cret"]
            return False

        await until(is_listed)
