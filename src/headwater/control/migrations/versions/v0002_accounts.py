"""Accounts of a service that are connected to sources; a webhook secret that works on for a while after a change."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

_ID: Final = sa.String(32)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _long_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _parent(parent: str) -> list[sa.schema.SchemaItem]:
    column = f"{parent[:-1]}_id"
    return [
        sa.Column(column, _ID, nullable=False),
        sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_accounts_{column}", ondelete="CASCADE"),
    ]


def upgrade() -> None:
    """Make the table of accounts, and room for a source's former webhook secret."""
    op.create_table(
        "accounts",
        sa.Column("id", _ID, nullable=False),
        *_parent("workspaces"),
        *_parent("sources"),
        _text("account_url", 300),
        _text("name", 200),
        _long_text("api_key"),
        sa.Column("enabled", sa.Boolean, nullable=False),
        _long_text("settings"),
        _text("created_at", 40),
        _text("updated_at", 40),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("source_id", name="uq_accounts_source_id"),
        sa.UniqueConstraint("workspace_id", "account_url", name="uq_accounts_workspace_id_account_url"),
    )
    op.create_index("ix_accounts_workspace_id", "accounts", ["workspace_id"])
    op.add_column("sources", sa.Column("former_webhook_secret", sa.Text, nullable=False, server_default=""))
    op.add_column("sources", sa.Column("former_until", sa.String(40), nullable=True))
