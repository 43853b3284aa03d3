"""The audit trail, and keys that outlive SECRET_KEY."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"

_ENTRIES: Final = "audit_entries"
_HEADS: Final = "audit_heads"
_TEXTS: Final = {
    "type": 80,
    "actor_kind": 16,
    "actor_id": 64,
    "actor_name": 200,
    "actor_email": 320,
    "resource_type": 63,
    "resource_id": 200,
    "resource_name": 200,
}
_HASHES: Final = ("digest", "previous", "hash")


def upgrade() -> None:
    """Make room for them; the trail begins here."""
    op.create_table(
        _ENTRIES,
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32)),
        sa.Column("at", sa.String(40), nullable=False),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in _TEXTS.items()),
        sa.Column("details", sa.Text),
        *(sa.Column(name, sa.String(64), nullable=False) for name in _HASHES),
        sa.PrimaryKeyConstraint("seq", name=f"pk_{_ENTRIES}"),
        sa.UniqueConstraint("id", name=f"uq_{_ENTRIES}_id"),
    )
    for column in ("at", "resource_id"):
        op.create_index(f"ix_{_ENTRIES}_{column}", _ENTRIES, [column])
    op.create_table(
        _HEADS,
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("start_seq", sa.Integer, nullable=False),
        sa.Column("start_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{_HEADS}"),
    )
    op.create_table(
        "stable_keys",
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stable_keys"),
    )
