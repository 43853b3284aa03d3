"""What came of each campaign, compactly: every occurrence as a few numbers, and what the reports count of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from headwater.simulators.activecampaign.campaigns import Campaign, Link
from headwater.simulators.activecampaign.happenings import Happening
from headwater.simulators.activecampaign.people import Contact


class Detail(NamedTuple):
    """What many occurrences have in common, kept once."""

    kind: str
    link: Link | None
    agent: str
    reason: str
    bounce: tuple[str, str, str]
    by_admin: bool
    by_machine: bool
    initiator: str
    is_complaint: bool
    is_shown: bool
    first: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence; `at_s` is epoch seconds, `sent` and `arrived` count its webhooks."""

    detail: Detail
    contact_id: int
    at_s: int
    sent: int
    arrived: int


class Tally:
    """A report: for each contact when first and how often, in the order of the first."""

    __slots__ = ("_rows", "contacts", "firsts", "times", "total")

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self.contacts, self.firsts, self.times = array("I"), array("q"), array("I")
        self.total = 0

    def __len__(self) -> int:
        """Return how many contacts there are."""
        return len(self.contacts)

    def __contains__(self, contact_id: int) -> bool:
        """Say whether a contact is in it."""
        return contact_id in self._rows

    def first(self, contact_id: int) -> int | None:
        """Return when a contact was first counted, None for one that was not."""
        row = self._rows.get(contact_id)
        return None if row is None else self.firsts[row]

    def count(self, contact_id: int, at_s: int) -> bool:
        """Count one more; return whether it was the contact's first."""
        self.total += 1
        row = self._rows.setdefault(contact_id, len(self.contacts))
        if row < len(self.contacts):
            self.times[row] += 1
            return False
        self.contacts.append(contact_id)
        self.firsts.append(at_s)
        self.times.append(1)
        return True


class Result:
    """One campaign's."""

    def __init__(self, campaign: Campaign, sent_at: datetime, audience: list[Contact]) -> None:
        self.campaign, self.sent_at = campaign, sent_at
        self.recipients = array("I", [contact.id for contact in audience])
        self.opens = Tally()
        self.clicks = {link.id: Tally() for link in campaign.links}
        self.bounces = Tally()
        self.unsubscribes = Tally()
        self.clickers: set[int] = set()
        self.reasons: dict[int, str] = {}
        self.bounced: dict[int, tuple[str, str, str]] = {}
        self._details: list[Detail] = []
        self._places: dict[Detail, int] = {}
        self._detail, self._contact, self._at = array("H"), array("I"), array("q")
        self._sent, self._arrived = array("B"), array("B")

    def __len__(self) -> int:
        """Return how many occurrences there were, deliveries not counted."""
        return len(self._at)

    def count(self, happening: Happening, at_s: int) -> bool:
        """Count a happening in the reports; return whether it is the first for this person (and link)."""
        assert happening.contact is not None  # noqa: S101 - a send itself is no occurrence
        id_ = happening.contact.id
        match happening.kind:
            case "open":
                return self.opens.count(id_, at_s)
            case "click":
                assert happening.link is not None  # noqa: S101 - a click has one
                self.clickers.add(id_)
                return self.clicks[happening.link.id].count(id_, at_s)
            case "bounce":
                self.bounced.setdefault(id_, happening.bounce)
                return self.bounces.count(id_, at_s)
        if happening.by_admin:
            return True
        self.reasons[id_] = happening.reason or self.reasons.get(id_, "")
        return self.unsubscribes.count(id_, at_s)

    def keep(self, happening: Happening, at_s: int, *, first: bool, due: bool, shown: bool) -> int:
        """Keep a happening and return its place."""
        assert happening.contact is not None  # noqa: S101 - as above
        detail = Detail(
            happening.kind,
            happening.link,
            happening.agent,
            happening.reason,
            happening.bounce,
            happening.by_admin,
            happening.by_machine,
            happening.initiator,
            happening.is_complaint,
            shown,
            first,
            due,
        )
        place = self._places.get(detail)
        if place is None:
            place = self._places[detail] = len(self._details)
            self._details.append(detail)
        self._detail.append(place)
        self._contact.append(happening.contact.id)
        self._at.append(at_s)
        self._sent.append(0)
        self._arrived.append(0)
        return len(self._at) - 1

    def went(self, place: int, *, arrived: bool) -> None:
        """Note that a webhook told of an occurrence, and whether its receiver took it."""
        self._sent[place] = min(self._sent[place] + 1, 255)
        self._arrived[place] = min(self._arrived[place] + arrived, 255)

    def occurrences(self) -> Iterator[Occurrence]:
        """Yield what happened so far, in order, deliveries left out."""
        for row in range(len(self._at)):
            yield Occurrence(
                self._details[self._detail[row]],
                self._contact[row],
                self._at[row],
                self._sent[row],
                self._arrived[row],
            )
