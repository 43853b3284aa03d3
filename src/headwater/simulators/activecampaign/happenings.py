"""What people do with an email: one pass over a campaign's audience, decided by chance that is seeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from headwater.simulators.activecampaign.campaigns import Campaign, Link
from headwater.simulators.activecampaign.people import Contact
from headwater.simulators.activecampaign.settings import Switches

APPLE_AGENT: Final = "Mozilla/5.0"
SCANNER_AGENT: Final = "Mozilla/5.0 (compatible; MailGateway/4.2; +https://gateway.example.net/scanner)"
COMPLAINT: Final = "Abuse Reported."
_REASONS: Final = ("Too many emails", "I never signed up", "Not interested any more 🙁", "Other: prices & shipping")
_BOUNCES: Final = (
    ("hard", "5.1.1", "550 5.1.1 The email account does not exist"),
    ("hard", "5.1.2", "550 5.1.2 Bad destination host"),
    ("soft", "4.2.2", "452 4.2.2 Mailbox full"),
    ("soft", "4.4.1", "421 4.4.1 Connection timed out"),
    ("soft", "", ""),
)

_BOUNCE_SHARE: Final = 0.014
_COMPLAINT_SHARE: Final = 0.0006
_UNSUBSCRIBE_SHARE: Final = 0.006  # of those who open
_REASON_SHARE: Final = 0.6
_CLICK_SHARE: Final = 0.16  # of those who open
_AGAIN_SHARE: Final = 0.2
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, order=True)
class Happening:
    """One thing that happened in the account.

    Attributes:
        at: plan second.
        number: breaks ties, in the order decided.
        reason: what an unsubscribe says; with `COMPLAINT` and `by_system` it is a complaint.
        by_admin: a user of the account did it, for no campaign.
        by_machine: a privacy proxy or a mail gateway did it, and no person.
    """

    at: float
    number: int
    kind: str = field(compare=False)
    campaign: Campaign = field(compare=False)
    contact: Contact | None = field(compare=False, default=None)
    link: Link | None = field(compare=False, default=None)
    agent: str = field(compare=False, default="")
    reason: str = field(compare=False, default="")
    bounce: tuple[str, str, str] = field(compare=False, default=("", "", ""))
    by_system: bool = field(compare=False, default=False)
    by_admin: bool = field(compare=False, default=False)
    by_machine: bool = field(compare=False, default=False)

    @property
    def initiator(self) -> str:
        """Which of the service's four sources it came from."""
        return "system" if self.by_system else "admin" if self.by_admin else "public"

    @property
    def is_complaint(self) -> bool:
        """Whether somebody called the email spam."""
        return self.by_system and self.reason == COMPLAINT


class Reactions:
    """Decides what an audience does; counts happenings so that each has its own number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._number = 0

    def to(self, campaign: Campaign, audience: list[Contact], switches: Switches) -> tuple[list[Happening], set[int]]:
        """Return what happens after a send, in no order, and the contacts that left the lists over it."""
        chance = Random(f"{self._seed}:reactions:{campaign.id}")
        admin = Random(f"{self._seed}:admin:{campaign.id}") if switches.admin_unsubscribes else None
        found = [self._new(campaign.at, "sent", campaign)]
        for contact in audience:
            found.extend(self._person(chance, campaign, contact, switches))
            if admin is not None and admin.random() < switches.admin_unsubscribes:
                at = campaign.at + admin.uniform(600, 20_000) * campaign.tempo
                found.append(self._new(at, "unsubscribe", campaign, contact=contact, by_admin=True))
        gone = {
            happening.contact.id
            for happening in found
            if happening.contact and (happening.kind == "unsubscribe" or happening.bounce[0] == "hard")
        }
        if not campaign.is_tracked:
            found = [happening for happening in found if happening.kind not in {"open", "click"}]
        return found, gone

    def _new(self, at: float, kind: str, campaign: Campaign, **members: Any) -> Happening:
        self._number += 1
        return Happening(at, self._number, kind, campaign, **members)

    def _person(self, chance: Random, campaign: Campaign, contact: Contact, switches: Switches) -> Iterator[Happening]:
        arrived = campaign.at + chance.uniform(1, 300) * campaign.tempo
        if chance.random() < _BOUNCE_SHARE:
            bounce = chance.choice(_BOUNCES)
            yield self._new(arrived, "bounce", campaign, contact=contact, bounce=bounce, by_system=True)
            return
        if contact.scans < switches.scanners:
            yield from self._scan(campaign, contact, arrived)
        if contact.on_apple:
            late = arrived + chance.uniform(10, 1800) * campaign.tempo
            yield self._new(late, "open", campaign, contact=contact, agent=APPLE_AGENT, by_machine=True)
        if chance.random() < contact.interest:
            yield from self._reader(chance, campaign, contact, arrived)
        elif chance.random() < _COMPLAINT_SHARE:
            at = arrived + chance.uniform(60, 3600) * campaign.tempo
            yield self._new(at, "unsubscribe", campaign, contact=contact, reason=COMPLAINT, by_system=True)

    def _scan(self, campaign: Campaign, contact: Contact, arrived: float) -> Iterator[Happening]:
        """Yield what a mail gateway does within seconds: fetches the pictures and follows every link."""
        by = {"contact": contact, "agent": SCANNER_AGENT, "by_machine": True}
        yield self._new(arrived + 1, "open", campaign, **by)
        for place, link in enumerate(campaign.links, 1):  # chance is left alone: people do what they do without it
            yield self._new(arrived + 1 + place, "click", campaign, link=link, **by)

    def _reader(self, chance: Random, campaign: Campaign, contact: Contact, arrived: float) -> Iterator[Happening]:
        opened = arrived + chance.lognormvariate(0.7, 1.1) * _HOUR_S * campaign.tempo
        yield self._new(opened, "open", campaign, contact=contact, agent=contact.agent)
        if chance.random() < _AGAIN_SHARE:
            again = opened + chance.uniform(0.5, 20) * _HOUR_S * campaign.tempo
            yield self._new(again, "open", campaign, contact=contact, agent=contact.agent)
        if chance.random() < _CLICK_SHARE:
            yield from self._clicks(chance, campaign, contact, opened)
        if chance.random() < _UNSUBSCRIBE_SHARE:
            yield from self._unsubscribe(chance, campaign, contact, opened)

    def _clicks(self, chance: Random, campaign: Campaign, contact: Contact, opened: float) -> Iterator[Happening]:
        by = {"contact": contact, "agent": contact.agent}
        for link in chance.sample(campaign.links, chance.choice((1, 1, 1, 2))):
            at = opened + chance.uniform(3, 90)
            yield self._new(at, "click", campaign, link=link, **by)
            if chance.random() < _AGAIN_SHARE:
                yield self._new(at + chance.uniform(5, 600), "click", campaign, link=link, **by)

    def _unsubscribe(self, chance: Random, campaign: Campaign, contact: Contact, opened: float) -> Iterator[Happening]:
        at = opened + chance.uniform(4, 60)
        yield self._new(at, "unsubscribe", campaign, contact=contact)
        if chance.random() < _REASON_SHARE:
            later = at + chance.uniform(8, 180)
            yield self._new(later, "unsubscribe", campaign, contact=contact, reason=chance.choice(_REASONS))
