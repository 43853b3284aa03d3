"""Play an account in real time: the history fast, then what happens now, over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

import aiohttp

from headwater.simulators.activecampaign import bodies
from headwater.simulators.activecampaign.account import Account, Step, Visit, Webhook
from headwater.simulators.activecampaign.people import contact
from headwater.simulators.activecampaign.sender import Sender
from headwater.simulators.activecampaign.settings import Settings
from headwater.simulators.activecampaign.tracker import Tracker

_AT_ONCE: Final = 16  # webhooks under way; the real service sends from many machines


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the account sends: webhook addresses, and a Tracking API for the shop ("" for none)."""

    webhook_urls: tuple[str, ...] = ()
    tracking_url: str = ""
    write_key: str = ""


class Simulation:
    """One account that is played once, by `run`."""

    def __init__(self, settings: Settings, targets: Targets, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._account = Account(settings)
        self._sender = Sender(http, targets.webhook_urls)
        self._tracker = Tracker(http, targets.tracking_url, targets.write_key) if targets.tracking_url else None
        self._webhooks: asyncio.Queue[Webhook] = asyncio.Queue(maxsize=2 * _AT_ONCE)

    async def run(self) -> None:
        """Play the whole plan; returns when everything has been sent, which is never for an endless one."""
        workers = [asyncio.create_task(self._post()) for _ in range(_AT_ONCE)]
        if self._tracker is not None:
            workers.append(asyncio.create_task(self._tracker.run()))
        try:
            pace = _Pace(self._settings)
            for at, step in self._account.steps():
                await pace.until(at)
                await self._dispatch(step)
            await self._webhooks.join()
            if self._tracker is not None:
                await self._tracker.drain()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _dispatch(self, step: Step) -> None:
        match step:
            case Webhook():
                await self._webhooks.put(step)
            case Visit(calls) if self._tracker is not None:
                for call in calls:
                    await self._tracker.put(call)

    async def _post(self) -> None:
        while True:
            webhook = await self._webhooks.get()
            try:
                await self._sender.send(webhook)
            finally:
                self._webhooks.task_done()

    async def press_test_button(self, kind: str) -> None:
        """Post what the product's "test" button posts."""
        await self._sender.send(Webhook("test", bodies.press_test_button(kind)))

    async def run_automation(self) -> None:
        """Post what an automation's "Webhook" action posts."""
        await self._sender.send(Webhook("automation", bodies.automation(contact(self._settings.seed, 1), 4)))

    def ledger(self) -> dict[str, Any]:
        """Return the ground truth and what became of the sending."""
        return {
            "seed": self._settings.seed,
            "present": self._settings.present.isoformat(),
            "counts": self._account.ledger.counts(),
            "answers": [
                {"webhook": place, "active": address.active, **address.answers}
                for place, address in enumerate(self._sender.addresses)
            ],
            "tracking": dict(self._tracker.answers) if self._tracker is not None else {},
            "switches": asdict(self._settings.switches),
            "entries": self._account.ledger.entries(),
        }


class _Pace:
    """Holds each step back until it is due: the history at a bounded rate, the rest at its time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._steps = 0

    async def until(self, at: float) -> None:
        self._steps += 1
        rate_s = self._started_s + self._steps / self._settings.history_per_s
        ahead = at - self._settings.history_s
        due_s = self._started_s + ahead / self._settings.speed if ahead > 0 else rate_s
        if (wait_s := due_s - self._loop.time()) > 0:
            await asyncio.sleep(wait_s)
