"""How a warehouse is loaded: what is left out of it, its rules, its schedule, its models, how long rows stay."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

_ID: Final = sa.String(32)
_EXCLUSIONS: Final = "warehouse_exclusions"


def upgrade() -> None:
    """Make room for it; a warehouse that is there goes on as before."""
    for name in ("rules", "schedule", "models"):
        op.add_column("warehouses", sa.Column(name, sa.Text, nullable=False, server_default="{}"))
    op.add_column("warehouses", sa.Column("keep_days", sa.Integer, nullable=True))
    keys = {"warehouse_id": "warehouses", "source_id": "sources"}
    op.create_table(
        _EXCLUSIONS,
        *(sa.Column(key, _ID, nullable=False) for key in keys),
        sa.Column("collection", sa.String(63), nullable=False),
        sa.Column("property", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint(*keys, "collection", "property", name=f"pk_{_EXCLUSIONS}"),
        *(
            sa.ForeignKeyConstraint([key], [f"{parent}.id"], name=f"fk_{_EXCLUSIONS}_{key}", ondelete="CASCADE")
            for key, parent in keys.items()
        ),
    )
    op.create_index(f"ix_{_EXCLUSIONS}_source_id", _EXCLUSIONS, ["source_id"])
