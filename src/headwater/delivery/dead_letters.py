"""Events that were given up: find them, look at one, try them again or discard them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import msgspec

from headwater.delivery.advice import advice
from headwater.delivery.ledger import Ledger
from headwater.delivery.series import DISCARDED
from headwater.delivery.thread import OwnThread
from headwater.errors import NotFoundError
from headwater.spec.event import Body

PAGE_MAX: Final = 200
WINDOW: Final = 1_000  # ours: dead letters that one transaction looks at or changes; some 20 ms
_NEWEST: Final = 2**63 - 1  # SQLite's largest row number
_decode = msgspec.json.Decoder(Body).decode


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters; None is any. Times are epoch seconds of giving up.

    Attributes:
        destination_ids: of one of these; for a single one `destination_id` is quicker.
    """

    destination_id: str | None = None
    source_id: str | None = None
    event: str | None = None
    type: str | None = None
    reason: str | None = None
    message_id: str | None = None
    since: float | None = None
    until: float | None = None
    destination_ids: tuple[str, ...] | None = None


Which = Sequence[int] | DeadLetterFilter
"""Dead letters by number, or all that match."""


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
_COLUMNS: Final = "id, connection, source, message_id, type, event, attempts, first_at, died_at, reason, status"
_MATCHING: Final = (
    "select id, (:source_id is null or source = :source_id) and (:event is null or event = :event)"
    " and (:type is null or type = :type) and (:reason is null or reason = :reason)"
    " and (:message_id is null or message_id = :message_id)"
    " and (:destination_ids is null or connection in (select value from json_each(:destination_ids)))"
    " and (:since is null or died_at >= :since) and (:until is null or died_at < :until)"
    " from dead where id < :before order by id desc limit :limit"
)
# A statement of its own: only so the index of a connection leads past the letters of the others.
_MATCHING_OF_ONE: Final = _MATCHING.replace("where id", "where connection = :destination_id and id")


class DeadLetters:
    """Every connection's dead letters.

    What concerns many goes through them a window at a time, newest first, one short transaction each: deliveries are
    settled in between, and what dies meanwhile is not looked at.

    Args of the constructor:
        now: epoch seconds.
        wake: called when some wait for delivery again.
    """

    def __init__(
        self, ledger: Ledger, in_ledger: OwnThread, now: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        self._ledger, self._in_ledger, self._now, self._wake = ledger, in_ledger, now, wake

    async def page(self, chosen: DeadLetterFilter, before: int | None, count: int) -> list[DeadLetter]:
        """Return up to `count` dead letters without bodies, newest first, older than the one numbered `before`."""
        wanted = min(count, PAGE_MAX)
        found: list[int] = []
        async for numbers in self._windows(chosen, before):
            found += numbers
            if len(found) >= wanted:
                break
        return await self._in_ledger(listed, self._ledger, found[:wanted])

    async def one(self, number: int) -> DeadLetter:
        """Return one dead letter with its event, the last request and answer, and advice."""
        return await self._in_ledger(one, self._ledger, number)

    async def count(self, which: Which) -> int:
        """Return how many there are of these."""
        return sum([len(numbers) async for numbers in self._pieces(which)])

    async def retry(self, which: Which) -> int:
        """Try these again with a whole retry time ahead; return how many."""
        count = 0
        async for numbers in self._pieces(which):
            count += await self._in_ledger(retry, self._ledger, numbers, self._now())
            self._wake()
        return count

    async def discard(self, which: Which) -> int:
        """Give these up for good; return how many."""
        pieces, now = self._pieces(which), self._now()
        return sum([await self._in_ledger(discard, self._ledger, numbers, now) async for numbers in pieces])

    async def expire(self, before: float) -> int:
        """Remove what died before this instant, epoch seconds; return how many."""
        pieces = self._windows(DeadLetterFilter(until=before))
        return sum([await self._in_ledger(expire, self._ledger, numbers) async for numbers in pieces])

    async def _pieces(self, which: Which) -> AsyncIterator[Sequence[int]]:
        """Yield the numbers of what stands, up to WINDOW at a time."""
        if isinstance(which, DeadLetterFilter):
            async for numbers in self._windows(which):
                yield numbers
            return
        for start in range(0, len(which), WINDOW):
            yield await self._in_ledger(standing, self._ledger, which[start : start + WINDOW])

    async def _windows(self, chosen: DeadLetterFilter, before: int | None = None) -> AsyncIterator[Sequence[int]]:
        window = Window((), _NEWEST if before is None else before)
        while window.oldest is not None:
            window = await self._in_ledger(matching, self._ledger, chosen, window.oldest)
            yield window.numbers


@dataclass(frozen=True, slots=True)
class Window:
    """What a stretch of dead letters holds that was asked for.

    Attributes:
        oldest: the lowest number that was looked at; None when nothing is left below.
    """

    numbers: Sequence[int]
    oldest: int | None


def matching(ledger: Ledger, chosen: DeadLetterFilter, before: int) -> Window:
    """Look at up to WINDOW dead letters older than the one numbered `before` and return those that match."""
    destinations = None if chosen.destination_ids is None else _json(chosen.destination_ids)
    rows = ledger.rows(
        _MATCHING if chosen.destination_id is None else _MATCHING_OF_ONE,
        {**asdict(chosen), "destination_ids": destinations, "before": before, "limit": WINDOW},
    )
    return Window([number for number, is_chosen in rows if is_chosen], rows[-1][0] if len(rows) == WINDOW else None)


def standing(ledger: Ledger, numbers: Sequence[int]) -> list[int]:
    """Return which of these numbers are dead letters, each once."""
    rows = ledger.rows("select id from dead where id in (select value from json_each(?))", (_json(numbers),))
    return [number for (number,) in rows]


def listed(ledger: Ledger, numbers: Sequence[int]) -> list[DeadLetter]:
    """Return these dead letters without their bodies, newest first."""
    rows = ledger.rows(
        f"select {_COLUMNS} from dead where id in (select value from json_each(?)) order by id desc",  # noqa: S608 - words of ours
        (_json(numbers),),
    )
    return [_letter(row) for row in rows]


def one(ledger: Ledger, number: int) -> DeadLetter:
    """Return a dead letter whole.

    Raises:
        NotFoundError: there is none of this number (any more).
    """
    found = ledger.rows(f"select {_COLUMNS}, request, answer, line from dead where id = ?", (number,))  # noqa: S608 - words of ours
    if not found:
        raise NotFoundError(f"There is no dead letter {number}; it may have been retried, discarded or expired.")
    *shown, request, answer, line = found[0]
    return replace(_letter(shown), request=request, answer=answer, body=_decode(bytes(line)))


def retry(ledger: Ledger, numbers: Sequence[int], now: float) -> int:
    """Let dead letters wait for delivery again, with a whole retry time ahead; return how many."""
    with ledger.transaction():
        ledger.db.execute(
            "insert into waiting (connection, lane, seq, source, line, attempts, first_at, due_at, reason, status)"
            " select connection, lane, seq, source, line, attempts, :now, :now, reason, status from dead"
            " where id in (select value from json_each(:ids))",
            {"ids": _json(numbers), "now": now},
        )
        return _delete(ledger, numbers)


def discard(ledger: Ledger, numbers: Sequence[int], now: float) -> int:
    """Give dead letters up for good; return how many. They stay counted, as dropped."""
    with ledger.transaction():
        ledger.db.execute(
            "update lane set dropped = dropped + gone.count from"
            " (select lane, count(*) as count from dead where id in (select value from json_each(?)) group by lane)"
            " as gone where lane.id = gone.lane",
            (_json(numbers),),
        )
        given_up = ledger.db.execute(
            "select connection, count(*) from dead where id in (select value from json_each(?)) group by connection",
            (_json(numbers),),
        ).fetchall()
        for connection, count in given_up:
            ledger.series.add(connection, {(DISCARDED, ""): count}, now)
        return _delete(ledger, numbers)


def expire(ledger: Ledger, numbers: Sequence[int]) -> int:
    """Remove dead letters for their age; return how many. They stay counted, as expired."""
    with ledger.transaction():
        ledger.db.execute(
            "insert into expired (lane, count) select lane, count(*) from dead"
            " where id in (select value from json_each(?)) group by lane"
            " on conflict do update set count = count + excluded.count",
            (_json(numbers),),
        )
        return _delete(ledger, numbers)


def _letter(row: Sequence[Any]) -> DeadLetter:
    shown = dict(zip(_SHOWN, row, strict=True))
    return DeadLetter(**shown, advice=advice(shown["reason"], shown["status"]))


def _delete(ledger: Ledger, numbers: Sequence[int]) -> int:
    gone = ledger.db.execute("delete from dead where id in (select value from json_each(?))", (_json(numbers),))
    return int(gone.rowcount)


def _json(values: Sequence[int] | Sequence[str]) -> str:
    """Return numbers or ids as one value, so that one statement serves any count of them."""
    return msgspec.json.encode(list(values)).decode()
