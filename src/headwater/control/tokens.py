"""Tokens of the Public API: shown once, stored as SHA-256, narrowed, ended by time, revoked at once.

A token that a person made is worth what they themselves may do at most, and nothing once they are no member any more.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, Engine, Select, and_, func, insert, select, update

from headwater.clock import Clock
from headwater.control import acting, grants, local_token, naming, scopes
from headwater.control.database import Row, changing, noting, tokens
from headwater.control.grants import Grant
from headwater.control.keyring import Keyring
from headwater.control.models import Caller, Role, Token
from headwater.control.moments import moment, text_of
from headwater.control.people.tables import memberships
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

LOCAL: Final = "local"
"""Stands for the id of a token made from SECRET_KEY."""

PREFIX: Final = "hwt_"  # lets secret scanners recognise a leaked one
_PREFIX_CHARS: Final = 10
_TOKEN_CHARS_MAX: Final = 200
_TOKENS_MAX: Final = 1_000  # ours
_LASTS_MAX: Final = timedelta(days=3_650)  # ours: who wants more wants a token without an end, and shall say so
_NOTE_EVERY: Final = timedelta(minutes=1)  # a write for each request would be the slowest part of it


class Tokens:
    """Makes, lists, checks and revokes tokens."""

    def __init__(self, engine: Engine, keys: Keyring, clock: Clock) -> None:
        self._engine, self._keys, self._clock = engine, keys, clock

    def all(self, workspace_id: str) -> list[Token]:
        """Return the tokens that nobody has revoked, expired ones too, oldest first."""
        found = _with_rights().where(tokens.c.workspace_id == workspace_id).order_by(tokens.c.created_at, tokens.c.id)
        with self._engine.connect() as connection:
            return [_token(row) for row in connection.execute(found) if _grant(row) is not None]

    def get(self, workspace_id: str, token_id: str) -> Token:
        """Return one of them by its id.

        Raises:
            NotFoundError: the workspace has none of this id, or it is revoked.
        """
        for token in self.all(workspace_id):
            if token.id == token_id:
                return token
        raise NotFoundError(f"There is no token {token_id[:60]!r}; GET /tokens lists them.")

    def create(
        self,
        workspace_id: str,
        name: str,
        role: str = Role.OWNER,
        *,
        only: Iterable[str] = (),
        source_ids: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        maker: Caller | None = None,
    ) -> tuple[str, Token]:
        """Make a token and return it with its entry: the only time it can be seen.

        Args:
            workspace_id: where.
            name: what it is for.
            role: the most it may do.
            only: the scopes that it is narrowed to; none is everything that its role may.
            source_ids: of a source admin, ids or slugs; None is every source.
            expires_at: from then on it is refused; None is never.
            maker: who asks; the token can do no more, and a token's token lasts no longer. None is the machine itself.

        Raises:
            InvalidRequestError: name, role, scope, sources or time are wrong.
            NotFoundError: the workspace has no such source.
            ForbiddenError: it would do more than its maker may.
            ConflictError: the workspace has as many as it may have.
        """
        token = PREFIX + secrets.token_urlsafe(32)
        narrowed, now = scopes.checked(only), self._clock()
        if expires_at is not None and not now < expires_at <= now + _LASTS_MAX:
            raise InvalidRequestError("expiresAt lies in the future, within ten years", field="expiresAt")
        row = {
            "id": naming.new_id(),
            "workspace_id": workspace_id,
            "name": naming.checked_name(name),
            "prefix": token[:_PREFIX_CHARS],
            "sha256": _digest(token),
            "created_at": text_of(now),
            "scopes": json.dumps(sorted(narrowed)),
            "expires_at": None if expires_at is None else text_of(expires_at),
            "created_by": _present(),
        }
        with changing(self._engine) as connection:
            self._room_for_one_more(connection, workspace_id)
            grant = grants.checked(connection, workspace_id, role, source_ids)
            row |= {"role": str(grant.role), "source_ids": grants.stored(grant.source_ids)}
            row["user_id"] = None if maker is None else _bounded(connection, maker, grant, narrowed, expires_at)
            connection.execute(insert(tokens).values(row))
            stored = connection.execute(_with_rights().where(tokens.c.id == row["id"])).one()
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
        """Return who holds this token, None when it is unknown, expired or revoked.

        Args:
            token: as the request has it.
            workspace_id: whose owner a local token stands for.
        """
        now = self._clock()
        if len(token) > _TOKEN_CHARS_MAX:
            return None
        if token.startswith(local_token.PREFIX):
            valid = any(local_token.verify(key, token, now) for key in self._keys.all)
            return Caller(workspace_id, Role.OWNER, LOCAL, "command line", is_operator=True) if valid else None
        digest = _digest(token)
        with self._engine.connect() as connection:
            row = connection.execute(_with_rights().where(tokens.c.sha256 == digest)).one_or_none()
        # The index finds a digest, not a token: what its timing tells is of no use to a guesser.
        if row is None or not hmac.compare_digest(row.sha256, digest):
            return None
        caller = _caller(row, now)
        if caller is not None and (row.last_used_at is None or moment(row.last_used_at) < now - _NOTE_EVERY):
            with noting(self._engine) as connection:
                connection.execute(update(tokens).where(tokens.c.id == row.id).values(last_used_at=text_of(now)))
        return caller

    def caller(self, token_id: str) -> Caller | None:
        """Return who holds the token of this id, None when it is not worth anything any more: for sessions."""
        with self._engine.connect() as connection:
            row = connection.execute(_with_rights().where(tokens.c.id == token_id)).one_or_none()
        return None if row is None else _caller(row, self._clock())

    def is_valid(self, token_id: str) -> bool:
        """Return whether a token that was valid still is: for answers that last, such as a stream."""
        return token_id == LOCAL or self.caller(token_id) is not None

    def _room_for_one_more(self, connection: Connection, workspace_id: str) -> None:
        kept = (tokens.c.workspace_id == workspace_id, tokens.c.revoked_at.is_(None))
        if connection.execute(select(func.count()).select_from(tokens).where(*kept)).scalar_one() >= _TOKENS_MAX:
            raise ConflictError(f"A workspace has at most {_TOKENS_MAX} tokens; revoke one first.")


def _with_rights() -> Select[tuple[object, ...]]:
    """Select tokens that are not revoked, with what their maker may do now.

    A membership that began after the token was made is another one: who left and came back gets no old token back.
    """
    is_makers = and_(
        memberships.c.user_id == tokens.c.user_id,
        memberships.c.workspace_id == tokens.c.workspace_id,
        memberships.c.created_at <= tokens.c.created_at,
    )
    makers = (memberships.c.role.label("makers_role"), memberships.c.source_ids.label("makers_source_ids"))
    joined = tokens.outerjoin(memberships, is_makers)
    return select(*tokens.c, *makers).select_from(joined).where(tokens.c.revoked_at.is_(None))


def _grant(row: Row) -> Grant | None:
    """Return what a token may do now, None when its maker is no member any more."""
    grant = Grant(Role(row.role), grants.read(row.source_ids))
    if row.user_id is None:
        return grant
    if row.makers_role is None:
        return None
    return grant.within(Grant(Role(row.makers_role), grants.read(row.makers_source_ids)))


def _caller(row: Row, now: datetime) -> Caller | None:
    grant = _grant(row)
    if grant is None or (row.expires_at is not None and moment(row.expires_at) <= now):
        return None
    return Caller(
        row.workspace_id,
        grant.role,
        row.id,
        row.name,
        scopes=frozenset(json.loads(row.scopes)),
        source_ids=grant.source_ids,
    )


def _bounded(
    connection: Connection, maker: Caller, grant: Grant, only: frozenset[str], expires_at: datetime | None
) -> str | None:
    """Return the user whose membership the new token hangs on, None where it hangs on none.

    Raises:
        ForbiddenError: it would do more, or last longer, than its maker.
    """
    if grant.within(Grant(maker.role, maker.source_ids)) != grant or not scopes.covers(maker.scopes, only):
        raise ForbiddenError("A token can do no more than who makes it; choose a lower role, fewer sources or scopes.")
    if maker.user_id:
        return maker.user_id
    parent = connection.execute(select(tokens).where(tokens.c.id == maker.token_id)).one_or_none()
    if parent is None:  # the machine's own command line
        return None
    if parent.expires_at is not None and (expires_at is None or text_of(expires_at) > parent.expires_at):
        raise ForbiddenError(f"A token made with a token ends with it at the latest: {parent.expires_at}.")
    return None if parent.user_id is None else str(parent.user_id)


def _present() -> str:
    actor = acting.present()
    return (actor.email or actor.name)[:200]


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
        scopes=frozenset(json.loads(row.scopes)),
        source_ids=grants.read(row.source_ids),
        expires_at=moment(row.expires_at) if row.expires_at else None,
        created_by=row.created_by,
        user_id=row.user_id or "",
    )
