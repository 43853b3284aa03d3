"""What the simulator has and the real service has not: its ledger, its clock, its switches."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from headwater.clock import now
from headwater.simulators.activecampaign.api.gate import Gate
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.settings import Switches
from headwater.simulators.activecampaign.simulation import Simulation


class Controls:
    """Answers whoever runs the simulator, without a key."""

    def __init__(self, simulation: Simulation, gate: Gate, books: Books) -> None:
        self._simulation, self._gate, self._books = simulation, gate, books

    async def ledger(self, _: web.Request) -> web.Response:
        """Answer `GET /ledger`: counts and the newest happenings."""
        return web.json_response(self._simulation.ledger())

    async def progress(self, _: web.Request) -> web.Response:
        """Answer `GET /progress`: how far the plan is, and what was asked of the API."""
        gate = self._gate
        calls = {
            "calls": gate.calls,
            "tracked": gate.tracked,
            "throttled": gate.throttled,
            "faults": gate.faults,
        }
        return web.json_response({**self._simulation.progress(), "api": calls})

    async def play(self, request: web.Request) -> web.Response:
        """Answer `POST /play`: hold time with `{"pause": true}`, let it run with `{"pause": false}`."""
        try:
            paused = bool(json.loads(await request.read() or b"{}").get("pause", False))
        except (ValueError, AttributeError):
            return web.json_response({"error": 'send {"pause": true} or {"pause": false}'}, status=400)
        self._simulation.pause(paused=paused)
        return web.json_response(self._simulation.progress())

    async def switches(self, _: web.Request) -> web.Response:
        """Answer `GET /switches`."""
        return web.json_response(asdict(self._simulation.account.switches))

    async def switch(self, request: web.Request) -> web.Response:
        """Answer `PUT /switches`: some of them, the others stay; what was sent and counted stays, too."""
        before = self._simulation.account.switches
        try:
            given: dict[str, Any] = msgspec.json.decode(await request.read(), type=dict[str, Any])
            if unknown := given.keys() - asdict(before).keys():
                raise msgspec.ValidationError(f"there is no switch {', '.join(sorted(unknown))}")
            switches = msgspec.convert({**asdict(before), **given}, Switches)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=400)
        if (before.user_ids, switches.user_ids) == ("later", "set"):
            self._books.users_known_at = now()
        self._simulation.switch(switches)
        return web.json_response(asdict(switches))

    async def test_button(self, request: web.Request) -> web.Response:
        """Answer `POST /test-button`: post what the product's button posts."""
        await self._simulation.press_test_button(request.query.get("type", "open"))
        return web.json_response({"ok": True})

    async def automation(self, _: web.Request) -> web.Response:
        """Answer `POST /automation`: post what an automation's action posts."""
        await self._simulation.run_automation()
        return web.json_response({"ok": True})
