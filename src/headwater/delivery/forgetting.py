"""Take what is a person's out of the ledger: dead letters, events that wait, what replays were chosen by.

Looked at a window at a time: rows are read on the ledger's thread, judged on another, and changed on the first again,
so that deliveries are settled in between. All of it stays counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from headwater.delivery.ledger import Ledger
from headwater.delivery.screen import ERASED
from headwater.delivery.thread import OwnThread
from headwater.privacy.matching import Matcher
from headwater.privacy.person import Person
from headwater.spec.tombstone import tombstone

_WINDOW: Final = 500  # ours: rows that one statement reads; below 10 ms
_TABLES: Final = {"dead": "line, answer, request", "waiting": "line"}


class Forgetting:
    """Counts and erases one person in every connection of some sources."""

    def __init__(self, ledger: Ledger, in_ledger: OwnThread, wake: Callable[[], None]) -> None:
        self._ledger, self._in_ledger, self._wake = ledger, in_ledger, wake

    async def count(self, person: Person, is_meant: Callable[[str], bool]) -> int:
        """Return how many dead letters, waiting events and selections are theirs."""
        found = [len(await self._found(table, person, is_meant)) for table in _TABLES]
        return sum(found) + len(await self._in_ledger(_selections, self._ledger, person, is_meant))

    async def erase(self, person: Person, is_meant: Callable[[str], bool]) -> int:
        """Erase them and return how many there were; the file keeps nothing of their bytes."""
        count = 0
        for table, change in (("dead", _bury), ("waiting", _empty)):
            numbers = await self._found(table, person, is_meant)
            for start in range(0, len(numbers), _WINDOW):
                count += await self._in_ledger(change, self._ledger, numbers[start : start + _WINDOW])
        chosen = await self._in_ledger(_selections, self._ledger, person, is_meant)
        count += await self._in_ledger(_unselect, self._ledger, chosen)
        # Also where nothing was found: rows that were delivered long ago may have left bytes in free pages.
        await self._in_ledger(_wipe, self._ledger)
        self._wake()
        return count

    async def _found(self, table: str, person: Person, is_meant: Callable[[str], bool]) -> list[int]:
        matcher, after, found = Matcher(person), 0, list[int]()
        while rows := await self._in_ledger(_window, self._ledger, table, after):
            after = rows[-1][0]
            found += await asyncio.to_thread(_theirs, rows, matcher, is_meant)
        return found


def _window(ledger: Ledger, table: str, after: int) -> list[tuple[Any, ...]]:
    return ledger.rows(
        f"select id, source, {_TABLES[table]} from {table} where id > ? order by id limit ?",  # noqa: S608 - words of ours
        (after, _WINDOW),
    )


def _theirs(rows: Sequence[tuple[Any, ...]], matcher: Matcher, is_meant: Callable[[str], bool]) -> list[int]:
    return [
        number
        for number, source, line, *texts in rows
        if is_meant(source)
        and (matcher.in_event(bytes(line)) or any(text and matcher.in_text(text.encode()) for text in texts))
    ]


def _bury(ledger: Ledger, numbers: Sequence[int]) -> int:
    listed = msgspec.json.encode(numbers).decode()
    with ledger.transaction():
        ledger.db.execute(
            "insert into filtered (lane, reason, count) select lane, ?, count(*) from dead"
            " where id in (select value from json_each(?)) group by lane"
            " on conflict do update set count = count + excluded.count",
            (ERASED, listed),
        )
        gone = ledger.db.execute("delete from dead where id in (select value from json_each(?))", (listed,))
    return int(gone.rowcount)


def _empty(ledger: Ledger, numbers: Sequence[int]) -> int:
    """Leave tombstones: one of these events may be under way, and its round has to find its row."""
    listed = msgspec.json.encode(numbers).decode()
    with ledger.transaction():
        changed = ledger.db.execute(
            "update waiting set line = ?, who = '', due_at = 0 where id in (select value from json_each(?))",
            (tombstone(), listed),
        )
    return int(changed.rowcount)


def _selections(ledger: Ledger, person: Person, is_meant: Callable[[str], bool]) -> list[int]:
    rows = ledger.rows("select id, source, json_extract(selection, '$.user_id') from lane where selection is not null")
    ids = person.user_ids | person.anonymous_ids
    return [number for number, source, user in rows if user in ids and is_meant(source)]


def _unselect(ledger: Ledger, numbers: Sequence[int]) -> int:
    with ledger.transaction():
        changed = ledger.db.execute(
            "update lane set selection = json_set(selection, '$.user_id', ?)"
            " where id in (select value from json_each(?))",
            (ERASED, msgspec.json.encode(numbers).decode()),
        )
    return int(changed.rowcount)


def _wipe(ledger: Ledger) -> None:
    """Write the file anew without what deleted rows have left in it."""
    ledger.rows("vacuum")
    ledger.rows("pragma wal_checkpoint(truncate)")
