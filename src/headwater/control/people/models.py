"""Who there is: users, what they may do in a workspace, and the sessions in which they look at the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from headwater.control.models import Role


@dataclass(frozen=True, slots=True)
class User:
    """A person of this installation.

    Attributes:
        email: lower-case; nobody else has it.
        is_operator: set Headwater up, and may make workspaces.
        has_password: whether they can sign in with one; others come through the identity provider.
        last_seen_at: exact to a minute; None before the first sign-in.
    """

    id: str
    email: str
    name: str
    is_operator: bool
    has_password: bool
    created_at: datetime
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """What a user may do in one workspace.

    Attributes:
        source_ids: of a source admin; None is every source of the workspace.
        since: when they joined.
    """

    user: User
    workspace_id: str
    role: Role
    source_ids: frozenset[str] | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in, in one browser.

    Attributes:
        user_id: "" where an API token was used to sign in.
        token_id: that token's; "" where a person is signed in.
        workspace_id: the one that was looked at last, "" before the first.
        seen_at: exact to a minute.
        expires_at: when it ends at the latest.
        agent: what the browser calls itself.
    """

    id: str
    user_id: str
    token_id: str
    workspace_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an identity provider vouches for.

    Attributes:
        subject: issuer and subject together, which never change.
        email: verified by the provider.
        may_join: whether the address is of a domain that needs no invitation.
    """

    subject: str
    email: str
    name: str
    may_join: bool
