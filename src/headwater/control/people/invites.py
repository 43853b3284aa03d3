"""Invitations: a link for one person, which works once and for a week."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from headwater.clock import Clock
from headwater.control import acting, grants, naming
from headwater.control.database import Row, changing, workspaces
from headwater.control.grants import Grant
from headwater.control.models import Role
from headwater.control.moments import moment, text_of
from headwater.control.people.tables import invitations, memberships, users
from headwater.control.people.users import checked_email, folded, joined
from headwater.control.postage import Postage
from headwater.errors import ConflictError, DeliveryError, NotFoundError

PREFIX: Final = "hwi_"  # lets secret scanners recognise a leaked one
LASTS: Final = timedelta(days=7)
_INVITATIONS_MAX: Final = 1_000  # ours, a workspace
_SECRET_CHARS_MAX: Final = 200
_MAILED_MAX: Final = 200  # ours, a workspace and day; whoever invites more hands the links over
_MAILED_TO_ONE_MAX: Final = 5  # ours, an address and day
_log = structlog.get_logger(__name__)


class Mailer(Protocol):
    """Sends mail; blocks."""

    def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Hand one message in.

        Raises:
            DeliveryError: it could not be.
        """


@dataclass(frozen=True, slots=True)
class Post:
    """How invitations reach people.

    Attributes:
        public_url: what their links begin with.
        mailer: sends them; None leaves that to who invites.
    """

    public_url: str = ""
    mailer: Mailer | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody who is asked to join a workspace.

    Attributes:
        source_ids: of a source admin; None is every source.
        invited_by: address or name of who asked.
        expires_at: from then on its link is worth nothing.
    """

    id: str
    workspace_id: str
    email: str
    role: Role
    source_ids: frozenset[str] | None
    invited_by: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to be invited as what; `source_ids` are ids or slugs, None is every source."""

    email: str
    role: str
    source_ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """An invitation with its link, which is seen this once.

    Attributes:
        is_mailed: whether the link went out by mail, too.
    """

    invitation: Invitation
    link: str = field(repr=False)
    is_mailed: bool = False


class Invites:
    """Makes, renews and takes back invitations, and lets in whoever comes with one."""

    def __init__(self, engine: Engine, clock: Clock, post: Post) -> None:
        self._engine, self._clock, self._post = engine, clock, post
        self._postage = Postage(_MAILED_MAX, _MAILED_TO_ONE_MAX)

    def all(self, workspace_id: str) -> list[Invitation]:
        """Return the invitations that nobody has taken up yet, expired ones too, oldest first."""
        found = select(invitations).where(_open_in(workspace_id))
        with self._engine.connect() as connection:
            ordered = connection.execute(found.order_by(invitations.c.created_at, invitations.c.id))
            return [_invitation(row) for row in ordered]

    def invite(self, workspace_id: str, wanted: Sequence[Wanted]) -> list[Sent]:
        """Invite people, all of them or none; who is invited already gets a new link, and the former one ends.

        Raises:
            InvalidRequestError: an address, role or list of sources is wrong.
            NotFoundError: the workspace has no such source.
            ConflictError: one is a member already, or there are too many invitations.
        """
        made = []
        with changing(self._engine) as connection:
            for each in wanted:
                address = checked_email(each.email)
                grant = grants.checked(connection, workspace_id, each.role, each.source_ids)
                _no_member_yet(connection, workspace_id, address)
                connection.execute(delete(invitations).where(_open_in(workspace_id), invitations.c.email == address))
                _room(connection, workspace_id)
                made.append(self._insert(connection, workspace_id, address, grant))
        return [self._send(invitation, secret) for invitation, secret in made]

    def renew(self, workspace_id: str, invitation_id: str) -> Sent:
        """Make a new link for an invitation; the former one ends.

        Raises:
            NotFoundError: there is no open invitation of this id.
        """
        for each in self.all(workspace_id):
            if each.id == invitation_id:
                sources = None if each.source_ids is None else sorted(each.source_ids)
                return self.invite(workspace_id, [Wanted(each.email, each.role, sources)])[0]
        raise _no_invitation(invitation_id)

    def revoke(self, workspace_id: str, which: Collection[str]) -> None:
        """Take invitations back, all of them or none: their links are worth nothing any more.

        Args:
            workspace_id: where.
            which: ids or addresses.

        Raises:
            NotFoundError: there is no open invitation of this id or to this address.
        """
        with changing(self._engine) as connection:
            for key in dict.fromkeys(which):
                is_meant = (invitations.c.id == key) | (invitations.c.email == folded(key))
                if not connection.execute(delete(invitations).where(_open_in(workspace_id), is_meant)).rowcount:
                    raise _no_invitation(key)

    def find(self, secret: str) -> Invitation | None:
        """Return the invitation that a link stands for, None when it is unknown, used or expired."""
        with self._engine.connect() as connection:
            row = self._by_secret(connection, secret)
        return None if row is None else _invitation(row)

    def accept(self, secret: str, name: str, password_hash: str | None) -> str:
        """Let in who comes with a link, once, and return the user's id.

        Who has an account already keeps its name and its password: a link that somebody else saw changes neither.

        Args:
            secret: the link's last part.
            name: what others see of somebody new.
            password_hash: of somebody new; None where they sign in elsewhere.

        Raises:
            NotFoundError: the link is unknown, used or expired.
            ConflictError: they are a member by now, or the workspace is full.
            InvalidRequestError: the name is wrong.
        """
        with changing(self._engine) as connection:
            row = self._by_secret(connection, secret)
            if row is None:
                raise NotFoundError("This invitation was used or has expired; ask who invited you for another.")
            at = text_of(self._clock())
            connection.execute(update(invitations).where(invitations.c.id == row.id).values(accepted_at=at))
            sources = grants.read(row.source_ids)
            return joined(
                connection,
                row.workspace_id,
                row.email,
                name,
                role=row.role,
                source_ids=None if sources is None else sorted(sources),
                at=at,
                password_hash=password_hash,
            )

    def _insert(self, connection: Connection, workspace_id: str, address: str, grant: Grant) -> tuple[Invitation, str]:
        secret, now, actor = PREFIX + secrets.token_urlsafe(32), self._clock(), acting.present()
        row = {
            "id": naming.new_id(),
            "workspace_id": workspace_id,
            "email": address,
            "role": str(grant.role),
            "source_ids": grants.stored(grant.source_ids),
            "token_sha256": _digest(secret),
            "invited_by": (actor.email or actor.name)[:200],
            "created_at": text_of(now),
            "expires_at": text_of(now + LASTS),
        }
        connection.execute(insert(invitations).values(row))
        stored = connection.execute(select(invitations).where(invitations.c.id == row["id"])).one()
        return _invitation(stored), secret

    def _send(self, invitation: Invitation, secret: str) -> Sent:
        link = f"{self._post.public_url.rstrip('/')}/invitation/{secret}"
        if self._post.mailer is None:
            return Sent(invitation, link)
        if not self._postage.admit(invitation.workspace_id, [invitation.email], self._clock()):
            _log.warning("invitation.not_mailed", invitation_id=invitation.id, reason="too many within a day")
            return Sent(invitation, link)
        with self._engine.connect() as connection:
            name = select(workspaces.c.name).where(workspaces.c.id == invitation.workspace_id)
            workspace = connection.execute(name).scalar_one()
        text = (
            f"{invitation.invited_by} invites you to the workspace {workspace} on Headwater.\n\n"
            f"Join here within {LASTS.days} days; the link works once:\n{link}\n\n"
            "If you do not know what this is about, ignore it: nothing happens without you.\n"
        )
        try:
            self._post.mailer.send([invitation.email], f"You are invited to {workspace} on Headwater", text)
        except DeliveryError as error:  # who invited sees the link, and that it was not mailed
            _log.warning("invitation.not_mailed", invitation_id=invitation.id, reason=str(error))
            return Sent(invitation, link)
        return Sent(invitation, link, is_mailed=True)

    def _by_secret(self, connection: Connection, secret: str) -> Row | None:
        if len(secret) > _SECRET_CHARS_MAX:
            return None
        is_meant = (invitations.c.token_sha256 == _digest(secret)) & invitations.c.accepted_at.is_(None)
        row = connection.execute(select(invitations).where(is_meant)).one_or_none()
        return None if row is None or moment(row.expires_at) <= self._clock() else row


def _open_in(workspace_id: str) -> Any:
    return (invitations.c.workspace_id == workspace_id) & invitations.c.accepted_at.is_(None)


def _room(connection: Connection, workspace_id: str) -> None:
    found = connection.execute(select(func.count()).select_from(invitations).where(_open_in(workspace_id)))
    if found.scalar_one() >= _INVITATIONS_MAX:
        raise ConflictError(f"A workspace has at most {_INVITATIONS_MAX} open invitations; take one back first.")


def _no_member_yet(connection: Connection, workspace_id: str, address: str) -> None:
    here = select(memberships.c.id).join(users, users.c.id == memberships.c.user_id)
    if connection.execute(here.where(memberships.c.workspace_id == workspace_id, users.c.email == address)).scalar():
        raise ConflictError(f"{address} is a member of this workspace already.")


def _no_invitation(key: str) -> NotFoundError:
    return NotFoundError(f"There is no open invitation {key[:60]!r}; GET /invites lists them.")


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def _invitation(row: Row) -> Invitation:
    return Invitation(
        id=row.id,
        workspace_id=row.workspace_id,
        email=row.email,
        role=Role(row.role),
        source_ids=grants.read(row.source_ids),
        invited_by=row.invited_by,
        created_at=moment(row.created_at),
        expires_at=moment(row.expires_at),
    )
