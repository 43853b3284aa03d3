"""Labels."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0011"
down_revision: Final = "0010"

_ID: Final = sa.String(32)


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "labels",
        sa.Column("id", _ID, nullable=False),
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("value", sa.String(63), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_labels_workspace_id", ondelete="CASCADE"),
        sa.UniqueConstraint("workspace_id", "key", "value", name="uq_labels_workspace_id_key_value"),
    )
    op.create_index("ix_labels_workspace_id", "labels", ["workspace_id"])
    keys = {"source_id": "sources", "label_id": "labels"}
    op.create_table(
        "source_labels",
        *(sa.Column(key, _ID, nullable=False) for key in keys),
        sa.PrimaryKeyConstraint(*keys, name="pk_source_labels"),
        *(
            sa.ForeignKeyConstraint([key], [f"{table}.id"], name=f"fk_source_labels_{key}", ondelete="CASCADE")
            for key, table in keys.items()
        ),
    )
    op.create_index("ix_source_labels_label_id", "source_labels", ["label_id"])
