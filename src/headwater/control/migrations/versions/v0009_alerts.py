"""Alerts: rules and channels."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0009"
down_revision: Final = "0008"

_ID: Final = sa.String(32)


def upgrade() -> None:
    """Make room for them."""
    _table(
        "alert_channels",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("recipients", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
    )
    _table(
        "alert_rules",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject_id", _ID, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("threshold", sa.Integer, nullable=False),
        sa.Column("window_minutes", sa.Integer, nullable=False),
        sa.Column("channel_ids", sa.Text, nullable=False),
        sa.UniqueConstraint("workspace_id", "kind", "subject_id", name="uq_alert_rules_workspace_id_kind_subject_id"),
    )


def _table(name: str, *columns: sa.Column[object] | sa.Constraint) -> None:
    op.create_table(
        name,
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        *columns,
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=f"fk_{name}_workspace_id", ondelete="CASCADE"
        ),
    )
    op.create_index(f"ix_{name}_workspace_id", name, ["workspace_id"])
