"""Users and what they may do in each workspace."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from headwater.clock import Clock
from headwater.control import grants, naming
from headwater.control.database import Row, changing, tokens
from headwater.control.models import Role
from headwater.control.moments import moment, text_of
from headwater.control.people.models import Member, User
from headwater.control.people.tables import memberships, sessions, users
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

MEMBERS_MAX: Final = 1_000  # ours
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_EMAIL_CHARS_MAX: Final = 254  # RFC 5321
_PLACE: Final = (
    memberships.c.workspace_id,
    memberships.c.role,
    memberships.c.source_ids,
    memberships.c.created_at.label("since"),
)


class Users:
    """The people of this installation and their places in its workspaces."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str) -> list[Member]:
        """Return the members of a workspace, who joined first first."""
        return self._members(memberships.c.workspace_id == workspace_id)

    def get(self, workspace_id: str, user_id: str) -> Member:
        """Return a member of a workspace.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        found = self._members((memberships.c.workspace_id == workspace_id) & (memberships.c.user_id == user_id))
        if not found:
            raise _no_user(user_id)
        return found[0]

    def find(self, user_id: str) -> User | None:
        """Return a user by id, of whatever workspaces; None when there is none."""
        return self._user(users.c.id == user_id)

    def by_email(self, email: str) -> User | None:
        """Return the user with this address, however it is written; None when nobody has it."""
        return self._user(users.c.email == folded(email))

    def memberships_of(self, user_id: str) -> list[Member]:
        """Return a user's places, the oldest first."""
        return self._members(memberships.c.user_id == user_id)

    def add(
        self, workspace_id: str, email: str, name: str, role: str, source_ids: Sequence[str] | None = None
    ) -> Member:
        """Let somebody into a workspace, whether Headwater knows them yet or not.

        Args:
            workspace_id: where.
            email: theirs.
            name: theirs where they are new; a known user keeps their own.
            role: what they may do there.
            source_ids: of a source admin, ids or slugs; None is every source.

        Raises:
            InvalidRequestError: a value is wrong; its field is named.
            ConflictError: they are a member already, or the workspace is full.
            NotFoundError: a source is none of this workspace's.
        """
        with changing(self._engine) as connection:
            user_id = joined(
                connection, workspace_id, email, name, role=role, source_ids=source_ids, at=text_of(self._clock())
            )
        return self.get(workspace_id, user_id)

    def set_role(self, workspace_id: str, user_id: str, role: str, source_ids: Sequence[str] | None = None) -> Member:
        """Change what a member may do; their sessions end, so that no page of theirs goes on as before.

        Raises:
            InvalidRequestError: the role is unknown, or sources are named for one that has none.
            NotFoundError: nobody here is called so, or a source is none of this workspace's.
            ConflictError: they are the last owner.
        """
        with changing(self._engine) as connection:
            member = _membership(connection, workspace_id, user_id)
            grant = grants.checked(connection, workspace_id, role, source_ids)
            if grant.role is not Role.OWNER:
                _another_owner(connection, workspace_id, user_id)
            wanted = {"role": str(grant.role), "source_ids": grants.stored(grant.source_ids)}
            if {name: getattr(member, name) for name in wanted} != wanted:
                connection.execute(update(memberships).where(memberships.c.id == member.id).values(wanted))
                connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
        return self.get(workspace_id, user_id)

    def remove(self, workspace_id: str, *user_ids: str) -> list[Member]:
        """Take people out of a workspace, all or none, and return who it was; their sessions and tokens for it end.

        Who is in no other workspace, and did not set Headwater up, is forgotten.

        Raises:
            NotFoundError: nobody here is called so.
            ConflictError: no owner would be left.
        """
        gone = [self.get(workspace_id, each) for each in user_ids]
        with changing(self._engine) as connection:
            for member in gone:
                self._remove(connection, member)
        return gone

    def _remove(self, connection: Connection, member: Member) -> None:
        workspace_id, user_id = member.workspace_id, member.user.id
        row = _membership(connection, workspace_id, user_id)
        _another_owner(connection, workspace_id, user_id)
        connection.execute(delete(memberships).where(memberships.c.id == row.id))
        connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
        theirs = (tokens.c.workspace_id == workspace_id) & (tokens.c.user_id == user_id)
        revoking = update(tokens).where(theirs, tokens.c.revoked_at.is_(None))
        connection.execute(revoking.values(revoked_at=text_of(self._clock())))
        elsewhere = select(memberships.c.id).where(memberships.c.user_id == user_id).limit(1)
        if connection.execute(elsewhere).scalar() is None and not member.user.is_operator:
            connection.execute(delete(users).where(users.c.id == user_id))

    def rename(self, user_id: str, name: str) -> User:
        """Change what others see.

        Raises:
            InvalidRequestError: the name is wrong.
            NotFoundError: there is no such user.
        """
        with changing(self._engine) as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(name=naming.checked_name(name)))
        found = self.find(user_id)
        if found is None:
            raise _no_user(user_id)
        return found

    def _members(self, which: Any) -> list[Member]:
        found = select(users, *_PLACE).join(memberships, users.c.id == memberships.c.user_id).where(which)
        with self._engine.connect() as connection:
            ordered = connection.execute(found.order_by(memberships.c.created_at, memberships.c.id))
            return [_member(row) for row in ordered]

    def _user(self, which: Any) -> User | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(users).where(which)).one_or_none()
        return None if row is None else user_of(row)


def joined(
    connection: Connection,
    workspace_id: str,
    email: str,
    name: str,
    *,
    role: str,
    source_ids: Sequence[str] | None,
    at: str,
    **stored: Any,
) -> str:
    """Make somebody a member inside a transaction and return the user's id; see `Users.add`.

    Args:
        connection: of `changing`.
        workspace_id: where.
        email: theirs.
        name: theirs where they are new.
        role: what they may do there.
        source_ids: of a source admin, None for every source.
        at: now, as stored.
        stored: further columns of a user who is new.
    """
    address, grant = checked_email(email), grants.checked(connection, workspace_id, role, source_ids)
    user_id = connection.execute(select(users.c.id).where(users.c.email == address)).scalar()
    if user_id is None:
        user_id = naming.new_id()
        new = {"id": user_id, "email": address, "name": naming.checked_name(name), "created_at": at}
        connection.execute(insert(users).values({"is_operator": False, **new, **stored}))
    here = memberships.c.workspace_id == workspace_id
    members = connection.execute(select(memberships.c.user_id).where(here)).scalars().all()
    if user_id in members:
        raise ConflictError(f"{address} is a member of this workspace already.")
    if len(members) >= MEMBERS_MAX:
        raise ConflictError(f"A workspace has at most {MEMBERS_MAX} members; remove one first.")
    row = {"id": naming.new_id(), "workspace_id": workspace_id, "user_id": user_id, "created_at": at}
    what = {"role": str(grant.role), "source_ids": grants.stored(grant.source_ids)}
    connection.execute(insert(memberships).values(row | what))
    return str(user_id)


def folded(email: str) -> str:
    """Return an address as it is compared: everybody writes the same one in their own way."""
    return unicodedata.normalize("NFC", email.strip()).lower()


def checked_email(email: str) -> str:
    """Return an address as it is stored.

    Raises:
        InvalidRequestError: it is none.
    """
    found = folded(email)
    if not _EMAIL.fullmatch(found) or len(found) > _EMAIL_CHARS_MAX or not found.isprintable():
        raise InvalidRequestError("This is no e-mail address; write it as name@example.com.", field="email")
    return found


def user_of(row: Row) -> User:
    """Return a row of the table of users as a value."""
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        is_operator=row.is_operator,
        has_password=row.password_hash is not None,
        created_at=moment(row.created_at),
        last_seen_at=moment(row.last_seen_at) if row.last_seen_at else None,
    )


def _member(row: Row) -> Member:
    return Member(
        user=user_of(row),
        workspace_id=row.workspace_id,
        role=Role(row.role),
        source_ids=grants.read(row.source_ids),
        since=moment(row.since),
    )


def _membership(connection: Connection, workspace_id: str, user_id: str) -> Row:
    wanted = (memberships.c.workspace_id == workspace_id) & (memberships.c.user_id == user_id)
    found = connection.execute(select(memberships).where(wanted)).one_or_none()
    if found is None:
        raise _no_user(user_id)
    return found


def _another_owner(connection: Connection, workspace_id: str, user_id: str) -> None:
    """Return when the workspace has an owner besides this user.

    Raises:
        ConflictError: nobody could look after it then.
    """
    owners = (memberships.c.workspace_id == workspace_id) & (memberships.c.role == str(Role.OWNER))
    others = select(func.count()).where(owners, memberships.c.user_id != user_id)
    if not connection.execute(others).scalar_one():
        raise ConflictError("This is the workspace's last owner; make somebody else an owner first.")


def _no_user(user_id: str) -> NotFoundError:
    return NotFoundError(f"There is no user {user_id[:60]!r}; GET /users lists them.")
