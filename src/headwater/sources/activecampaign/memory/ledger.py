"""What is known of every occurrence, so that each becomes one event however often and by whomever it is told.

A telling takes about 100 bytes: the ledger keeps ids, links and times, and of webhooks whole events only while an
unsubscribe waits for its reason.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater import sqlite
from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.memory.known import Flag, Held, Known, Place, Told, id_bytes
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.contract import Origin

_SCHEMA: Final = Path(__file__).with_name("ledger.sql")
_KINDS: Final = (Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE, Kind.BOUNCE, Kind.DELIVERED, Kind.SPAM, Kind.OTHER)
"""Their order is the file's: add at the end."""
_NUMBERS: Final = {kind: number for number, kind in enumerate(_KINDS)}
_ORIGINS: Final = (Origin.WEBHOOK, Origin.REPORT)

TELLINGS_MAX: Final = 200
"""Ours: tellings of one place that are read whole; of a place with more, those around the times in question."""
_NEAR_MAX: Final = 5_000  # ours: of those
_AROUND_S: Final = 2 * 86_400  # ours: above every slack that counts in such a place
_OVERDUE_MAX: Final = 500  # ours: one batch of the mapper
_AHEAD_S_MAX: Final = (
    2 * 3_600
)  # ours: twice the longest wait; what is due later was held before the clock was set back

_SELECT: Final = (
    "select link, at_s, slack_s, id, origin, flags, body from tellings"
    " where source = ? and campaign = ? and kind = ? and person = ?"
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Draft).decode

_PERSONAL: Final = ("tellings", "held")  # tables with rows of one person
_OF_PERSONS: Final = (
    "source in (select id from sources where source_id in (select value from json_each(?)))"
    " and person in (select value from json_each(?))"
)


@dataclass(frozen=True, slots=True)
class Count:
    """How much is known of one kind in one campaign.

    Attributes:
        persons: different contacts.
        links: of clicks different pairs of contact and link.
        total: occurrences.
    """

    persons: int
    links: int
    total: int


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The newest event: its name, when it happened, when that arrived, and how."""

    event: str
    at: datetime
    received_at: datetime
    origin: Origin


@dataclass(slots=True)
class Changes:
    """What a batch of one source adds; committed at once.

    Attributes:
        known: every place that the batch looked at.
        last: its newest event, None when it had none.
        webhook_seqs: where its webhooks stand in the inbox.
    """

    known: Mapping[Place, Known] = field(default_factory=dict)
    last: LastEvent | None = None
    webhook_seqs: Sequence[int] = ()


class Ledger:
    """The occurrences of all sources in one SQLite file; one caller at a time reads and writes batches.

    Any thread may ask for `counts`, `last` and `arrived`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self._path, self._db = path, sqlite.connect(path)
        self._db.executescript(_SCHEMA.read_text())
        self._side, self._lock = sqlite.connect(path, read_only=True), threading.Lock()

    def known(self, source_id: str, places: Mapping[Place, tuple[int, int]]) -> dict[Place, Known]:
        """Return what is known of each place; the times (first, last) matter where very much is known."""
        source = self._number(source_id)
        if source is None:
            return {place: Known() for place in places}
        return {place: self._known(source, place, span) for place, span in places.items()}

    def _known(self, source: int, place: Place, span: tuple[int, int]) -> Known:
        key = (source, place.campaign, _NUMBERS[place.kind], place.person)
        rows = self._db.execute(f"{_SELECT} limit ?", (*key, TELLINGS_MAX + 1)).fetchall()
        held = self._held(source, place) if place.kind is Kind.UNSUBSCRIBE else []
        if len(rows) <= TELLINGS_MAX:
            return Known([_told(row) for row in rows], held=held)
        around = (span[0] - _AROUND_S, span[1] + _AROUND_S, _NEAR_MAX)
        rows = self._db.execute(f"{_SELECT} and at_s between ? and ? limit ?", (*key, *around)).fetchall()
        tellings = [_told(row) for row in rows]
        counted = self._db.execute(
            "select link, count(*) from tellings"
            " where source = ? and campaign = ? and kind = ? and person = ? and flags & ? = 0 group by link",
            (*key, Flag.ABSORBED.value),
        )
        elsewhere = dict(counted.fetchall())
        for told in tellings:
            elsewhere[told.link] = elsewhere.get(told.link, 0) - told.is_occurrence
        return Known(tellings, elsewhere, held)

    def _held(self, source: int, place: Place) -> list[Held]:
        rows = self._db.execute(
            "select draft, due_s from held where source = ? and campaign = ? and person = ? order by due_s, id",
            (source, place.campaign, place.person),
        )
        return [Held(_decode(draft), due_s) for draft, due_s in rows.fetchall()]

    def overdue(self, source_id: str, until_s: float) -> list[Held]:
        """Return unsubscribes whose reason would have had to arrive before `until_s`, in order, some at a time."""
        source = self._number(source_id)
        rows = self._db.execute(
            "select draft, due_s from held where source = ? and (due_s < ? or due_s > ?) order by due_s, id limit ?",
            (source, until_s, until_s + _AHEAD_S_MAX, _OVERDUE_MAX),
        )
        return [Held(_decode(draft), due_s) for draft, due_s in rows.fetchall()]

    def commit(self, source_id: str, changes: Changes) -> None:
        """Remember a batch; on disk when it returns."""
        with sqlite.transaction(self._db):
            self._write(source_id, changes)

    def begin_again(self, source_id: str, last_s: float | None) -> None:
        """Mark what the log may have lost, and forget what happened after its last record; None: it has none."""
        source = self._number(source_id)
        if source is None or last_s is None:
            return
        with sqlite.transaction(self._db):
            self._db.execute("delete from tellings where source = ? and at_s > ?", (source, last_s))
            self._db.execute(
                "update tellings set flags = flags | ? where source = ? and flags & ? = 0",
                (Flag.LOST.value, source, Flag.ABSORBED.value),
            )
            self._db.execute("update sources set seq = -1 where id = ?", (source,))  # places in the inbox begin again
            self._db.execute("insert or replace into lost values (?, ?)", (source, last_s))
            self._db.execute("delete from counts where source = ?", (source,))
            self._db.execute(
                "insert into counts"
                " select source, campaign, kind,"
                " count(distinct person), count(distinct person || char(31) || link), count(*)"
                " from tellings where source = ? and flags & ? = 0 and kind <> ? group by source, campaign, kind",
                (source, Flag.ABSORBED.value, _NUMBERS[Kind.OTHER]),
            )

    def lost_until(self, source_id: str) -> float:
        """Return until when records may tell again what an older copy of the log lost; 0 where it is none."""
        rows = self._db.execute(
            "select until_s from lost where source = (select id from sources where source_id = ?)", (source_id,)
        ).fetchall()
        return float(rows[0][0]) if rows else 0.0

    def held_of(self, source_ids: Sequence[str], persons: Sequence[str]) -> int:
        """Return how many occurrences and waiting events of these persons there are; any thread may ask."""
        values = json.dumps(list(source_ids)), json.dumps(list(persons))
        with self._lock:
            return sum(
                int(self._side.execute(f"select count(*) from {table} where {_OF_PERSONS}", values).fetchone()[0])  # noqa: S608 - words of ours
                for table in _PERSONAL
            )

    def forget(self, source_ids: Sequence[str], persons: Sequence[str]) -> int:
        """Remove them for good, beside whatever the mapper does; the counts stay, which are about nobody.

        An occurrence that is told again finds its messageId in the log: it does not come back.
        """
        values = json.dumps(list(source_ids)), json.dumps(list(persons))
        own = sqlite.connect(self._path)
        try:
            own.execute("pragma secure_delete = on")
            with sqlite.transaction(own):
                return sum(
                    int(own.execute(f"delete from {table} where {_OF_PERSONS}", values).rowcount)  # noqa: S608 - words of ours
                    for table in _PERSONAL
                )
        finally:
            own.execute("vacuum")  # what was released long ago has left bytes in free pages
            own.execute("pragma wal_checkpoint(truncate)")
            own.close()

    def _write(self, source_id: str, changes: Changes) -> None:
        self._db.execute("insert into sources (source_id) values (?) on conflict do nothing", (source_id,))
        source = self._number(source_id)
        touched = {place: known for place, known in changes.known.items() if known.changed or known.released}
        self._db.executemany(
            "insert or replace into tellings values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_row(source, place, told) for place, known in touched.items() for told in known.changed.values()],
        )
        self._db.executemany(
            "insert into counts values (?, ?, ?, ?, ?, ?) on conflict do update set"
            " persons = persons + excluded.persons, links = links + excluded.links, total = total + excluded.total",
            [(source, campaign, _NUMBERS[kind], *added) for (campaign, kind), added in _added(touched).items()],
        )
        self._write_held(source, changes.known)
        self._write_news(source, changes)

    def _write_held(self, source: Any, known: Mapping[Place, Known]) -> None:
        self._db.executemany(
            "delete from held where source = ? and campaign = ? and person = ? and id = ?",
            [(source, place.campaign, place.person, id_) for place, each in known.items() for id_ in each.released],
        )
        self._db.executemany(
            "insert or replace into held values (?, ?, ?, ?, ?, ?)",
            [
                (source, place.campaign, place.person, id_bytes(held.draft.message_id), held.due_s, _encode(held.draft))
                for place, each in known.items()
                for held in each.waiting.values()
            ],
        )

    def _write_news(self, source: Any, changes: Changes) -> None:
        if changes.webhook_seqs:  # a webhook that is taken again after a crash, or mapped later, arrived once
            (before,) = self._db.execute("select seq from sources where id = ?", (source,)).fetchone()
            self._db.execute(
                "update sources set arrived = arrived + ?, seq = max(seq, ?) where id = ?",
                (sum(seq > before for seq in changes.webhook_seqs), max(changes.webhook_seqs), source),
            )
        if last := changes.last:
            at, received_at = last.at.isoformat(), last.received_at.isoformat()
            self._db.execute(
                "update sources set last_event = ?, last_at = ?, last_received_at = ?, last_origin = ?"
                " where id = ? and (last_at is null or last_at <= ?)",
                (last.event, at, received_at, last.origin.value, source, at),
            )

    def counts(self, source_id: str) -> dict[str, dict[Kind, Count]]:
        """Return what is known, by campaign and kind."""
        found: dict[str, dict[Kind, Count]] = defaultdict(dict)
        for campaign, kind, persons, links, total in self._ask(
            "select campaign, kind, persons, links, total from counts"
            " where source = (select id from sources where source_id = ?)",
            source_id,
        ):
            found[campaign][_KINDS[kind]] = Count(persons, links, total)
        return dict(found)

    def last(self, source_id: str) -> LastEvent | None:
        """Return the newest event of a source by when it happened, None before the first."""
        rows = self._ask(
            "select last_event, last_at, last_received_at, last_origin from sources"
            " where source_id = ? and last_event is not null",
            source_id,
        )
        for event, at, received_at, origin in rows:
            return LastEvent(event, datetime.fromisoformat(at), datetime.fromisoformat(received_at), Origin(origin))
        return None

    def arrived(self, source_id: str) -> int:
        """Return how many webhooks were taken so far, whatever they meant."""
        return sum(count for (count,) in self._ask("select arrived from sources where source_id = ?", source_id))

    def _ask(self, question: str, source_id: str) -> list[tuple[Any, ...]]:
        with self._lock:
            found: list[tuple[Any, ...]] = self._side.execute(question, (source_id,)).fetchall()
        return found

    def _number(self, source_id: str) -> int | None:
        row = self._db.execute("select id from sources where source_id = ?", (source_id,)).fetchone()
        return int(row[0]) if row else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._side.close()
        self._db.close()


def _told(row: Iterable[Any]) -> Told:
    link, at_s, slack_s, id_, origin, flags, body = row
    return Told(link, at_s, slack_s, id_, _ORIGINS[origin], Flag(flags), body)


def _row(source: Any, place: Place, told: Told) -> tuple[Any, ...]:
    return (
        source,
        place.campaign,
        _NUMBERS[place.kind],
        place.person,
        told.at_s,
        told.link,
        told.id,
        told.slack_s,
        _ORIGINS.index(told.origin),
        told.flags.value,
        told.body,
    )


def _added(touched: Mapping[Place, Known]) -> dict[tuple[str, Kind], list[int]]:
    """Return what is added to each count."""
    added: dict[tuple[str, Kind], list[int]] = defaultdict(lambda: [0, 0, 0])
    for place, known in touched.items():
        if known.total and place.kind is not Kind.OTHER:
            sums = added[place.campaign, place.kind]
            sums[0] += known.persons
            sums[1] += known.links
            sums[2] += known.total
    return added
