"""Sessions: who is signed in, in which browser; 256 bits that are stored as SHA-256 only (ASVS 5.0, V7).

A session ends 12 hours after it was last used, 7 days after it began, when it is revoked, and with what it stands on:
the user, or the API token that was used to sign in.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import naming
from headwater.control.database import Row, noting
from headwater.control.moments import moment, text_of
from headwater.control.people.models import Session
from headwater.control.people.tables import sessions, users
from headwater.errors import NotFoundError

IDLE: Final = timedelta(hours=12)
LASTS: Final = timedelta(days=7)
_NOTE_EVERY: Final = timedelta(minutes=1)  # a write for each request would be the slowest part of it
_OF_ONE_MAX: Final = 50  # ours: browsers of one person or token; the one that was used longest ago goes
_SECRET_CHARS_MAX: Final = 100
_ADDRESS_CHARS_MAX: Final = 64
_AGENT_CHARS_MAX: Final = 300


class Sessions:
    """Opens, finds, lists and ends sessions."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def open(self, user_id: str, address: str, agent: str) -> tuple[str, Session]:
        """Let a user in and return what their browser keeps, which can be seen only now, with the session."""
        return self._open({"user_id": user_id}, address, agent)

    def open_for_token(self, token_id: str, workspace_id: str, address: str, agent: str) -> tuple[str, Session]:
        """Let in whoever holds an API token, as `open` does; `LOCAL` stands for the command line's own."""
        return self._open({"token_id": token_id, "workspace_id": workspace_id}, address, agent)

    def find(self, secret: str) -> Session | None:
        """Return the session whose browser shows this, None when it has ended or never was."""
        if not secret or len(secret) > _SECRET_CHARS_MAX:
            return None
        with self._engine.connect() as connection:
            found = select(sessions).where(sessions.c.secret_sha256 == _digest(secret))
            row = connection.execute(found).one_or_none()
        now = self._clock()
        # The index finds a digest, not a secret: what its timing tells is of no use to a guesser.
        if row is None or not _lives(row, now):
            return None
        if moment(row.seen_at) < now - _NOTE_EVERY:
            self._note(row, now)
        return _session(row)

    def visited(self, session: Session, workspace_id: str) -> None:
        """Note which workspace is looked at."""
        if session.workspace_id != workspace_id:
            with noting(self._engine) as connection:
                change = update(sessions).where(sessions.c.id == session.id)
                connection.execute(change.values(workspace_id=workspace_id))

    def all(self, user_id: str) -> list[Session]:
        """Return where a user is signed in, the one that was used last first."""
        found = select(sessions).where(sessions.c.user_id == user_id)
        now = self._clock()
        with self._engine.connect() as connection:
            ordered = connection.execute(found.order_by(sessions.c.seen_at.desc(), sessions.c.id))
            return [_session(row) for row in ordered if _lives(row, now)]

    def revoke(self, user_id: str, session_id: str) -> None:
        """End one session of a user.

        Raises:
            NotFoundError: they have none of this id.
        """
        if not self._end((sessions.c.id == session_id) & (sessions.c.user_id == user_id)):
            raise NotFoundError("There is no such session; it may have ended.")

    def revoke_all(self, user_id: str, but: str | None = None) -> int:
        """End a user's sessions, all `but` the one of this id, and return how many they were."""
        return self._end((sessions.c.user_id == user_id) & (sessions.c.id != (but or "")))

    def end(self, session: Session) -> None:
        """End a session, as signing out does."""
        self._end(sessions.c.id == session.id)

    def _open(self, holder: dict[str, str], address: str, agent: str) -> tuple[str, Session]:
        secret, now = secrets.token_urlsafe(32), self._clock()
        row = {
            "id": naming.new_id(),
            "workspace_id": None,
            **holder,
            "secret_sha256": _digest(secret),
            "created_at": text_of(now),
            "seen_at": text_of(now),
            "expires_at": text_of(now + LASTS),
            "address": address[:_ADDRESS_CHARS_MAX],
            "agent": "".join(char if char.isprintable() else "?" for char in agent[:_AGENT_CHARS_MAX]),
        }
        (name, holder_id), *_ = holder.items()
        with noting(self._engine) as connection:
            is_over = (sessions.c.expires_at <= text_of(now)) | (sessions.c.seen_at <= text_of(now - IDLE))
            connection.execute(delete(sessions).where(is_over))
            theirs = select(sessions.c.id).where(sessions.c[name] == holder_id)
            surplus = theirs.order_by(sessions.c.seen_at.desc()).offset(_OF_ONE_MAX - 1)
            connection.execute(delete(sessions).where(sessions.c.id.in_(surplus)))
            connection.execute(insert(sessions).values(row))
            stored = connection.execute(select(sessions).where(sessions.c.id == row["id"])).one()
            _see(connection, stored, now)
        return secret, _session(stored)

    def _note(self, row: Row, now: datetime) -> None:
        with noting(self._engine) as connection:
            connection.execute(update(sessions).where(sessions.c.id == row.id).values(seen_at=text_of(now)))
            _see(connection, row, now)

    def _end(self, which: Any) -> int:
        with noting(self._engine) as connection:
            return int(connection.execute(delete(sessions).where(which)).rowcount)


def _see(connection: Connection, row: Row, now: datetime) -> None:
    if row.user_id is not None:
        connection.execute(update(users).where(users.c.id == row.user_id).values(last_seen_at=text_of(now)))


def _lives(row: Row, now: datetime) -> bool:
    return moment(row.expires_at) > now and moment(row.seen_at) > now - IDLE


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def _session(row: Row) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id or "",
        token_id=row.token_id or "",
        workspace_id=row.workspace_id or "",
        created_at=moment(row.created_at),
        seen_at=moment(row.seen_at),
        expires_at=moment(row.expires_at),
        address=row.address,
        agent=row.agent,
    )
