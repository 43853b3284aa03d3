"""The account's life, in order: who reacts to what and when, which webhooks go out for it, what follows in the shop.

Nothing here knows real time or a network: it is a plan, drawn as far as somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Final

from headwater.simulators.activecampaign import bodies, shop
from headwater.simulators.activecampaign.campaigns import campaigns
from headwater.simulators.activecampaign.happenings import APPLE_AGENT, COMPLAINT, Happening, Reactions
from headwater.simulators.activecampaign.ledger import Entry, Ledger
from headwater.simulators.activecampaign.people import Population
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.shop import Call

_DELAY_S: Final = (60.0, 7200.0)
_REORDER_S: Final = (0.5, 20.0)
_DUPLICATE_S: Final = (0.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One POST to every webhook address."""

    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Visit:
    """Calls of the Tracking API, to be sent in this order."""

    calls: tuple[Call, ...]


Step = Webhook | Visit


class Account:
    """One simulated account; `steps` plays it once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._population = Population(settings.seed, settings.contacts)
        self._reactions = Reactions(settings.seed)
        self.ledger = Ledger()

    def steps(self) -> Iterator[tuple[float, Step]]:
        """Yield what goes out, with the plan second at which it does, ascending."""
        waiting: list[tuple[float, int, Step]] = []
        number = 0
        for happening in self._happenings():
            while waiting and waiting[0][0] <= happening.at:
                at, _, step = heappop(waiting)
                yield at, step
            for at, step in self._outcome(happening):
                number += 1
                heappush(waiting, (at, number, step))
        while waiting:
            at, _, step = heappop(waiting)
            yield at, step

    def _happenings(self) -> Iterator[Happening]:
        """Yield everything that happens in the account, in the order it happens."""
        waiting: list[Happening] = []
        for campaign in campaigns(self._settings):
            while waiting and waiting[0].at < campaign.at:
                yield heappop(waiting)
            chance = Random(f"{self._settings.seed}:audience:{campaign.id}")
            audience = self._population.audience(chance, campaign.list_id, campaign.audience)
            found, gone = self._reactions.to(campaign, audience)
            self._population.replace(gone)
            for happening in found:
                heappush(waiting, happening)
        while waiting:
            yield heappop(waiting)

    def _outcome(self, happening: Happening) -> Iterator[tuple[float, Step]]:
        """Yield what goes out for one happening, and write it down."""
        settings, instant = self._settings, self._settings.instant(happening.at)
        sent = happening.kind in settings.events and is_sent(happening, settings.switches)
        times = self._sendings(happening) if sent else []
        self.ledger.happened(Entry.of(happening, instant, webhooks=len(times), due=sent))
        if times:
            webhook = Webhook(happening.kind, bodies.webhook(happening, instant, settings.switches))
            yield from ((at, webhook) for at in times)
        if happening.kind == "click" and (calls := shop.visit(settings.seed, happening, instant)):
            self.ledger.visited(calls)
            yield happening.at, Visit(tuple(calls))

    def _sendings(self, happening: Happening) -> list[float]:
        """Return the plan seconds at which a webhook goes out: usually one, none when it gets lost."""
        switches, tempo = self._settings.switches, happening.campaign.tempo
        chance = Random(f"{self._settings.seed}:sending:{happening.number}")
        if chance.random() < switches.losses:
            return []
        at = happening.at
        if chance.random() < switches.delays:
            at += chance.uniform(*_DELAY_S) * tempo
        if chance.random() < switches.reorders:
            at += chance.uniform(*_REORDER_S)
        again = chance.random() < switches.duplicates
        return [at, at + chance.uniform(*_DUPLICATE_S) * tempo] if again else [at]


def is_sent(happening: Happening, switches: Switches) -> bool:
    """Say whether the service tells of this happening at all, as the switches have it."""
    if happening.kind in {"open", "click"} and not happening.first and switches.repeats == "first":
        return False
    if happening.agent == APPLE_AGENT and switches.apple_privacy == "silent":
        return False
    if happening.by_system and happening.reason == COMPLAINT:
        return switches.complaints == "unsubscribe"
    return not (happening.kind == "unsubscribe" and happening.reason and switches.unsubscribes == "once")
