"""The inbox's records: what stands in them, what becomes of a stretch of them, what is kept of those that failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from headwater.limits import WEBHOOK_EVENT_BYTES_MAX
from headwater.privacy.matching import addresses
from headwater.privacy.suppression import Suppressed, nobody
from headwater.sources.contract import Events, Mapped, Origin, Webhook
from headwater.spec.event import Frame, Record
from headwater.spec.times import format_time
from headwater.spec.tombstone import is_tombstone

DEFECT: Final = "the mapping failed; this is a defect of Headwater"
GONE: Final = "the source does not exist any more"
QUARANTINED: Final = "quarantined"
"""The code of a rejection that stands for a record of the inbox."""
_APPEND_BYTES_MAX: Final = 4 * 1024 * 1024  # an append travels in one request, whose bound is twice this

_log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder().encode


class _Stored(msgspec.Struct):
    """The inbox's record: `body` holds each byte as the code point of that number. A webhook has no `origin`."""

    receivedAt: datetime  # noqa: N815 - as it is spelled in the log
    contentType: str  # noqa: N815
    body: str
    origin: Origin = Origin.WEBHOOK
    query: str = ""
    headers: dict[str, str] = {}


_decode: Final = msgspec.json.Decoder(_Stored).decode


def report(body: bytes, received_at: datetime) -> Record:
    """Return the record of something that a source's own worker learnt."""
    line = {
        "receivedAt": format_time(received_at),
        "contentType": "application/json",
        "body": body.decode("latin-1"),
        "origin": Origin.REPORT.value,
    }
    return Record("", _encode(line))


@dataclass(slots=True)
class Stretch:
    """Records of one source, in the order they arrived.

    Attributes:
        received_at: of the newest, which stands for all: retention must not delete an event before its time.
        webhooks: those that can be read.
        unreadable: where the others stand, and when they arrived.
        erased: where those stand of which nothing is left.
    """

    source_id: str
    received_at: datetime
    webhooks: list[Webhook] = field(default_factory=list)
    unreadable: list[tuple[int, datetime]] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)

    def singles(self) -> Iterator[Stretch]:
        """Yield every webhook alone."""
        for webhook in self.webhooks:
            yield Stretch(self.source_id, self.received_at, [webhook])


@dataclass(slots=True)
class Work:
    """What became of a stretch, as the log takes it.

    Attributes:
        results: one for each webhook, then one for each record that could not be read.
        rejected: what is kept of those that could not be mapped, by place in the inbox.
        suppressed: events that were left out because the person is suppressed.
        withheld: where webhooks of such people stand in the inbox.
    """

    received_at: datetime
    events: list[Record] = field(default_factory=list)
    rejected: dict[int, Record] = field(default_factory=dict)
    results: list[Mapped] = field(default_factory=list)
    suppressed: int = 0
    withheld: list[int] = field(default_factory=list)


def stretches(frames: Iterable[Frame]) -> dict[str, Stretch]:
    """Return the records by source."""
    found: dict[str, Stretch] = {}
    for frame in frames:
        stretch = found.setdefault(frame.source_id, Stretch(frame.source_id, frame.received_at))
        stretch.received_at = max(stretch.received_at, frame.received_at)
        for offset, line in enumerate(frame.lines[:-1].split(b"\n")):
            seq = frame.first_seq + offset
            if is_tombstone(line):
                stretch.erased.append(seq)
                continue
            webhook = _webhook(seq, frame.source_id, line)
            if webhook is None:
                stretch.unreadable.append((seq, frame.received_at))
            else:
                stretch.webhooks.append(webhook)
    return found


def _webhook(seq: int, source_id: str, line: bytes) -> Webhook | None:
    try:
        stored = _decode(line)
        body = stored.body.encode("latin-1")
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    received_at = stored.receivedAt if stored.receivedAt.tzinfo else stored.receivedAt.replace(tzinfo=UTC)
    return Webhook(seq, source_id, received_at, stored.contentType, body, stored.origin, stored.query, stored.headers)


def mapped_by(events: Events, webhooks: Iterable[Webhook], settings: Mapping[str, Any]) -> list[Mapped]:
    """Return what webhooks mean; whatever is wrong with one, it is quarantined and harms no other."""
    return [_mapped(events, webhook, settings) for webhook in webhooks]


def _mapped(events: Events, webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
    try:
        return events(webhook, settings)
    except Exception as error:  # noqa: BLE001 - a mapping that breaks its promise costs its own webhook, no other
        failed(webhook.seq, error)
        return Mapped(quarantined=DEFECT)


def failed(seq: int, error: Exception) -> None:
    """Tell the operator of a defect."""
    _log.error("inbox.mapping_failed", seq=seq, reason=type(error).__name__)


def work_of(stretch: Stretch, results: Sequence[Mapped], suppressed: Suppressed = nobody) -> Work:
    """Return what is appended for a stretch; `results` are of its webhooks, in order."""
    work = Work(stretch.received_at)
    for webhook, result in zip(stretch.webhooks, results, strict=True):
        kept = _kept(result, stretch.source_id, suppressed, work)
        if len(kept.events) < len(result.events) or (not kept.events and _names(webhook, suppressed)):
            work.withheld.append(webhook.seq)
        mapped, events = _records(webhook.seq, kept)
        work.results.append(mapped)
        work.events.extend(events)
        if mapped.quarantined:
            work.rejected[webhook.seq] = _rejection(webhook.seq, webhook.received_at, mapped.quarantined)
    for seq, received_at in stretch.unreadable:
        unreadable = Mapped(quarantined="the inbox record is not readable")
        work.results.append(unreadable)
        work.rejected[seq] = _rejection(seq, received_at, unreadable.quarantined)
    return work


def released(
    results: Iterable[Mapped], received_at: datetime, source_id: str = "", suppressed: Suppressed = nobody
) -> Work:
    """Return what is appended of events of a source that were held back."""
    work = Work(received_at)
    for result in results:
        mapped, events = _records(-1, _kept(result, source_id, suppressed, work))
        work.results.append(mapped)
        work.events.extend(events)
    return work


def _kept(mapped: Mapped, source_id: str, suppressed: Suppressed, work: Work) -> Mapped:
    """Return what was mapped without the events of people who are suppressed; they are counted only."""
    if suppressed is nobody or not mapped.events:
        return mapped
    events = [body for body in mapped.events if not suppressed(source_id, body)]
    if len(events) == len(mapped.events):
        return mapped
    work.suppressed += len(mapped.events) - len(events)
    return replace(mapped, events=tuple(events))


def _names(webhook: Webhook, suppressed: Suppressed) -> bool:
    """Tell whether a webhook from which no event came, or none yet, holds an address of somebody who is suppressed."""
    list_: object = suppressed
    if isinstance(list_, Sized) and not len(list_):  # nobody is: webhooks are not looked through
        return False
    found = addresses(webhook.body.decode("utf-8", "replace"))
    return any(suppressed(webhook.source_id, {"traits": {"email": each}}) for each in found)


def _records(seq: int, mapped: Mapped) -> tuple[Mapped, list[Record]]:
    """Return what becomes of a mapped webhook, and its events as the log takes them."""
    try:
        events = [Record(str(body["messageId"]), _encode(body)) for body in mapped.events]
    except Exception as error:  # noqa: BLE001 - as in `_mapped`: events that are no JSON cost their own webhook
        failed(seq, error)
        return Mapped(quarantined=DEFECT), []
    if any(len(event.line) > WEBHOOK_EVENT_BYTES_MAX for event in events):
        return Mapped(quarantined="the event is too large"), []
    return mapped, events


def _rejection(seq: int, received_at: datetime, reason: str) -> Record:
    """Return what is kept of a webhook that could not be mapped; its bytes stay in the inbox under `inboxSeq`."""
    line = {
        "code": QUARANTINED,
        "message": reason,
        "count": 1,
        "receivedAt": format_time(received_at),
        "inboxSeq": seq,
    }
    return Record("", _encode(line))


def pieces(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield the records in order, in stretches of bounded bytes, at least one record each."""
    first, size = 0, 0
    for position, record in enumerate(records):
        if size and size + len(record.line) > _APPEND_BYTES_MAX:
            yield records[first:position]
            first, size = position, 0
        size += len(record.line)
    if first < len(records):
        yield records[first:]
