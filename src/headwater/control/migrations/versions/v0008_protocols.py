"""Schema controls and tracking plans."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0008"
down_revision: Final = "0007"

_ID: Final = sa.String(32)


def upgrade() -> None:
    """Make room for them; a source that is there lets everything through as before."""
    _controls()
    _plans()


def _controls() -> None:
    op.create_table(
        "schema_settings",
        sa.Column("source_id", _ID, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("known", sa.Text, nullable=False, server_default="[]"),
        sa.PrimaryKeyConstraint("source_id", name="pk_schema_settings"),
        _reference("schema_settings", "source_id", "sources"),
    )
    op.create_table(
        "schema_blocks",
        sa.Column("source_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("field", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "kind", "name", "field", name="pk_schema_blocks"),
        _reference("schema_blocks", "source_id", "sources"),
    )


def _plans() -> None:
    op.create_table(
        "tracking_plans",
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("slug", sa.String(80), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tracking_plans"),
        _reference("tracking_plans", "workspace_id", "workspaces"),
    )
    op.create_index("ix_tracking_plans_workspace_id", "tracking_plans", ["workspace_id"])
    op.create_table(
        "tracking_plan_rules",
        sa.Column("tracking_plan_id", _ID, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("json_schema", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("tracking_plan_id", "type", "key", "version", name="pk_tracking_plan_rules"),
        _reference("tracking_plan_rules", "tracking_plan_id", "tracking_plans"),
    )
    op.create_table(
        "tracking_plan_sources",
        sa.Column("source_id", _ID, nullable=False),
        sa.Column("tracking_plan_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("source_id", name="pk_tracking_plan_sources"),
        _reference("tracking_plan_sources", "source_id", "sources"),
        _reference("tracking_plan_sources", "tracking_plan_id", "tracking_plans"),
    )
    op.create_index("ix_tracking_plan_sources_tracking_plan_id", "tracking_plan_sources", ["tracking_plan_id"])


def _reference(table: str, column: str, parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")
