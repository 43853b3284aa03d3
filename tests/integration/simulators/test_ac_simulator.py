"""The simulator over real HTTP: what a sender of webhooks owes its receiver, and what it does not."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook as Signer

from headwater.simulators.activecampaign.account import Webhook
from headwater.simulators.activecampaign.sender import Sender
from headwater.simulators.activecampaign.server import Program, serve
from headwater.simulators.activecampaign.settings import Settings
from headwater.simulators.activecampaign.simulation import Targets

PRESENT = datetime(2025, 7, 1, 12, tzinfo=UTC)
SETTINGS = Settings(present=PRESENT, contacts=200, history_campaigns=2, live_campaigns=0, history_per_s=1e6)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """Run a receiver of webhooks and give its address."""
    app = web.Application()
    app.router.add_post("/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def simulator(program: Program) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """Run the program and give its address and a client."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(program, address.set_result))
    async with aiohttp.ClientSession() as client:
        try:
            yield await address, client
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_webhooks_are_forms_one_a_post_and_the_tracking_api_gets_batches() -> None:
    got: dict[str, list[tuple[str, bytes]]] = {"hook": [], "v1": []}
    total = 0

    async def handler(request: web.Request) -> web.Response:
        got[request.path.split("/")[1]].append((request.content_type, await request.read()))
        return web.json_response({"success": True})

    async with answering(handler) as url:
        targets = Targets((f"{url}/hook",), url, "key")
        async with simulator(Program(SETTINGS, targets)) as (address, client):
            while True:
                ledger = await (await client.get(f"{address}/ledger")).json()
                sent = sum(ledger["counts"]["webhooks"].values())
                calls = sum(ledger["counts"]["calls"].values())
                if sent and sent == len(got["hook"]) == total and sum(ledger["tracking"].values()) == calls:
                    break
                total = sent
                await asyncio.sleep(0.05)
    assert {kind for kind, _ in got["hook"]} == {"application/x-www-form-urlencoded"}
    assert all(body.startswith(b"type=") for _, body in got["hook"])
    assert {kind for kind, _ in got["v1"]} == {"application/json"}
    assert ledger["tracking"] == {"200": calls}


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_an_error_is_never_tried_again_and_does_not_end_the_webhook(status: int) -> None:
    got = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal got
        got += 1
        return web.Response(status=status)

    async with answering(handler) as url, aiohttp.ClientSession() as http:
        sender = Sender(http, (url,))
        for _ in range(3):
            await sender.send(Webhook("open", b"type=open"))
    assert (got, sender.addresses[0].active, sender.addresses[0].answers) == (3, True, {str(status): 3})


async def test_an_answer_of_410_ends_the_webhook_and_no_other() -> None:
    got: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        got.append(request.path)
        return web.Response(status=410 if request.path == "/gone" else 200)

    async with answering(handler) as url, aiohttp.ClientSession() as http:
        sender = Sender(http, (f"{url}/gone", f"{url}/here"))
        for _ in range(3):
            await sender.send(Webhook("open", b"type=open"))
    assert got == ["/gone", "/here", "/here", "/here"]
    assert [address.active for address in sender.addresses] == [False, True]


async def test_a_receiver_that_does_not_answer_in_time_loses_the_event() -> None:
    release = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    async with answering(handler) as url, aiohttp.ClientSession() as http:
        sender = Sender(http, (url, "http://127.0.0.1:1/"), timeout_s=0.05)
        await sender.send(Webhook("open", b"type=open"))
        release.set()
    assert [address.answers for address in sender.addresses] == [{"timeout": 1}, {"unreachable": 1}]


async def test_the_odd_bodies_can_be_sent_on_demand() -> None:
    got: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response()

    quiet = Settings(present=PRESENT, contacts=1, history_campaigns=0, live_campaigns=0)
    async with answering(handler) as url, simulator(Program(quiet, Targets((url,)))) as (address, client):
        assert (await client.post(f"{address}/test-button?type=click")).status == 200
        assert (await client.post(f"{address}/automation")).status == 200
    assert b"date_time=2013-01-01+12%3A00%3A00" in got[0]
    assert b"type=click" in got[0]
    assert b"seriesid=4" in got[1]
    assert b"type=" not in got[1]


QUIET = Settings(present=PRESENT, contacts=1, history_campaigns=0, live_campaigns=0)


async def test_the_receiver_checks_signatures_and_takes_each_id_once() -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    body = '{"type":"track","event":"Email <Opened>"}'

    def headers(id_: str, signed: str) -> dict[str, str]:
        at = datetime.now(UTC)
        signature = Signer(secret).sign(id_, at, signed)
        stamp = str(int(at.timestamp()))
        return {"webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": f"v1,x {signature}"}

    async with simulator(Program(QUIET, receiver_secret=secret)) as (address, client):
        url = f"{address}/receiver/any/path"
        good = [await client.post(url, data=body, headers=headers("m1", body)) for _ in range(2)]
        await client.post(url, data=body, headers=headers("m2", body))
        forged = await client.post(url, data=body, headers=headers("m3", "other"))
        late = {**headers("m4", body), "webhook-timestamp": "1"}
        refused = [forged, await client.post(url, data=body, headers=late), await client.post(url, data=body)]
        shown = await (await client.get(f"{address}/receiver")).json()
        page = await (await client.get(f"{address}/receiver", headers={"accept": "text/html"})).text()
    assert [answer.status for answer in good] == [200, 200]
    assert [answer.status for answer in refused] == [401, 401, 401]
    assert shown == {
        "received": 6,
        "unique": 2,
        "duplicates": 1,
        "wrong_signature": 3,
        "signed": True,
        "events": {"Email <Opened>": 2},
    }
    assert "Email &lt;Opened&gt;" in page


async def test_without_a_secret_the_receiver_takes_everything_and_rubbish_is_counted() -> None:
    async with simulator(Program(QUIET)) as (address, client):
        for body in (b"", b"\xff", b"[1]", b'{"type":"identify"}'):
            assert (await client.post(f"{address}/receiver", data=body)).status == 200
        shown = await (await client.get(f"{address}/receiver")).json()
    assert (shown["unique"], shown["events"]) == (4, {"not an event": 3, "identify": 1})


async def test_the_program_ends_after_its_duration() -> None:
    started: list[str] = []
    await serve(Program(SETTINGS, duration_s=0.05), started.append)
    assert started[0].startswith("http://127.0.0.1:")
