"""The simulator as a program: plays the account and answers on its own port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp import web

from headwater.simulators.activecampaign.api.gate import Gate
from headwater.simulators.activecampaign.api.routes import add_api
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.controls import Controls
from headwater.simulators.activecampaign.receiver import Receiver
from headwater.simulators.activecampaign.settings import Settings
from headwater.simulators.activecampaign.simulation import Simulation, Targets
from headwater.simulators.activecampaign.truth import Truth

_BODY_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """How the program runs.

    Attributes:
        port: 0 for any that is free.
        receiver_secret: with it, the receiver refuses what is not signed.
        duration_s: how long it stays, None until it is interrupted.
    """

    settings: Settings = field(default_factory=Settings)
    targets: Targets = field(default_factory=Targets)
    host: str = "127.0.0.1"
    port: int = 0
    receiver_secret: str = ""
    duration_s: float | None = None


async def serve(program: Program, started: Callable[[str], object]) -> None:
    """Play the account and answer requests, for as long as the program says.

    Args:
        program: what to play.
        started: called once with the address it answers at.
    """
    async with aiohttp.ClientSession() as http:
        simulation = Simulation(program.settings, program.targets, http)
        simulation.live_through_past()
        runner = web.AppRunner(application(simulation, Receiver(program.receiver_secret)), access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, program.host, program.port)
            await site.start()
            started(f"http://{program.host}:{runner.addresses[0][1]}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(program.duration_s):
                    await simulation.run()
                    await asyncio.Event().wait()  # the API, the ledger and the receiver stay
        finally:
            await runner.cleanup()


def application(simulation: Simulation, receiver: Receiver) -> web.Application:
    """Return the routes: the API, what the simulator alone has, and the receiver under every path of its own."""
    gate = Gate(simulation)
    books = Books(simulation.account, simulation.settings.present)
    controls = Controls(simulation, gate, books)
    app = web.Application(client_max_size=_BODY_BYTES_MAX)
    add_api(app, simulation, gate, books)
    app.router.add_get("/ledger", controls.ledger)
    app.router.add_get("/truth", Truth(simulation.account).get)
    app.router.add_get("/progress", controls.progress)
    app.router.add_post("/play", controls.play)
    app.router.add_get("/switches", controls.switches)
    app.router.add_put("/switches", controls.switch)
    app.router.add_post("/test-button", controls.test_button)
    app.router.add_post("/automation", controls.automation)
    app.router.add_get("/receiver", receiver.get)
    app.router.add_post("/receiver{rest:(/.*)?}", receiver.post)
    return app
