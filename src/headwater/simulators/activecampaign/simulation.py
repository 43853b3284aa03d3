"""Play an account in real time: the history fast, then what happens now, over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Final

import aiohttp

from headwater.simulators.activecampaign import bodies
from headwater.simulators.activecampaign.account import Account, Step, Visit, Webhook
from headwater.simulators.activecampaign.people import contact
from headwater.simulators.activecampaign.sender import Sender
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.tracker import Tracker

_BREATHER: Final = 100  # happenings after which the API gets its turn, however fast they follow each other
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
        self.settings = settings
        self.sender = Sender(http, targets.webhook_urls, events=settings.events, timeout_s=settings.switches.timeout_s)
        self.account = Account(settings, self.sender.listens, shop_knows_past=bool(targets.tracking_url))
        self._tracker = Tracker(http, targets.tracking_url, targets.write_key) if targets.tracking_url else None
        self._webhooks: asyncio.Queue[Webhook] = asyncio.Queue(maxsize=2 * _AT_ONCE)
        self._moments = self.account.moments()
        self._going = asyncio.Event()
        self.pause(paused=settings.paused)
        self.is_done = False

    def live_through_past(self) -> None:
        """With a history that is past: let it happen at once; only the API knows of it then.

        What people did in the shop meanwhile is sent there all the same: it has had its own SDK all the time.
        """
        if self.settings.history != "past":
            return
        visits: list[tuple[float, Step | None]] = []
        for moment in self._moments:
            if moment[0] > self.settings.history_s:
                self._moments = chain(visits, [moment], self._moments)
                return
            if isinstance(moment[1], Visit):
                visits.append(moment)
        self._moments = iter(visits)

    def pause(self, *, paused: bool) -> None:
        """Let time stand still, or go on."""
        if paused:
            self._going.clear()
        else:
            self._going.set()

    def switch(self, switches: Switches) -> None:
        """Behave like this from now on."""
        self.account.switches = switches
        self.sender.timeout_s = switches.timeout_s

    async def run(self) -> None:
        """Play the whole plan; returns when everything has been sent, which is never for an endless one."""
        workers = [asyncio.create_task(self._post()) for _ in range(_AT_ONCE)]
        if self._tracker is not None:
            workers.append(asyncio.create_task(self._tracker.run()))
        try:
            await self._play()
            await self._webhooks.join()
            if self._tracker is not None:
                await self._tracker.drain()
            self.is_done = True
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _play(self) -> None:
        await self._going.wait()
        pace = _Pace(self.settings)
        for at, step in self._moments:
            await pace.until(at, happens=step is None)
            if not self._going.is_set():
                pace.hold()
                await self._going.wait()
                pace.go_on()
            if step is not None:
                await self._dispatch(step)

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
                await self.sender.send(webhook)
            finally:
                self._webhooks.task_done()

    async def press_test_button(self, kind: str) -> None:
        """Post what the product's "test" button posts, to every webhook whatever it listens to."""
        await self._post_to_all(bodies.press_test_button(kind))

    async def run_automation(self) -> None:
        """Post what an automation's "Webhook" action posts."""
        await self._post_to_all(bodies.automation(contact(self.settings.seed, 1), 4))

    async def _post_to_all(self, body: bytes) -> None:
        for address in self.sender.addresses:
            await self.sender.post(address, body)

    def progress(self) -> dict[str, Any]:
        """Return how much happened, how many webhooks went out for it, and whether that was all."""
        answers = [address.answers for address in self.sender.addresses]
        return {
            "happenings": sum(len(result) for result in self.account.results.values()),
            "webhooks": sum(sum(counts.values()) for counts in answers),
            "campaigns": len(self.account.results),
            "paused": not self._going.is_set(),
            "done": self.is_done,
        }

    def ledger(self) -> dict[str, Any]:
        """Return the ground truth and what became of the sending."""
        return {
            "seed": self.settings.seed,
            "present": self.settings.present.isoformat(),
            "counts": self.account.ledger.counts(),
            "answers": [
                {"webhook": place, "active": address.active, **address.answers}
                for place, address in enumerate(self.sender.addresses)
            ],
            "tracking": dict(self._tracker.answers) if self._tracker is not None else {},
            "switches": asdict(self.account.switches),
            "entries": self.account.ledger.entries(),
        }


class _Pace:
    """Holds each step back until it is due: the history at a bounded rate, the rest at its time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._happenings = 0
        self._held_s = 0.0

    async def until(self, at: float, *, happens: bool) -> None:
        """Return when something of this plan second may happen, or go out."""
        self._happenings += happens
        rate_s = self._started_s + self._happenings / self._settings.history_per_s
        ahead = 0.0 if self._settings.ends_at_present else at - self._settings.history_s
        due_s = self._started_s + ahead / self._settings.speed if ahead > 0 else rate_s
        if (wait_s := due_s - self._loop.time()) > 0:
            await asyncio.sleep(wait_s)
        elif happens and self._happenings % _BREATHER == 0:
            await asyncio.sleep(0)

    def hold(self) -> None:
        """Note that time stands still from here."""
        self._held_s = self._loop.time()

    def go_on(self) -> None:
        """Go on where time stood still; what is live happens that much later."""
        self._started_s += self._loop.time() - self._held_s
