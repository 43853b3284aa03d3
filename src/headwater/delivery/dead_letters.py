"""Events that were given up: find them, look at one, try them again or discard them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import msgspec

from headwater.delivery.advice import advice
from headwater.delivery.ledger import Ledger
from headwater.errors import NotFoundError
from headwater.spec.event import Body

PAGE_MAX: Final = 200
_decode = msgspec.json.Decoder(Body).decode


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters; None is any. Times are epoch seconds of giving up."""

    destination_id: str | None = None
    source_id: str | None = None
    event: str | None = None
    type: str | None = None
    reason: str | None = None
    message_id: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up; times in epoch seconds.

    Attributes:
        event: its name for a track call, "" for others.
        body: the complete event; empty in a list.
        request, answer: excerpts of the last try.
        advice: what to do about it.
    """

    id: int
    destination_id: str
    source_id: str
    message_id: str
    type: str
    event: str
    attempts: int
    first_at: float
    died_at: float
    reason: str
    status: int | None
    advice: str
    request: str = ""
    answer: str = ""
    body: Body | None = None


# The columns of a list, in the order of the statements below.
_SHOWN: Final = tuple(member.name for member in fields(DeadLetter))[:11]


def page(ledger: Ledger, chosen: DeadLetterFilter, before: int | None, count: int) -> list[DeadLetter]:
    """Return up to `count` dead letters, newest first, older than the one numbered `before`."""
    with ledger.snapshot():
        rows = ledger.db.execute(
            "select id, connection, source, message_id, type, event, attempts, first_at, died_at, reason, status"
            " from dead where id in (select value from json_each(:ids)) order by id desc",
            {"ids": _ids(ledger, chosen, before, min(count, PAGE_MAX))},
        ).fetchall()
    return [_letter(row) for row in rows]


def count(ledger: Ledger, chosen: DeadLetterFilter) -> int:
    """Return how many dead letters match."""
    with ledger.snapshot():
        return len(msgspec.json.decode(_ids(ledger, chosen)))


def one(ledger: Ledger, number: int) -> DeadLetter:
    """Return a dead letter whole.

    Raises:
        NotFoundError: there is none of this number (any more).
    """
    with ledger.snapshot():
        row = ledger.db.execute(
            "select id, connection, source, message_id, type, event, attempts, first_at, died_at, reason, status,"
            " request, answer, line from dead where id = ?",
            (number,),
        ).fetchone()
    if row is None:
        raise NotFoundError(f"There is no dead letter {number}; it may have been retried or discarded.")
    *shown, request, answer, line = row
    return replace(_letter(shown), request=request, answer=answer, body=_decode(bytes(line)))


def retry(ledger: Ledger, which: Sequence[int] | DeadLetterFilter, now: float) -> int:
    """Let dead letters wait for delivery again, with a whole retry time ahead; return how many."""
    with ledger.transaction():
        chosen = {"ids": _chosen(ledger, which), "now": now}
        ledger.db.execute(
            "insert into waiting (connection, lane, seq, source, line, attempts, first_at, due_at, reason, status)"
            " select connection, lane, seq, source, line, attempts, :now, :now, reason, status from dead"
            " where id in (select value from json_each(:ids))",
            chosen,
        )
        return _delete(ledger, chosen["ids"])


def discard(ledger: Ledger, which: Sequence[int] | DeadLetterFilter) -> int:
    """Give dead letters up for good; return how many. They stay counted, as dropped."""
    with ledger.transaction():
        ids = _chosen(ledger, which)
        ledger.db.execute(
            "update lane set dropped = dropped + gone.count from"
            " (select lane, count(*) as count from dead where id in (select value from json_each(?)) group by lane)"
            " as gone where lane.id = gone.lane",
            (ids,),
        )
        return _delete(ledger, ids)


def _letter(row: Sequence[Any]) -> DeadLetter:
    shown = dict(zip(_SHOWN, row, strict=True))
    return DeadLetter(**shown, advice=advice(shown["reason"], shown["status"]))


def _chosen(ledger: Ledger, which: Sequence[int] | DeadLetterFilter) -> Any:
    return _ids(ledger, which) if isinstance(which, DeadLetterFilter) else msgspec.json.encode(list(which)).decode()


def _delete(ledger: Ledger, ids: str) -> int:
    return int(ledger.db.execute("delete from dead where id in (select value from json_each(?))", (ids,)).rowcount)


def _ids(ledger: Ledger, chosen: DeadLetterFilter, before: int | None = None, limit: int = -1) -> str:
    """Return the numbers that match as a JSON array, so that one statement serves every filter."""
    found = ledger.db.execute(
        "select id from dead where (:before is null or id < :before)"
        " and (:destination_id is null or connection = :destination_id)"
        " and (:source_id is null or source = :source_id) and (:event is null or event = :event)"
        " and (:type is null or type = :type) and (:reason is null or reason = :reason)"
        " and (:message_id is null or message_id = :message_id)"
        " and (:since is null or died_at >= :since) and (:until is null or died_at < :until)"
        " order by id desc limit :limit",
        {**asdict(chosen), "before": before, "limit": limit},
    )
    return msgspec.json.encode([number for (number,) in found]).decode()
