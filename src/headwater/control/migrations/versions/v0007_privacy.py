"""Suppressions and regulations; how long a source keeps its events."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"

_ID: Final = sa.String(32)


def upgrade() -> None:
    """Make room for them."""
    _add_suppressions()
    _add_regulations()
    _add_deleted_sources()
    op.add_column("sources", sa.Column("retention_days", sa.Integer, nullable=True))
    op.add_column("sources", sa.Column("retention_bytes", sa.BigInteger, nullable=True))


def _add_suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("because", sa.String(32), nullable=False),
        sa.Column("regulation_id", _ID, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("is_ended", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_suppressions"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_suppressions_workspace_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "scope", "digest", "because", "is_ended", name="uq_suppressions_scope_digest_because_is_ended"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_suppressions_workspace_id", "suppressions", ["workspace_id"])


def _add_regulations() -> None:
    op.create_table(
        "regulations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("subject_type", sa.String(16), nullable=False),
        sa.Column("source_id", _ID, nullable=True),
        sa.Column("collection", sa.String(200), nullable=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("follows_links", sa.Boolean, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("begins_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_regulations"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_regulations_workspace_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_regulations_workspace_id", "regulations", ["workspace_id"])
    op.create_table(
        "regulation_work",
        sa.Column("regulation_id", _ID, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("subjects", sa.Text, nullable=True),
        sa.Column("digests", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("finished_at", sa.String(40), nullable=True),
        sa.Column("receipt", sa.Text, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("regulation_id", name="pk_regulation_work"),
        sa.ForeignKeyConstraint(
            ["regulation_id"], ["regulations.id"], name="fk_regulation_work_regulation_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_regulation_work_status", "regulation_work", ["status"])


def _add_deleted_sources() -> None:
    op.create_table(
        "deleted_sources",
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("slug", sa.String(63), nullable=False),
        sa.Column("schema_name", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_sources"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_deleted_sources_workspace_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_deleted_sources_workspace_id", "deleted_sources", ["workspace_id"])
