"""The tables of people, their memberships, sessions and invitations."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, String, Table, Text, UniqueConstraint

from headwater.control.schema import ID, UNAUDITED, metadata, parent

_EMAIL: Final = String(254)  # RFC 5321: a path has at most 256 characters, two of them brackets
_MOMENT: Final = String(40)

users = Table(
    "users",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", _EMAIL, nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("password_hash", Text),
    Column("oidc_subject", String(600), unique=True),
    Column("is_operator", Boolean, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("last_seen_at", _MOMENT, info=UNAUDITED),
    info={"noun": "user"},
)
memberships = Table(
    "memberships",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    parent("users"),
    Column("role", String(16), nullable=False),
    Column("source_ids", Text),
    Column("created_at", _MOMENT, nullable=False),
    UniqueConstraint("workspace_id", "user_id"),
    info={"noun": "membership", "listed": "/users"},
)
sessions = Table(
    "sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("token_id", ID, index=True),
    Column("workspace_id", ID),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("created_at", _MOMENT, nullable=False),
    Column("seen_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(300), nullable=False),
    info={"noun": "session", **UNAUDITED},
)
invitations = Table(
    "invitations",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("email", _EMAIL, nullable=False),
    Column("role", String(16), nullable=False),
    Column("source_ids", Text),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("invited_by", String(200), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("accepted_at", _MOMENT),
    info={"noun": "invitation", "listed": "/invites"},
)
