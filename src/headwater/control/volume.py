"""How much arrives: counts per source, event and hour, taken from the log into a SQLite file of its own.

The counts and the place in the log are one commit, so each record counts once, whatever crashes. The file can be
deleted: it is counted again from the log.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from headwater import clock as wall
from headwater import sqlite
from headwater.clock import Clock
from headwater.control.moments import moment, text_of
from headwater.eventlog.contract import Reader, Topic
from headwater.eventlog.cutting import living
from headwater.spec.event import Batch, Frame

OTHER: Final = "(other)"
"""Counts for names beyond the bound."""

_NAMES_MAX: Final = 4_000  # a source; as many as Segment shows
_NAME_CHARS_MAX: Final = 200
_KEPT: Final = timedelta(days=400)
_WAIT_S: Final = 0.5
_FAILED_S: Final = 5.0
_GATHER_S: Final = 0.25  # ours: a transaction for each of 400 commits a second took a fifth of a core
_HOUR_S: Final = 3_600

_log = structlog.get_logger()

_TABLES: Final = """
create table if not exists places (topic text primary key, cursor integer not null);
create table if not exists hours (
  source_id text, hour integer, type text, name text, accepted integer not null,
  primary key (source_id, hour, type, name)) without rowid;
create table if not exists duplicates (
  source_id text, hour integer, count integer not null, primary key (source_id, hour)) without rowid;
create table if not exists refused (
  source_id text, hour integer, code text, count integer not null,
  primary key (source_id, hour, code)) without rowid;
create table if not exists collections (
  source_id text, type text, name text, count integer not null, first_seen text not null, last_seen text not null,
  primary key (source_id, type, name)) without rowid;
create table if not exists last_events (
  source_id text primary key, seq integer not null, type text, name text, received_at text, who text);
"""


class _Seen(msgspec.Struct):
    """The members that are counted by; whatever else is in the event is skipped, not built."""

    type: Any = ""
    event: Any = ""


class _Who(msgspec.Struct):
    userId: Any = ""  # noqa: N815 - as it is spelled in the log
    anonymousId: Any = ""  # noqa: N815


class _Refused(msgspec.Struct):
    code: str = "unknown"
    count: int = 1  # calls that were refused for the same reason share a line


@dataclass(frozen=True, slots=True)
class Summary:
    """One source since a moment.

    Attributes:
        duplicates: left out because their messageId was stored before.
        rejected: by code.
        events: accepted by name (tracks) or call, most first.
    """

    accepted: int
    duplicates: int
    rejected: Mapping[str, int]
    events: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of one source; `start` is UTC."""

    start: datetime
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Collection:
    """One kind of event that a source has sent, since counting began."""

    type: str
    name: str
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The newest event of a source; `who` is its user id, or its e-mail address masked."""

    seq: int
    type: str
    name: str
    received_at: datetime
    who: str


@dataclass(slots=True)
class _Counted:
    """What one batch adds."""

    accepted: Counter[tuple[str, int, str, str]] = field(default_factory=Counter)
    duplicates: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    span: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)
    last: dict[str, tuple[int, str, str, str, str]] = field(default_factory=dict)


class Volume:
    """Tails the log in the web process; the figures are at most a second behind.

    All methods but `run` are synchronous SQLite reads: inside an event loop, call them in a thread.
    """

    def __init__(self, reader: Reader, path: Path, clock: Clock = wall.now) -> None:
        self._reader, self._clock = reader, clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite.connect(path)
        self._database.executescript(_TABLES)
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder(_Seen).decode_lines
        self._names: dict[str, set[tuple[str, str]]] = {}
        for source_id, type_, name in self._database.execute("select source_id, type, name from collections"):
            self._names.setdefault(source_id, set()).add((type_, name))
        self._forgotten_at = datetime.min.replace(tzinfo=UTC)

    async def run(self) -> None:
        """Count what is in the log and what arrives, until cancelled."""
        while True:
            try:
                if not await asyncio.to_thread(self._step):
                    await self._reader.wait(Topic.EVENTS, self._place(Topic.EVENTS), timeout_s=_WAIT_S)
                    await asyncio.sleep(_GATHER_S)
            except Exception as error:  # noqa: BLE001 - a full disk, or one that fails, must not take the pages away
                _log.error("volume.failed", error=type(error).__name__)
                await asyncio.sleep(_FAILED_S)

    def catch_up(self, upto: int) -> None:
        """Return once every event before sequence `upto` is counted, or the log has no more."""
        while self._place(Topic.EVENTS) < upto and self._step():
            pass

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def summary(self, source_id: str, since: datetime) -> Summary:
        """Return what a source sent since the beginning of the hour of `since`."""
        asked = {"source": source_id, "hour": _hour(since)}
        events = self._rows(
            "select name, sum(accepted) as n from hours where source_id = :source and hour >= :hour"
            " group by name order by n desc, name",
            asked,
        )
        duplicates = self._rows(
            "select coalesce(sum(count), 0) from duplicates where source_id = :source and hour >= :hour", asked
        )
        refused = self._rows(
            "select code, sum(count) as n from refused where source_id = :source and hour >= :hour"
            " group by code order by n desc, code",
            asked,
        )
        return Summary(sum(n for _, n in events), duplicates[0][0], dict(refused), dict(events))

    def rejections(self, since: datetime) -> dict[tuple[str, str], int]:
        """Return how much was refused since then, by source ("" where no source is known) and code."""
        rows = self._rows(
            "select source_id, code, sum(count) from refused where hour >= :hour group by 1, 2", {"hour": _hour(since)}
        )
        return {(source_id, code): count for source_id, code, count in rows}

    def hourly(self, source_id: str, hours: int) -> list[Hour]:
        """Return the last `hours` hours, oldest first, the present one last; quiet hours are there with 0."""
        last = _hour(self._clock())
        first = last - (hours - 1) * _HOUR_S
        asked = {"source": source_id, "hour": first}
        accepted = dict(
            self._rows(
                "select hour, sum(accepted) from hours where source_id = :source and hour >= :hour group by 1", asked
            )
        )
        refused = dict(
            self._rows(
                "select hour, sum(count) from refused where source_id = :source and hour >= :hour group by 1", asked
            )
        )
        starts = range(first, last + 1, _HOUR_S)
        return [Hour(datetime.fromtimestamp(at, UTC), accepted.get(at, 0), refused.get(at, 0)) for at in starts]

    def accepted(self, source_id: str, since: datetime, until: datetime) -> list[tuple[int, str, str, int]]:
        """Return (hour, type, name, count) of what was accepted; hours are epoch seconds, ascending."""
        return self._rows(
            "select hour, type, name, accepted from hours where source_id = :source and hour >= :since"
            " and hour < :until order by hour",
            {"source": source_id, "since": _hour(since), "until": until.timestamp()},
        )

    def refused(self, source_id: str, since: datetime, until: datetime) -> list[tuple[int, str, int]]:
        """Return (hour, code, count) of what was refused, likewise."""
        return self._rows(
            "select hour, code, count from refused where source_id = :source and hour >= :since and hour < :until"
            " order by hour",
            {"source": source_id, "since": _hour(since), "until": until.timestamp()},
        )

    def collections(self, source_id: str) -> list[Collection]:
        """Return the kinds of event a source has sent, most frequent first."""
        rows = self._rows(
            "select type, name, count, first_seen, last_seen from collections where source_id = :source"
            " order by count desc, name",
            {"source": source_id},
        )
        return [Collection(t, name, count, moment(first), moment(last)) for t, name, count, first, last in rows]

    def last_event(self, source_id: str) -> LastEvent | None:
        """Return the newest event of a source, None when it has sent none."""
        rows = self._rows(
            "select seq, type, name, received_at, who from last_events where source_id = :source",
            {"source": source_id},
        )
        if not rows:
            return None
        seq, type_, name, received_at, who = rows[0]
        return LastEvent(seq, type_, name, moment(received_at), who)

    def _rows(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        with self._lock:
            return list(self._database.execute(sql, values))

    def _place(self, topic: Topic) -> int:
        rows = self._rows("select cursor from places where topic = :topic", {"topic": topic.value})
        if not rows:
            return self._reader.start(topic)
        place, end = int(rows[0][0]), self._reader.end(topic)
        if 0 < end < place:  # the log was restored from an older copy: go on at its end
            asked = {"end": end, "topic": topic.value}
            self._rows("update places set cursor = :end where topic = :topic and cursor > :end", asked)
        return min(place, end)

    def _step(self) -> bool:
        """Count one batch of each topic; return whether there was anything."""
        moved = False
        for topic in (Topic.EVENTS, Topic.REJECTED):
            cursor = self._place(topic)
            batch = self._reader.read(topic, cursor)
            if batch.next_cursor > cursor:
                moved = self._store(topic, cursor, batch) or moved
        return moved

    def _store(self, topic: Topic, cursor: int, batch: Batch) -> bool:
        counted = self._count(batch.frames) if topic is Topic.EVENTS else _count_refused(batch.frames)
        with self._lock, self._database:
            self._database.execute("begin immediate")
            found = self._database.execute("select cursor from places where topic = ?", (topic.value,)).fetchone()
            if found is not None and found[0] > cursor:
                return True  # another thread has counted this batch meanwhile
            self._write(counted)
            self._database.execute(
                "insert into places values (?, ?) on conflict do update set cursor = excluded.cursor",
                (topic.value, batch.next_cursor),
            )
            self._forget()
        for damage in batch.damage:
            _log.error("volume.damaged", topic=topic.value, first=damage.first, last=damage.last)
        return True

    def _count(self, frames: Iterable[Frame]) -> _Counted:
        counted = _Counted()
        for frame in (part for whole in frames for part in living(whole)[0]):  # what was erased is of no kind any more
            hour, seen_at = _hour(frame.received_at), text_of(frame.received_at)
            kinds = Counter(self._kind(frame.source_id, seen) for seen in self._decode(frame.lines))
            for (type_, name), count in kinds.items():
                counted.accepted[frame.source_id, hour, type_, name] += count
                first, _ = counted.span.get((frame.source_id, type_, name), (seen_at, ""))
                counted.span[frame.source_id, type_, name] = (first, seen_at)
            if frame.duplicates:
                counted.duplicates[frame.source_id, hour] += frame.duplicates
            if frame.count:
                counted.last[frame.source_id] = self._last(frame, seen_at)
        return counted

    def _last(self, frame: Frame, seen_at: str) -> tuple[int, str, str, str, str]:
        line = frame.lines.splitlines()[-1]
        type_, name = self._kind(frame.source_id, self._decode(line)[0])
        return frame.first_seq + frame.count - 1, type_, name, seen_at, _who(line)

    def _kind(self, source_id: str, seen: _Seen) -> tuple[str, str]:
        type_ = seen.type if isinstance(seen.type, str) else ""
        name = seen.event if type_ == "track" and isinstance(seen.event, str) and seen.event else type_
        names = self._names.setdefault(source_id, set())
        kind = (type_, name[:_NAME_CHARS_MAX])
        if kind not in names:
            if len(names) >= _NAMES_MAX:
                return type_, OTHER
            names.add(kind)
        return kind

    def _write(self, counted: _Counted) -> None:
        many = self._database.executemany
        many(
            "insert into hours values (?, ?, ?, ?, ?)"
            " on conflict do update set accepted = accepted + excluded.accepted",
            [(*key, count) for key, count in counted.accepted.items()],
        )
        many(
            "insert into duplicates values (?, ?, ?) on conflict do update set count = count + excluded.count",
            [(*key, count) for key, count in counted.duplicates.items()],
        )
        many(
            "insert into refused values (?, ?, ?, ?) on conflict do update set count = count + excluded.count",
            [(*key, count) for key, count in counted.refused.items()],
        )
        totals: Counter[tuple[str, str, str]] = Counter()
        for (source_id, _, type_, name), count in counted.accepted.items():
            totals[source_id, type_, name] += count
        many(
            "insert into collections values (?, ?, ?, ?, ?, ?)"
            " on conflict do update set count = count + excluded.count, last_seen = excluded.last_seen",
            [(*key, totals[key], *counted.span[key]) for key in totals],
        )
        many(
            "insert or replace into last_events values (?, ?, ?, ?, ?, ?)",
            [(source_id, *values) for source_id, values in counted.last.items()],
        )

    def _forget(self) -> None:
        """Once a day, delete hours that nobody looks at any more."""
        now = self._clock()
        if now - self._forgotten_at < timedelta(days=1):
            return
        self._forgotten_at = now
        for table in ("hours", "duplicates", "refused"):
            self._database.execute(f"delete from {table} where hour < ?", (_hour(now - _KEPT),))  # noqa: S608 - fixed


def _count_refused(frames: Iterable[Frame]) -> _Counted:
    counted = _Counted()
    decode = msgspec.json.Decoder(_Refused).decode_lines
    for frame in (part for whole in frames for part in living(whole)[0]):
        for refused in decode(frame.lines):
            counted.refused[frame.source_id, _hour(frame.received_at), refused.code] += refused.count
    return counted


def _hour(instant: datetime) -> int:
    return int(instant.timestamp()) // _HOUR_S * _HOUR_S


def _who(line: bytes) -> str:
    found = msgspec.json.decode(line, type=_Who)
    text = next((str(value) for value in (found.userId, found.anonymousId) if value), "")
    return masked_address(text)[:_NAME_CHARS_MAX]


def masked_address(text: str) -> str:
    """Return an e-mail address as `j…@example.com`; anything else as it is."""
    local, at, domain = text.rpartition("@")
    return f"{local[:1]}…@{domain}" if at and local else text
