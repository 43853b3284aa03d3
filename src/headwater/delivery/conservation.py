"""The law of conservation, held against the log: what a connection has passed there is what it says it has read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from headwater.delivery.ledger import Ledger
from headwater.eventlog.contract import Reader, Topic
from headwater.spec.event import Frame

Span = tuple[int, int]
"""Sequences from the first to before the second."""

_LANES: Final = (
    "select connection, source, first, cursor, until, finished_at, read, missed from lane where kind <> 'replay'"
)
_RENEWED: Final = "select connection from lane where kind = 'replay' and selection is null"


class _Lane(NamedTuple):
    source: str
    first: int
    cursor: int
    until: int | None
    finished_at: float | None
    read: int
    missed: int


@dataclass(frozen=True, slots=True)
class Account:
    """What a connection says of its new events; replays are left out.

    Attributes:
        spans: what it has passed of the log: what its live lane jumped over counts once that was caught up.
        missed: sequences, of any source, that it could not read.
        is_renewed: the log was replaced by an older copy, so that sequences were used twice.
    """

    connection: str
    source: str
    read: int
    missed: int
    spans: tuple[Span, ...]
    is_renewed: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """An account beside what the log holds of its source in the account's spans.

    Attributes:
        is_whole: the log still has everything that was passed; else it holds less than was read.
    """

    account: Account
    logged: int
    is_whole: bool

    @property
    def is_well(self) -> bool:
        """Nothing that the log holds was passed without being read, and nothing was read twice."""
        account = self.account
        is_exact = self.is_whole and not account.missed and not account.is_renewed
        return self.logged == account.read if is_exact else self.logged <= account.read + account.missed


def accounts(ledger: Ledger) -> list[Account]:
    """Return every connection's account, of one instant."""
    with ledger.snapshot():
        rows = ledger.rows(_LANES)
        renewed = {name for (name,) in ledger.rows(_RENEWED)}
    lanes: defaultdict[str, list[_Lane]] = defaultdict(list)
    for connection, *members in rows:
        lanes[connection].append(_Lane(*members))
    return [_account(name, of_one, is_renewed=name in renewed) for name, of_one in lanes.items()]


def compare(reader: Reader, of: Sequence[Account]) -> list[Comparison]:
    """Return each account beside the log, which is read once from their first to their last sequence. Blocks."""
    spans = [span for account in of for span in account.spans]
    cursor, end = min((first for first, _ in spans), default=0), max((last for _, last in spans), default=0)
    by_source: defaultdict[str, list[Account]] = defaultdict(list)
    for account in of:
        by_source[account.source].append(account)
    logged: Counter[str] = Counter()
    while cursor < end:
        batch = reader.read(Topic.EVENTS, cursor)
        if batch.next_cursor <= cursor:
            break
        for frame in batch.frames:
            for account in by_source[frame.source_id]:
                logged[account.connection] += sum(_common(frame, cursor, span) for span in account.spans)
        cursor = batch.next_cursor
    start, stands = reader.start(Topic.EVENTS), reader.end(Topic.EVENTS)
    return [
        Comparison(
            account,
            logged[account.connection],
            all(start <= first and last <= stands for first, last in account.spans),
        )
        for account in of
    ]


def passed(spans: Iterable[Span], still_to_go: Iterable[Span]) -> tuple[Span, ...]:
    """Return what `spans` cover together without what is still to go, ascending and apart from each other."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        elif first < last:
            joined.append((first, last))
    for gap_first, gap_last in still_to_go:
        cut = [((first, min(last, gap_first)), (max(first, gap_last), last)) for first, last in joined]
        joined = [piece for pieces in cut for piece in pieces if piece[0] < piece[1]]
    return tuple(joined)


def _account(connection: str, lanes: Sequence[_Lane], *, is_renewed: bool) -> Account:
    to_go = [(lane.cursor, lane.until) for lane in lanes if lane.until is not None and lane.finished_at is None]
    return Account(
        connection=connection,
        source=lanes[0].source,
        read=sum(lane.read for lane in lanes),
        missed=sum(lane.missed for lane in lanes),
        spans=passed([(lane.first, lane.cursor) for lane in lanes], to_go),
        is_renewed=is_renewed,
    )


def _common(frame: Frame, cursor: int, span: Span) -> int:
    first, last = max(frame.first_seq, cursor, span[0]), min(frame.first_seq + frame.count, span[1])
    return max(0, last - first)
