"""People, what they may do, invitations, and tokens."""

from __future__ import annotations

import msgspec

from headwater.control.api.models import Pagination
from headwater.control.api.models.sources import Label


class Role(msgspec.Struct, rename="camel"):
    """What can be granted."""

    id: str
    name: str
    description: str


class Roles(msgspec.Struct, rename="camel"):
    """A page of roles."""

    roles: list[Role]
    pagination: Pagination


class PermissionResource(msgspec.Struct, rename="camel"):
    """What a role is granted for: the workspace (all of it), or one source."""

    id: str
    type: str
    labels: list[Label]


class Permission(msgspec.Struct, rename="camel"):
    """A role and what it is granted for."""

    role_id: str
    role_name: str
    resources: list[PermissionResource]


class Permissions(msgspec.Struct, rename="camel"):
    """What somebody may do now."""

    permissions: list[Permission]


class User(msgspec.Struct, rename="camel"):
    """A member of the workspace.

    `role` and `sourceIds` say the same as `permissions`; null is every source.
    """

    id: str
    name: str
    email: str
    permissions: list[Permission]
    role: str
    source_ids: list[str] | None
    joined_at: str
    last_seen_at: str | None


class OneUser(msgspec.Struct, rename="camel"):
    """One member."""

    user: User


class Users(msgspec.Struct, rename="camel"):
    """A page of members."""

    users: list[User]
    pagination: Pagination


class SessionsEnded(msgspec.Struct, rename="camel"):
    """How many sessions were ended."""

    count: int


class Invitation(msgspec.Struct, rename="camel"):
    """Somebody who is asked to join."""

    id: str
    email: str
    role: str
    source_ids: list[str] | None
    permissions: list[Permission]
    invited_by: str
    created_at: str
    expires_at: str
    is_expired: bool


class Invites(msgspec.Struct, rename="camel"):
    """A page of invitations: the addresses, and beside them all about each."""

    invites: list[str]
    invitations: list[Invitation]
    pagination: Pagination


class InvitationSent(Invitation, rename="camel"):
    """An invitation with its link: this answer is the only one that shows it."""

    link: str
    is_mailed: bool


class InvitesCreated(msgspec.Struct, rename="camel"):
    """Who is invited."""

    emails: list[str]
    invitations: list[InvitationSent]


class OneInvitation(msgspec.Struct, rename="camel"):
    """A renewed invitation."""

    invitation: InvitationSent


class Token(msgspec.Struct, rename="camel"):
    """A token, without itself."""

    id: str
    name: str
    role: str
    scopes: list[str]
    source_ids: list[str] | None
    prefix: str
    created_at: str
    created_by: str
    user_id: str | None
    expires_at: str | None
    is_expired: bool
    last_used_at: str | None


class OneToken(msgspec.Struct, rename="camel"):
    """One token."""

    token: Token


class Tokens(msgspec.Struct, rename="camel"):
    """A page of tokens."""

    tokens: list[Token]
    pagination: Pagination


class NewToken(Token, rename="camel"):
    """A new token with its secret: this answer is the only one that shows it."""

    secret: str


class TokenCreated(msgspec.Struct, rename="camel"):
    """The new token."""

    token: NewToken
