"""What stands between log and destination: filters, mappings, functions; how fast and how long a connection tries."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

_ID: Final = sa.String(32)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _long_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _table(name: str, parents: tuple[str, ...], *columns: sa.schema.SchemaItem) -> None:
    """Make a table whose rows go with the rows of its parents."""
    keys = {f"{parent[:-1]}_id": parent for parent in parents}
    op.create_table(
        name,
        sa.Column("id", _ID, nullable=False),
        *(sa.Column(key, _ID, nullable=False) for key in keys),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        *(
            sa.ForeignKeyConstraint([key], [f"{parent}.id"], name=f"fk_{name}_{key}", ondelete="CASCADE")
            for key, parent in keys.items()
        ),
    )
    for key in keys:
        op.create_index(f"ix_{name}_{key}", name, [key])


def upgrade() -> None:
    """Make the tables, and room for a destination's tuning and its first event."""
    _add_filters_and_mappings()
    _add_functions()
    op.add_column("destinations", sa.Column("tuning", sa.Text, nullable=False, server_default="{}"))
    op.add_column("destinations", sa.Column("first_seq", sa.BigInteger, nullable=True))


def _add_filters_and_mappings() -> None:
    _table(
        "destination_filters",
        ("workspaces", "destinations"),
        _text("title", 200),
        *map(_long_text, ("description", "condition", "actions")),
        _flag("enabled"),
        _text("created_at", 40),
        _text("updated_at", 40),
    )
    _table(
        "destination_subscriptions",
        ("workspaces", "destinations"),
        _text("name", 200),
        *map(_long_text, ("condition", "fields")),
        _flag("enabled"),
        _text("created_at", 40),
    )


def _add_functions() -> None:
    _table(
        "functions",
        ("workspaces",),
        _text("kind", 32),
        _text("name", 200),
        *map(_long_text, ("description", "logo_url", "settings")),
        _text("created_at", 40),
        _text("created_by", 200),
    )
    _table(
        "function_versions",
        ("workspaces", "functions"),
        _whole("number"),
        _long_text("code"),
        _text("author", 200),
        _text("created_at", 40),
        sa.Column("deployed_at", sa.String(40), nullable=True),
        _flag("in_use"),
        sa.UniqueConstraint("function_id", "number", name="uq_function_versions_function_id_number"),
    )
    _table(
        "insert_functions",
        ("workspaces", "functions", "destinations"),
        _text("name", 200),
        _flag("enabled"),
        _whole("position"),
        _long_text("settings"),
        _text("created_at", 40),
        _text("updated_at", 40),
    )
