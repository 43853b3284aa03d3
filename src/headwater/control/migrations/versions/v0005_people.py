"""People: users, what they may do where, sessions, invitations; what a token may do and until when."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"

_ID: Final = sa.String(32)
_EMAIL: Final = sa.String(254)
_MOMENT: Final = sa.String(40)


def upgrade() -> None:
    """Make room for them; a token that is there goes on as before."""
    _users()
    _memberships()
    _sessions()
    _invitations()
    op.add_column("tokens", sa.Column("scopes", sa.Text, nullable=False, server_default="[]"))
    op.add_column("tokens", sa.Column("source_ids", sa.Text, nullable=True))
    op.add_column("tokens", sa.Column("expires_at", _MOMENT, nullable=True))
    op.add_column("tokens", sa.Column("created_by", sa.String(200), nullable=False, server_default=""))
    op.add_column("tokens", sa.Column("user_id", _ID, nullable=True))


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("email", _EMAIL, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=True),
        sa.Column("oidc_subject", sa.String(600), nullable=True),
        sa.Column("is_operator", sa.Boolean, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_seen_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.UniqueConstraint("oidc_subject", name="uq_users_oidc_subject"),
    )


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("source_ids", sa.Text, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_memberships"),
        _goes_with("memberships", "workspace"),
        _goes_with("memberships", "user"),
        sa.UniqueConstraint("workspace_id", "user_id", name="uq_memberships_workspace_id_user_id"),
    )
    op.create_index("ix_memberships_workspace_id", "memberships", ["workspace_id"])
    op.create_index("ix_memberships_user_id", "memberships", ["user_id"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=True),
        sa.Column("token_id", _ID, nullable=True),
        sa.Column("workspace_id", _ID, nullable=True),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        _goes_with("sessions", "user"),
        sa.UniqueConstraint("secret_sha256", name="uq_sessions_secret_sha256"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_index("ix_sessions_token_id", "sessions", ["token_id"])


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("email", _EMAIL, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("source_ids", sa.Text, nullable=True),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("invited_by", sa.String(200), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("accepted_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        _goes_with("invitations", "workspace"),
        sa.UniqueConstraint("token_sha256", name="uq_invitations_token_sha256"),
    )
    op.create_index("ix_invitations_workspace_id", "invitations", ["workspace_id"])


def _goes_with(table: str, parent: str) -> sa.ForeignKeyConstraint:
    """Return the constraint by which a row is deleted with its parent."""
    name = f"fk_{table}_{parent}_id"
    return sa.ForeignKeyConstraint([f"{parent}_id"], [f"{parent}s.id"], name=name, ondelete="CASCADE")
