"""Tokens of the Public API: shown once, stored as SHA-256, revoked at once."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import Engine, insert, select, update

from headwater.clock import Clock
from headwater.control import local_token, naming
from headwater.control.database import Row, changing, noting, tokens
from headwater.control.keyring import Keyring
from headwater.control.models import Caller, Role, Token
from headwater.control.moments import moment, text_of
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

LOCAL: Final = "local"
"""Stands for the id of a token made from SECRET_KEY."""

PREFIX: Final = "hwt_"  # lets secret scanners recognise a leaked one
_PREFIX_CHARS: Final = 10
_TOKEN_CHARS_MAX: Final = 200
_TOKENS_MAX: Final = 1_000  # ours
_NOTE_EVERY: Final = timedelta(minutes=1)  # a write for each request would be the slowest part of it


class Tokens:
    """Makes, lists, checks and revokes tokens."""

    def __init__(self, engine: Engine, keys: Keyring, clock: Clock) -> None:
        self._engine, self._keys, self._clock = engine, keys, clock

    def all(self, workspace_id: str) -> list[Token]:
        """Return the tokens that work, oldest first."""
        found = select(tokens).where(tokens.c.workspace_id == workspace_id, tokens.c.revoked_at.is_(None))
        with self._engine.connect() as connection:
            return [_token(row) for row in connection.execute(found.order_by(tokens.c.created_at, tokens.c.id))]

    def create(self, workspace_id: str, name: str, role: str = Role.OWNER) -> tuple[str, Token]:
        """Make a token and return it with its entry: the only time it can be seen.

        Raises:
            InvalidRequestError: the name is wrong, or the role unknown.
            ConflictError: the workspace has as many as it may have.
        """
        if role not in set(Role):
            raise InvalidRequestError(f"role is one of {', '.join(Role)}", field="role")
        if len(self.all(workspace_id)) >= _TOKENS_MAX:
            raise ConflictError(f"A workspace has at most {_TOKENS_MAX} tokens; revoke one first.")
        token = PREFIX + secrets.token_urlsafe(32)
        row = {
            "id": naming.new_id(),
            "workspace_id": workspace_id,
            "name": naming.checked_name(name),
            "role": str(role),
            "prefix": token[:_PREFIX_CHARS],
            "sha256": _digest(token),
            "created_at": text_of(self._clock()),
        }
        with changing(self._engine) as connection:
            connection.execute(insert(tokens).values(row))
            stored = connection.execute(select(tokens).where(tokens.c.id == row["id"])).one()
        return token, _token(stored)

    def revoke(self, workspace_id: str, token_id: str) -> Token:
        """Make a token worthless at once and return its entry.

        Args:
            workspace_id: where.
            token_id: its id, or its name where only one has it.

        Raises:
            NotFoundError: no valid token is called so.
            ConflictError: several tokens have this name.
        """
        known = self.all(workspace_id)
        found = [each for each in known if each.id == token_id] or [each for each in known if each.name == token_id]
        if not found:
            raise NotFoundError(f"There is no valid token {token_id[:60]!r}; `headwater token list` shows them.")
        if len(found) > 1:
            raise ConflictError(f"{len(found)} tokens are called {token_id!r}; name one by its id.")
        with changing(self._engine) as connection:
            change = update(tokens).where(tokens.c.id == found[0].id)
            connection.execute(change.values(revoked_at=text_of(self._clock())))
        return found[0]

    def authenticate(self, token: str, workspace_id: str) -> Caller | None:
        """Return who holds this token, None when it is unknown or revoked.

        Args:
            token: as the request has it.
            workspace_id: whose owner a local token stands for.
        """
        now = self._clock()
        if len(token) > _TOKEN_CHARS_MAX:
            return None
        if token.startswith(local_token.PREFIX):
            valid = any(local_token.verify(key, token, now) for key in self._keys.all)
            return Caller(workspace_id, Role.OWNER, LOCAL, "command line") if valid else None
        digest = _digest(token)
        with self._engine.connect() as connection:
            row = connection.execute(select(tokens).where(tokens.c.sha256 == digest)).one_or_none()
        # The index finds a digest, not a token: what its timing tells is of no use to a guesser.
        if row is None or row.revoked_at is not None or not hmac.compare_digest(row.sha256, digest):
            return None
        if row.last_used_at is None or moment(row.last_used_at) < now - _NOTE_EVERY:
            with noting(self._engine) as connection:
                connection.execute(update(tokens).where(tokens.c.id == row.id).values(last_used_at=text_of(now)))
        return Caller(row.workspace_id, Role(row.role), row.id, row.name)

    def is_valid(self, token_id: str) -> bool:
        """Return whether a token that was valid still is: for answers that last, such as a stream."""
        if token_id == LOCAL:
            return True
        with self._engine.connect() as connection:
            found = connection.execute(select(tokens.c.revoked_at).where(tokens.c.id == token_id)).one_or_none()
        return found is not None and found.revoked_at is None


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()


def _token(row: Row) -> Token:
    return Token(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        role=Role(row.role),
        prefix=row.prefix,
        created_at=moment(row.created_at),
        last_used_at=moment(row.last_used_at) if row.last_used_at else None,
    )
