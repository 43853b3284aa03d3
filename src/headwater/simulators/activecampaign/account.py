"""The account's life, in order: who reacts to what and when, which webhooks go out for it, what follows in the shop.

Nothing here knows real time or a network: it is a plan, drawn as far as somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush
from operator import attrgetter
from random import Random
from typing import Final

from headwater.simulators.activecampaign import bodies, shop
from headwater.simulators.activecampaign.campaigns import Campaign, campaigns
from headwater.simulators.activecampaign.happenings import APPLE_AGENT, Happening, Reactions
from headwater.simulators.activecampaign.ledger import Entry, Ledger
from headwater.simulators.activecampaign.people import Contact, Population
from headwater.simulators.activecampaign.results import Result
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.shop import Call

_DELAY_S: Final = (60.0, 7200.0)
_REORDER_S: Final = (0.5, 20.0)
_DUPLICATE_S: Final = (0.0, 3600.0)
_RESULTS_MAX: Final = 1_000  # of an account without end, the newest are known; a campaign a minute is most of a day
_TURNS: Final = 4  # campaigns over which changes of address and deletions are spread


@dataclass(frozen=True, slots=True)
class Webhook:
    """One POST to every webhook address that wants it.

    Attributes:
        source: who began it; list_ids: whom it concerns, () for all: what webhooks are filtered by.
        result, place: where the occurrence is kept; None for what is none.
    """

    kind: str
    body: bytes
    source: str = "public"
    list_ids: tuple[int, ...] = ()
    result: Result | None = field(default=None, compare=False)
    place: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Visit:
    """Calls of the Tracking API, to be sent in this order."""

    calls: tuple[Call, ...]


Step = Webhook | Visit


@dataclass(frozen=True, slots=True)
class Left:
    """How a contact came off its lists; campaign and message 0 where it was none's doing."""

    at: datetime
    campaign_id: int
    message_id: int
    reason: str


class Account:
    """One simulated account; `steps` plays it once.

    Attributes:
        switches: as they are now; may be replaced while it is played.
        results: of every campaign that was sent so far, oldest first.
        left: who came off the lists, by contact.
    """

    def __init__(
        self, settings: Settings, listens: Callable[[str], bool] | None = None, *, shop_knows_past: bool = False
    ) -> None:
        self._settings = settings
        self._listens = listens or settings.events.__contains__
        self._reactions = Reactions(settings.seed)
        self.switches = settings.switches
        self.people = Population(settings.seed, settings.contacts)
        self.results: dict[int, Result] = {}
        self.left: dict[int, Left] = {}
        self._planned: dict[int, Result] = {}
        self.ledger = Ledger()
        self._is_past = settings.history == "past"
        self._shop_knows_past = shop_knows_past

    def steps(self) -> Iterator[tuple[float, Step]]:
        """Yield what goes out, with the plan second at which it does, ascending."""
        return ((at, step) for at, step in self.moments() if step is not None)

    def moments(self) -> Iterator[tuple[float, Step | None]]:
        """Yield the same, and None before each happening: it happens when the next is asked for."""
        waiting: list[tuple[float, int, Step]] = []
        number = 0
        for happening in self._happenings():
            while waiting and waiting[0][0] <= happening.at:
                at, _, step = heappop(waiting)
                yield at, step
            yield happening.at, None
            for at, step in self._outcome(happening):
                number += 1
                heappush(waiting, (at, number, step))
        while waiting:
            at, _, step = heappop(waiting)
            yield at, step

    def _happenings(self) -> Iterator[Happening]:
        """Yield everything that happens in the account, in the order it happens."""
        waiting: list[Happening] = []
        for campaign in campaigns(replace(self._settings, switches=self.switches)):
            begun = [happening for happening in waiting if happening.at < campaign.at]
            yield from begun
            waiting = sorted(waiting[len(begun) :] + self._sent(campaign), key=attrgetter("at", "number"))
        end = self._settings.history_s if self._settings.ends_at_present else float("inf")
        yield from (happening for happening in waiting if happening.at <= end)

    def _sent(self, campaign: Campaign) -> list[Happening]:
        """Send a campaign and return what happens after it."""
        settings, number = self._settings, campaign.id - self._settings.first_campaign
        if self.switches.deletions:
            self.people.replace(self._deleted(number))
        chance = Random(f"{settings.seed}:audience:{campaign.id}")
        audience = self.people.audience(chance, campaign.list_id, campaign.audience)
        if self.switches.email_changes:
            audience = [self.as_of(contact, number) for contact in audience]
        self._planned[campaign.id] = Result(campaign, settings.instant(campaign.at), audience)
        found, gone = self._reactions.to(campaign, audience, self.switches)
        self.people.replace(gone)
        return found

    def _deleted(self, number: int) -> set[int]:
        members = (self.people.get(id_) for id_ in range(1, len(self.people) + 1))
        return {member.id for member in members if member and self.is_deleted(member, number)}

    def is_deleted(self, contact: Contact, number: int | None = None) -> bool:
        """Say whether a contact is gone once the campaign of this place (from 0; the newest) is sent."""
        left = (1 - contact.turns) / self.switches.deletions if self.switches.deletions else 1.0
        return left < 1 and int(left * _TURNS) < self._place(number)

    def as_of(self, contact: Contact, number: int | None = None) -> Contact:
        """Return a contact with the address that it had when the campaign of this place (from 0) was sent."""
        turn = self._turn(contact)
        if turn is not None and turn < self._place(number) and contact.email:
            return replace(contact, email=f"new.{contact.email}")
        return contact

    def turned_at(self, contact: Contact) -> datetime | None:
        """Return when a contact got its new address, None before and for most."""
        turn = self._turn(contact)
        if turn is None or turn >= self._place(None):
            return None
        result = self.results.get(self._settings.first_campaign + turn + 1)
        return result.sent_at if result else None

    def _turn(self, contact: Contact) -> int | None:
        """Return after which campaign, from 0, a contact gets a new address; None for never."""
        share = self.switches.email_changes
        return int(contact.turns / share * _TURNS) if contact.turns < share else None

    def _place(self, number: int | None) -> int:
        return len(self.results) - 1 if number is None else number

    def user_id(self, contact: Contact) -> str:
        """Return what the account itself knows of who a contact is in the shop; "" for nothing."""
        knows = self.switches.user_ids == "set" and contact.knows_user < self.switches.user_id_share
        return contact.user_id if knows and contact.email else ""

    def _outcome(self, happening: Happening) -> Iterator[tuple[float, Step]]:
        """Yield what goes out for one happening, and write it down."""
        settings, instant = self._settings, self._settings.instant(happening.at)
        if happening.by_admin and happening.contact is not None and happening.contact.id in self.left:
            return  # who has left already cannot be taken off
        if happening.kind == "sent":
            self._begin(happening.campaign)
        result = self.results.get(happening.campaign.id)
        if result is None:  # a straggler of a campaign that is no longer known
            result = Result(happening.campaign, instant, [])
        at_s, first, place = int(instant.timestamp()), True, 0
        is_shown = not (happening.is_complaint and self.switches.complaints == "nothing")
        if happening.contact is not None and is_shown:
            first = result.count(happening, at_s)
            if happening.kind == "unsubscribe":
                self._leave(happening.contact, happening, instant)
        due = is_sent(happening, self.switches, first=first)
        if happening.contact is not None:
            place = result.keep(happening, at_s, first=first, due=due, shown=is_shown)
        past = self._is_past and happening.at <= settings.history_s
        told = due and not past and self._listens(happening.kind)
        times = self._sendings(happening) if told else []
        self.ledger.happened(Entry.of(happening, instant, webhooks=len(times), due=told))
        if times:
            webhook = Webhook(
                happening.kind,
                bodies.webhook(happening, instant, self.switches),
                happening.initiator,
                _lists(happening),
                result if happening.contact is not None else None,
                place,
            )
            yield from ((at, webhook) for at in times)
        seen = self._shop_knows_past or not past
        if happening.kind == "click" and seen and (calls := shop.visit(settings.seed, happening, instant)):
            self.ledger.visited(calls)
            yield happening.at, Visit(tuple(calls))

    def _begin(self, campaign: Campaign) -> None:
        """Let a campaign be known from now on; an account without end forgets its oldest."""
        self.results[campaign.id] = self._planned.pop(campaign.id)
        if len(self.results) > _RESULTS_MAX and self._settings.live_campaigns is None:
            del self.results[next(iter(self.results))]

    def _leave(self, contact: Contact, happening: Happening, instant: datetime) -> None:
        """Note that a contact is off the lists; a reason given later belongs to the same leaving."""
        before = self.left.get(contact.id)
        tied = not happening.by_admin
        self.left[contact.id] = Left(
            before.at if before else instant,
            happening.campaign.id if tied else 0,
            bodies.message_of(happening).id if tied else 0,
            happening.reason or (before.reason if before else ""),
        )

    def _sendings(self, happening: Happening) -> list[float]:
        """Return the plan seconds at which a webhook goes out: usually one, none when it gets lost."""
        switches, tempo = self.switches, happening.campaign.tempo
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


def _lists(happening: Happening) -> tuple[int, ...]:
    if happening.kind == "unsubscribe" and happening.contact is not None and happening.initiator == "public":
        return happening.contact.list_ids
    return (happening.campaign.list_id,)


def is_sent(happening: Happening, switches: Switches, *, first: bool) -> bool:
    """Say whether the service tells of this happening at all, as the switches have it."""
    if happening.kind in {"open", "click"} and not first and switches.repeats == "first":
        return False
    if happening.agent == APPLE_AGENT and switches.apple_privacy == "silent":
        return False
    if happening.is_complaint:
        return switches.complaints == "unsubscribe"
    return not (happening.kind == "unsubscribe" and happening.reason and switches.unsubscribes == "once")
