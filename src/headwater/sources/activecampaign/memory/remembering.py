"""Map what arrives with what is remembered: each occurrence once, with who it was and what its campaign is called."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from headwater.limits import KIB, WEBHOOK_EVENT_BYTES_MAX
from headwater.sources.activecampaign import settings as source_settings
from headwater.sources.activecampaign.mapping import drafts
from headwater.sources.activecampaign.mapping.draft import Draft, Read
from headwater.sources.activecampaign.memory import holding, matching
from headwater.sources.activecampaign.memory.known import NO_TIME, Known, Place, id_bytes, place_of, told_of
from headwater.sources.activecampaign.memory.ledger import Changes, LastEvent, Ledger
from headwater.sources.activecampaign.memory.scanning import is_scanner
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import CampaignNote, Person
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.contract import Mapped, Origin, Taken, Webhook
from headwater.spec.event import Body

_LARGE_BODY_BYTES: Final = 16 * KIB
"""Ours: a smaller record cannot become an event that is too large: a byte grows to twelve, `\\u0001` in two places."""
_ROOM_BYTES: Final = 8 * KIB  # ours: for what is added to an event after its size is looked at
_TOO_LARGE: Final = "the event is too large"
_ACCOUNT: Final = "account"
_CUSTOM_FIELD: Final = "custom_field"
_DESCRIBING: Final = ("campaign_name", "campaign_type", "email_subject")

_encode: Final = msgspec.json.Encoder().encode


class Who(Protocol):
    """Tells who contacts are, within a bounded time."""

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:
        """Return who is known of these contacts, by key; one that is absent did not answer in time.

        Args:
            source_id: whose account.
            contacts: {contact id: e-mail}; a contact without an id has its e-mail as key.
        """
        ...


class Notes(Protocol):
    """Tells what campaigns are called, within a bounded time."""

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> Mapping[str, CampaignNote]:
        """Return what is known of these campaigns, by id; one that is absent did not answer in time."""
        ...


@dataclass(slots=True)
class _Event:
    """A draft that becomes an event: `record` is the position of what told it, `people` were told with it."""

    record: int
    draft: Draft
    body: Body
    received_at: datetime
    people: Mapping[str, Person] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """What was read, what is known of it, and what becomes of it."""

    reads: list[Read] = field(default_factory=list)
    known: dict[Place, Known] = field(default_factory=dict)
    events: list[_Event] = field(default_factory=list)


class OccurrenceMemory:
    """Implements `contract.Memory`."""

    def __init__(self, ledger: Ledger, who: Who, notes: Notes) -> None:
        """Take what remembers and whom to ask."""
        self._ledger, self._who, self._notes = ledger, who, notes

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        """Return what records of one source mean, in inbox order; asks only about what becomes an event."""
        batch = await asyncio.to_thread(self._look, source_id, webhooks, settings)
        people, notes = await self._ask(source_id, batch.events)
        mapped = await asyncio.to_thread(_mapped, batch, people, notes)
        seqs = [each.seq for each in webhooks if each.origin is Origin.WEBHOOK]
        return Taken(mapped, Changes(batch.known, _last(batch.events), seqs))

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:  # noqa: ARG002 - the contract's
        """Return unsubscribes that waited long enough for a reason, as many as fit into a batch."""
        batch = await asyncio.to_thread(self._release, source_id, until)
        if not batch.events:
            return Taken((), Changes(batch.known) if batch.known else None)
        people, notes = await self._ask(source_id, batch.events)
        batch.reads = [Read()]
        mapped = await asyncio.to_thread(_mapped, batch, people, notes)
        return Taken(mapped, Changes(batch.known, _last(batch.events)))

    async def keep(self, source_id: str, taken: Taken) -> None:
        """Remember what was returned, now that the log has it."""
        if taken.note is not None:
            await asyncio.to_thread(self._ledger.commit, source_id, taken.note)

    async def begin_again(self, source_id: str, last: datetime | None) -> None:
        """Take everything for lost that is told again, and forget what happened after the last record."""
        await asyncio.to_thread(self._ledger.begin_again, source_id, last.timestamp() if last else None)

    def _look(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> _Batch:
        """Read records and keep what is new; nothing is written."""
        terms = source_settings.read(settings)
        batch = _Batch([_read(webhook, settings) for webhook in webhooks])
        batch.known = self._ledger.known(source_id, _places(batch.reads))
        lost_until = datetime.fromtimestamp(self._ledger.lost_until(source_id), UTC)
        for record, (webhook, read) in enumerate(zip(webhooks, batch.reads, strict=True)):
            for draft in read.drafts:
                again = matching.lost(draft, batch.known[place_of(draft)]) if webhook.received_at <= lost_until else []
                for new in (*again, *_news(draft, batch.known, terms, webhook.received_at)):
                    body = _bounced(new, batch.known) if new.kind is Kind.BOUNCE else new.body
                    batch.events.append(_Event(record, new, body, webhook.received_at, read.people))
        for event in batch.events:
            _mark_scanner(event, batch.known)
        return batch

    def _release(self, source_id: str, until: datetime) -> _Batch:
        overdue = self._ledger.overdue(source_id, until.timestamp())
        spans = {place_of(held.draft): _span(held.draft) for held in overdue}
        batch = _Batch(known=self._ledger.known(source_id, spans) if spans else {})
        for held in overdue:
            known = batch.known[place_of(held.draft)]
            id_ = id_bytes(held.draft.message_id)
            same = next(each for each in known.held if id_bytes(each.draft.message_id) == id_)
            for draft in holding.released(same, known):
                batch.events.append(_Event(0, draft, draft.body, until))
        return batch

    async def _ask(
        self, source_id: str, events: Iterable[_Event]
    ) -> tuple[Mapping[str, Person], Mapping[str, CampaignNote]]:
        """Return who the contacts are and what the campaigns are called; both answer within their bounds."""
        contacts = dict[str, str]()
        campaigns = set[str]()
        for event in events:
            draft = event.draft
            if (key := _key(draft)) and key not in event.people:
                contacts[key] = draft.email
            if draft.campaign_id and not all(name in draft.body["properties"] for name in _DESCRIBING):
                campaigns.add(draft.campaign_id)
        people, notes = await asyncio.gather(self._people(source_id, contacts), self._campaigns(source_id, campaigns))
        return people, notes

    async def _people(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:
        return await self._who.who(source_id, contacts) if contacts else {}

    async def _campaigns(self, source_id: str, ids: Collection[str]) -> Mapping[str, CampaignNote]:
        return await self._notes.notes(source_id, ids) if ids else {}


def _read(webhook: Webhook, settings: Mapping[str, Any]) -> Read:
    """Return what a record tells; without events that would be too large to carry: the record is quarantined then."""
    read = drafts.read(webhook, settings)
    if len(webhook.body) < _LARGE_BODY_BYTES:
        return read
    fitting = tuple(draft for draft in read.drafts if len(_encode(draft.body)) <= WEBHOOK_EVENT_BYTES_MAX - _ROOM_BYTES)
    if len(fitting) == len(read.drafts):
        return read
    return Read(fitting, quarantined=_TOO_LARGE, people=read.people)


def _places(reads: Iterable[Read]) -> dict[Place, tuple[int, int]]:
    """Return every place that matters for a batch, with the times of its tellings."""
    spans: dict[Place, tuple[int, int]] = {}
    for read in reads:
        for draft in read.drafts:
            for kind in _kinds(draft):
                place, (first, last) = place_of(draft, kind), _span(draft)
                before = spans.get(place, (first, last))
                spans[place] = (min(before[0], first), max(before[1], last))
    return spans


def _kinds(draft: Draft) -> tuple[Kind, ...]:
    """Return the kinds that must be known: a bounce and a delivery contradict each other."""
    match draft.kind:
        case Kind.BOUNCE:
            return (Kind.BOUNCE, Kind.DELIVERED)
        case Kind.DELIVERED if _is_assumed(draft):
            return (Kind.DELIVERED, Kind.BOUNCE)
    return (draft.kind,)


def _span(draft: Draft) -> tuple[int, int]:
    at_s = NO_TIME if draft.at_s is None else draft.at_s
    return at_s, at_s


def _news(draft: Draft, known: Mapping[Place, Known], terms: Settings, received_at: datetime) -> list[Draft]:
    """Return what becomes an event because of a draft, and remember it in `known`."""
    here = known[place_of(draft)]
    if draft.kind is Kind.UNSUBSCRIBE:
        return holding.unsubscribed(draft, here, received_s=received_at.timestamp(), wait_s=terms.merge_unsubscribes_s)
    if _is_refuted(draft, known):
        return []
    return matching.news(
        draft,
        here,
        received_s=int(received_at.timestamp()),
        repeats=terms.backfill_repeats,
        same_second=terms.same_second == "count",
    )


def _is_refuted(draft: Draft, known: Mapping[Place, Known]) -> bool:
    """Say whether a list of recipients calls somebody delivered of whom a bounce is known."""
    return draft.kind is Kind.DELIVERED and _is_assumed(draft) and bool(known[place_of(draft, Kind.BOUNCE)])


def _is_assumed(draft: Draft) -> bool:
    """Say whether nothing but a list of recipients says that the email was delivered."""
    return bool(draft.body["properties"].get("derived_from") == "report")


def _bounced(draft: Draft, known: Mapping[Place, Known]) -> Body:
    """Return a bounce, marked where the delivery of the same email was derived before."""
    return drafts.contradicting(draft.body) if known[place_of(draft, Kind.DELIVERED)] else draft.body


def _mark_scanner(event: _Event, known: Mapping[Place, Known]) -> None:
    """Mark a click among many at once: also the first of them, as long as they come in one batch."""
    draft = event.draft
    if draft.kind is Kind.CLICK and is_scanner(told_of(draft).at_s, known[place_of(draft)].tellings):
        event.body = drafts.scanned(event.body)


def _mapped(batch: _Batch, people: Mapping[str, Person], notes: Mapping[str, CampaignNote]) -> tuple[Mapped, ...]:
    """Return what every record became, in their order."""
    bodies: list[list[Body]] = [[] for _ in batch.reads]
    for event in batch.events:
        person = _person(event, people)
        for body in (event.body, *(each.body for each in event.draft.companions)):
            finished = drafts.identified(body, person)
            if note := notes.get(event.draft.campaign_id):
                finished = drafts.described(finished, note)
            bodies[event.record].append(finished)
    return tuple(
        Mapped(tuple(events), read.quarantined, "" if events else read.ignored)
        for events, read in zip(bodies, batch.reads, strict=True)
    )


def _person(event: _Event, people: Mapping[str, Person]) -> Person | None:
    """Return who it was: what the account says, else its custom field, else an identify call; None for no answer."""
    key = _key(event.draft)
    person = event.people.get(key) or people.get(key)
    if event.draft.field_user_id and not (person and person.user_id and person.how == _ACCOUNT):
        return Person(event.draft.field_user_id, _CUSTOM_FIELD)
    return person


def _key(draft: Draft) -> str:
    return draft.contact_id or draft.email


def _last(events: Sequence[_Event]) -> LastEvent | None:
    """Return the newest; of several at one time the first, which is what was told and not what is derived from it."""
    if not events:
        return None
    newest = max(events, key=lambda event: str(event.body["timestamp"]))
    at = datetime.fromisoformat(str(newest.body["timestamp"]))
    return LastEvent(str(newest.body["event"]), at, newest.received_at, newest.draft.origin)
