"""The order of one user's events: who has something waiting, and whether a later event went before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from headwater import sqlite
from headwater.delivery.fate import HELD_AT, HELD_BACK, Done, Fate, Item, Waiting
from headwater.delivery.settlement import Settlement
from headwater.spec.event import Event

_USERS_MAX: Final = 10_000  # ours: users of a connection for whom breaks are noticed; some 2 MB


def user_of(event: Event) -> str:
    """Return whose order an event belongs to: `userId`, else `anonymousId`, "" for nobody's."""
    return str(event.body.get("userId") or event.body.get("anonymousId") or "")


class Queue:
    """The users who have something waiting, where a destination needs each user's events in order.

    It follows the ledger: begun with what `Ledger.waiting_users` finds, updated with what `Ledger.settle` returns.
    """

    def __init__(self, users: Iterable[str]) -> None:
        """Take those who wait already."""
        self._users = set(users)

    def follow(self, waits: Mapping[str, bool]) -> None:
        """Take in whether something of these users waits now."""
        for user, is_waiting in waits.items():
            if is_waiting:
                self._users.add(user)
            else:
                self._users.discard(user)

    def holds(self, item: Item) -> bool:
        """Tell whether an event must wait behind an earlier one; what waits itself is taken out oldest first."""
        return bool(self._users) and item.row is None and user_of(item.event) in self._users


class Breaks:
    """Notices retried events that a later one of the same user went before.

    An approximation that is never too high: it forgets the past at a restart, and users beyond _USERS_MAX.
    """

    def __init__(self) -> None:
        """Begin with nothing that waits."""
        self._latest: dict[str, int] = {}

    def note(self, fates: Iterable[tuple[Item, Fate]]) -> int:
        """Take in how a round ended, in order; return how many breaks it brought."""
        broken = 0
        for item, fate in fates:
            if isinstance(fate, Waiting):
                self._wait(user_of(item.event))
            elif self._latest and isinstance(fate, Done) and (user := user_of(item.event)) in self._latest:
                broken += item.attempts > 0 and self._latest[user] > item.event.seq
                self._latest[user] = max(self._latest[user], item.event.seq)
        return broken

    def _wait(self, user: str) -> None:
        if user and user not in self._latest:
            if len(self._latest) >= _USERS_MAX:
                del self._latest[next(iter(self._latest))]
            self._latest[user] = -1


def line_up(db: sqlite.Connection, settlement: Settlement, now: float) -> dict[str, bool]:
    """Let the oldest waiting event of each user of a round be due and hold back the others, inside its transaction.

    Returns:
        for each of these users, whether something waits.
    """
    users = {user_of(item.event) for item, _ in settlement.fates} - {""}
    return {user: _let_go(db, settlement.connection, user, now) for user in users}


def _let_go(db: sqlite.Connection, connection: str, user: str, now: float) -> bool:
    # `who <> ''` says again what `who = ?` implies: only so SQLite may take the partial index of users.
    oldest = db.execute(
        "select id, due_at from waiting where connection = ? and who = ? and who <> '' order by lane, seq limit 1",
        (connection, user),
    ).fetchone()
    if oldest is None:
        return False
    number, due_at = oldest
    if due_at >= HELD_AT:
        db.execute("update waiting set due_at = ? where id = ?", (now, number))
    db.execute(
        "update waiting indexed by waiting_who set due_at = ?, reason = ?"
        " where connection = ? and who = ? and who <> '' and id <> ? and due_at < ?",
        (HELD_AT, HELD_BACK, connection, user, number, HELD_AT),
    )
    return True
