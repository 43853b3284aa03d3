"""What is known of one kind of occurrence of one person in one campaign, in memory for the time of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final, NamedTuple

from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.contract import Origin

NO_TIME: Final = -1
"""Stands for `at_s` None."""
_TEXT_CHARS_MAX: Final = 64  # ours: what is longer, such as a link without an id, is kept as its hash
_PREFIX_CHARS: Final = len("ac-")


class Flag(IntFlag):
    """What else is remembered of a telling."""

    ABSORBED = 1  # has no event of its own: another telling of an occurrence that is known
    CLAIMED = 2  # a report told it, and the webhook that is the same came, too
    REASON = 4  # an unsubscribe that tells why
    REPEAT = 8  # of a report's repeats: it happened at some time between `at_s` and `at_s + slack_s`
    LOST = 16  # perhaps: the log is an older copy, and this was not told again since


NO_FLAG: Final = Flag(0)


class Place(NamedTuple):
    """What tellings are compared within; texts are short, see `short`."""

    campaign: str
    kind: Kind
    person: str


@dataclass(slots=True)
class Told:
    """One telling that is remembered.

    Attributes:
        link: of a click; of an unsubscribe its id, which both webhooks of it share; else "".
        at_s: when, in seconds since 1970, or `NO_TIME`.
        slack_s: how far off another telling of the same may lie.
        id: the 16 bytes of its message id.
        body: 8 bytes of the hash of the raw webhook, b"" of a report's row.
    """

    link: str
    at_s: int
    slack_s: int
    id: bytes
    origin: Origin
    flags: Flag = NO_FLAG
    body: bytes = b""

    @property
    def is_occurrence(self) -> bool:
        """Whether it has an event of its own."""
        return not self.flags & Flag.ABSORBED

    @property
    def is_claimable(self) -> bool:
        """Whether a webhook of the same occurrence may still come."""
        return self.origin is Origin.REPORT and not self.flags & (Flag.ABSORBED | Flag.CLAIMED)

    def is_near(self, at_s: int, slack_s: int) -> bool:
        """Say whether a telling of this time can be of the same occurrence; one without a time can be any."""
        if NO_TIME in (self.at_s, at_s):
            return True
        if self.flags & Flag.REPEAT:
            return self.at_s - slack_s <= at_s <= self.at_s + self.slack_s + slack_s
        return abs(self.at_s - at_s) <= max(self.slack_s, slack_s)


@dataclass(slots=True)
class Held:
    """An unsubscribe that waits for the reason that may follow; times in seconds since 1970.

    Attributes:
        draft: its telling without a reason.
        due_s: until when the reason must have arrived.
    """

    draft: Draft
    due_s: float


@dataclass(slots=True)
class Known:
    """Everything of one place, and what a batch changes in it.

    Attributes:
        elsewhere: occurrences by link that are not in `tellings`, of a person that has very many.
        changed: tellings that are new or were claimed.
        persons, links, total: what the changes add to the counts.
        held: unsubscribes that wait; `waiting` are those that are new, `released` those that wait no longer.
    """

    tellings: list[Told] = field(default_factory=list)
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    changed: dict[bytes, Told] = field(default_factory=dict)
    persons: int = 0
    links: int = 0
    total: int = 0
    waiting: dict[bytes, Held] = field(default_factory=dict)
    released: set[bytes] = field(default_factory=set)
    _ids: dict[bytes, Told] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index what was read."""
        self._counts.update(self.elsewhere)
        for told in self.tellings:
            self._ids[told.id] = told
            if told.is_occurrence:
                self._counts[told.link] = self.count(told.link) + 1

    def __bool__(self) -> bool:
        """Whether any occurrence is known."""
        return bool(self._counts)

    def by_id(self, id_: bytes) -> Told | None:
        """Return the telling of a message id."""
        return self._ids.get(id_)

    def count(self, link: str) -> int:
        """Return how many occurrences of a link are known."""
        return self._counts.get(link, 0)

    def occurrences(self, link: str) -> Iterable[Told]:
        """Return those that are near enough to matter, in no order."""
        return (each for each in self.tellings if each.link == link and each.is_occurrence)

    def add(self, told: Told) -> None:
        """Remember a telling."""
        if told.is_occurrence:
            self.persons += not self._counts
            self.links += told.link not in self._counts
            self.total += 1
            self._counts[told.link] = self.count(told.link) + 1
        self.tellings.append(told)
        self._ids[told.id] = told
        self.changed[told.id] = told

    def flag(self, told: Told, flag: Flag) -> None:
        """Note something about a telling that is known."""
        told.flags |= flag
        self.changed[told.id] = told

    def found(self, told: Told) -> None:
        """Note that the log has it for sure."""
        told.flags &= ~Flag.LOST
        self.changed[told.id] = told

    def hold(self, held: Held) -> None:
        """Let an unsubscribe wait."""
        self.held.append(held)
        self.waiting[id_bytes(held.draft.message_id)] = held

    def release(self, held: Held) -> None:
        """Let it wait no longer."""
        self.held.remove(held)
        id_ = id_bytes(held.draft.message_id)
        self.released.add(id_)
        self.waiting.pop(id_, None)


def short(text: str) -> str:
    """Return a text as the ledger keeps it."""
    return (
        text if len(text) <= _TEXT_CHARS_MAX else f"#{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:32]}"
    )


def id_bytes(message_id: str) -> bytes:
    """Return the 16 bytes of `ac-` and 32 hexadecimal digits."""
    return bytes.fromhex(message_id[_PREFIX_CHARS:])


def place_of(draft: Draft, kind: Kind | None = None) -> Place:
    """Return where tellings of the same occurrence are found; what is about nobody in particular stands alone."""
    kind = kind or draft.kind
    if kind is Kind.OTHER:
        return Place("", kind, draft.message_id)
    return Place(short(draft.campaign_id), kind, short(draft.person))


def link_of(draft: Draft) -> str:
    """Return what tells occurrences of one place apart beside the time."""
    if draft.kind is Kind.UNSUBSCRIBE:
        return draft.unsubscribe_id
    if not draft.campaign_id:
        return short(f"{draft.email_message_id} {draft.link}".strip())  # mails that belong to no campaign
    return short(draft.link)


def told_of(draft: Draft, flags: Flag = NO_FLAG) -> Told:
    """Return what is remembered of a telling."""
    return Told(
        link_of(draft),
        NO_TIME if draft.at_s is None else draft.at_s,
        draft.slack_s,
        id_bytes(draft.message_id),
        draft.origin,
        flags | (Flag.REASON if draft.reason else NO_FLAG),
        bytes.fromhex(draft.body_hash[:16]),
    )
