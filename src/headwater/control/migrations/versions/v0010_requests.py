"""Answers that are given again to a request that is sent again."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0010"
down_revision: Final = "0009"

_ID: Final = sa.String(32)


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "answers",
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("token_id", _ID, nullable=False),
        sa.Column("idempotency_key", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("answer", sa.LargeBinary, nullable=True),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "token_id", "idempotency_key", name="pk_answers"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_answers_workspace_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_answers_created_at", "answers", ["created_at"])
