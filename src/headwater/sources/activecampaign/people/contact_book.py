"""What is known of contacts, on disk: who each contact of an account is, and whose e-mail a workspace has seen.

E-mail addresses are kept as keyed hashes: they are only ever looked up, never read back, and a copy of the file gives
no list of addresses away. `forget` finds a person by the same hash.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from headwater import sqlite

_HASH_BYTES: Final = 16  # ours: two of a billion addresses collide with a chance of 1 in 10^20
_KEY_BYTES: Final = 32

_SCHEMA: Final = """
create table if not exists secret (key blob not null) strict;
create table if not exists sources (
  source_id text primary key, workspace_id text not null, account text not null, feed integer not null,
  primed_id text not null default '0', pass_began_at integer not null default 0, primed_at integer not null default 0,
  known integer not null default 0, with_user_id integer not null default 0
) strict, without rowid;
create table if not exists contacts (
  source_id text not null, contact_id text not null, user_id text not null, email blob not null,
  private integer not null, looked_at integer not null,
  primary key (source_id, contact_id)
) strict, without rowid;
create index if not exists contacts_by_email on contacts (email);
create table if not exists emails (
  workspace_id text not null, email blob not null, user_id text not null, at_ms integer not null,
  primary key (workspace_id, email)
) strict, without rowid;
create trigger if not exists contact_added after insert on contacts begin
  update sources set known = known + 1, with_user_id = with_user_id + (new.user_id != '')
    where source_id = new.source_id;
end;
create trigger if not exists contact_changed after update on contacts begin
  update sources set with_user_id = with_user_id + (new.user_id != '') - (old.user_id != '')
    where source_id = new.source_id;
end;
create trigger if not exists contact_removed after delete on contacts begin
  update sources set known = known - 1, with_user_id = with_user_id - (old.user_id != '')
    where source_id = old.source_id;
end;
"""


class Entry(NamedTuple):
    """One contact as the account last told it.

    Attributes:
        user_id: "" where the account knows none, or where the contact is gone.
        email: hash of the address at that time.
        private: its opens come through Apple's privacy proxy.
        looked_at: seconds since 1970.
    """

    user_id: str
    email: bytes
    private: bool
    looked_at: int


class Learnt(NamedTuple):
    """An identify call in short: when (milliseconds since 1970) an address was said to be a user's."""

    email: str
    user_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Shelfmark:
    """One source as it is kept.

    Attributes:
        account: the address its contact ids belong to.
        feed: whether identify calls of the workspace may name its contacts.
        primed_id: up to which contact the pass that is under way has come, "0" when it begins.
        pass_began_at: when that pass began, 0 for none under way.
        primed_at: when the last pass that came to its end had begun, 0 for none.
        known, with_user_id: how many contacts.
    """

    workspace_id: str
    account: str
    feed: bool
    primed_id: str = "0"
    pass_began_at: int = 0
    primed_at: int = 0
    known: int = 0
    with_user_id: int = 0


class ContactBook:
    """The file; usable from any thread. Every method may wait for the disk, except `hashed` and `figures`."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self._lock = threading.Lock()
        self._connection = sqlite.connect(path)
        self._connection.execute("pragma secure_delete = on")  # user ids of people who were forgotten leave no bytes
        self._connection.executescript(_SCHEMA)
        row = self._connection.execute("select key from secret").fetchone()
        self._key: bytes = row[0] if row else self._new_key()
        self._figures = {source_id: (mark.known, mark.with_user_id) for source_id, mark in self.sources().items()}

    def _new_key(self) -> bytes:
        key = secrets.token_bytes(_KEY_BYTES)
        self._connection.execute("insert into secret values (?)", (key,))
        return key

    def figures(self, source_id: str) -> tuple[int, int]:
        """Return how many contacts of a source are known, and how many of them with a user id; from memory."""
        return self._figures.get(source_id, (0, 0))

    def hashed(self, email: str) -> bytes:
        """Return what stands for an address here, whatever its capitals; b"" for no address."""
        plain = email.strip().lower()
        return hashlib.blake2b(plain.encode(), digest_size=_HASH_BYTES, key=self._key).digest() if plain else b""

    def sources(self) -> dict[str, Shelfmark]:
        """Return every source that was ever connected and not removed, by its id."""
        with self._lock:
            rows = self._connection.execute(
                "select source_id, workspace_id, account, feed, primed_id, pass_began_at, primed_at, known,"
                " with_user_id from sources"
            ).fetchall()
        return {row[0]: Shelfmark(row[1], row[2], bool(row[3]), *row[4:]) for row in rows}

    def source(self, source_id: str) -> Shelfmark | None:
        """Return one source, None when it was never connected."""
        with self._lock:
            row = self._connection.execute(
                "select workspace_id, account, feed, primed_id, pass_began_at, primed_at, known, with_user_id"
                " from sources where source_id = ?",
                (source_id,),
            ).fetchone()
        return Shelfmark(row[0], row[1], bool(row[2]), *row[3:]) if row else None

    def connect(self, source_id: str, workspace_id: str, account: str, *, feed: bool) -> None:
        """Say whose a source is; contacts of another account are forgotten, because their ids mean others."""
        with self._commit():
            row = self._connection.execute("select account from sources where source_id = ?", (source_id,)).fetchone()
            if row and row[0] != account:
                self._connection.execute("delete from contacts where source_id = ?", (source_id,))
                self._connection.execute("delete from sources where source_id = ?", (source_id,))
            self._connection.execute(
                "insert into sources (source_id, workspace_id, account, feed) values (?, ?, ?, ?)"
                " on conflict (source_id) do update set workspace_id = excluded.workspace_id, feed = excluded.feed",
                (source_id, workspace_id, account, feed),
            )

    def contacts(self, source_id: str, ids: Collection[str]) -> dict[str, Entry]:
        """Return what is known of these contacts, by id."""
        found: dict[str, Entry] = {}
        with self._lock:
            for id_ in ids:
                row = self._connection.execute(
                    "select user_id, email, private, looked_at from contacts where source_id = ? and contact_id = ?",
                    (source_id, id_),
                ).fetchone()
                if row:
                    found[id_] = Entry(row[0], row[1], bool(row[2]), row[3])
        return found

    def keep(self, source_id: str, entries: Iterable[tuple[str, Entry]]) -> None:
        """Keep what the account told of contacts; one commit."""
        with self._commit():
            self._write(source_id, entries)

    def keep_page(self, source_id: str, entries: Iterable[tuple[str, Entry]], *, up_to: str, began_at: int) -> None:
        """Keep a page of the pass over all contacts and how far it has come; one commit."""
        with self._commit():
            self._write(source_id, entries)
            self._connection.execute(
                "update sources set primed_id = ?, pass_began_at = ? where source_id = ?", (up_to, began_at, source_id)
            )

    def end_pass(self, source_id: str, began_at: int) -> None:
        """Remember that the pass which began then has seen every contact."""
        with self._commit():
            self._connection.execute(
                "update sources set primed_id = '0', pass_began_at = 0, primed_at = ? where source_id = ?",
                (began_at, source_id),
            )

    def _write(self, source_id: str, entries: Iterable[tuple[str, Entry]]) -> None:
        self._connection.executemany(
            "insert into contacts values (?, ?, ?, ?, ?, ?) on conflict (source_id, contact_id) do update set"
            " user_id = excluded.user_id, email = excluded.email, private = excluded.private,"
            " looked_at = excluded.looked_at",
            [(source_id, id_, *entry) for id_, entry in entries],
        )

    def users(self, workspace_id: str, emails: Collection[bytes]) -> dict[bytes, str]:
        """Return the user ids that identify calls of the workspace gave these addresses, by hash."""
        found: dict[bytes, str] = {}
        with self._lock:
            for email in emails:
                row = self._connection.execute(
                    "select user_id from emails where workspace_id = ? and email = ?", (workspace_id, email)
                ).fetchone()
                if row:
                    found[email] = row[0]
        return found

    def learn(self, workspace_id: str, learnt: Sequence[Learnt]) -> None:
        """Take over what identify calls told: the latest call about an address wins, however they arrive."""
        with self._commit():
            self._connection.executemany(
                "insert into emails values (?, ?, ?, ?) on conflict (workspace_id, email) do update set"
                " user_id = excluded.user_id, at_ms = excluded.at_ms where excluded.at_ms >= emails.at_ms",
                [(workspace_id, self.hashed(each.email), each.user_id, each.at_ms) for each in learnt],
            )

    def contacts_of(self, workspace_id: str, email: str) -> list[str]:
        """Return the ids of the contacts that have this address in accounts of the workspace."""
        with self._lock:
            rows = self._connection.execute(
                "select contact_id from contacts where email = ? and source_id in"
                " (select source_id from sources where workspace_id = ?)",
                (self.hashed(email), workspace_id),
            ).fetchall()
        return [contact_id for (contact_id,) in rows]

    def forget(self, workspace_id: str, email: str) -> int:
        """Remove everything about a person in a workspace; return how many rows that were."""
        hashed = self.hashed(email)
        with self._commit():
            contacts = self._connection.execute(
                "delete from contacts where email = ? and source_id in"
                " (select source_id from sources where workspace_id = ?)",
                (hashed, workspace_id),
            ).rowcount
            emails = self._connection.execute(
                "delete from emails where workspace_id = ? and email = ?", (workspace_id, hashed)
            ).rowcount
        with self._lock:
            self._connection.execute("pragma wal_checkpoint(truncate)")
        return int(contacts + emails)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _commit(self) -> Iterator[None]:
        with self._lock:
            with sqlite.transaction(self._connection):
                yield
            rows = self._connection.execute("select source_id, known, with_user_id from sources")
            self._figures = {source_id: (known, with_user_id) for source_id, known, with_user_id in rows}
