"""The first tables: workspaces, sources, destinations, warehouses, tokens and the version others poll."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_ID: Final = sa.String(32)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _long_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _id(table: str) -> list[sa.schema.SchemaItem]:
    return [sa.Column("id", _ID, nullable=False), sa.PrimaryKeyConstraint("id", name=f"pk_{table}")]


def _parent(table: str, parent: str) -> list[sa.schema.SchemaItem]:
    column = f"{parent[:-1]}_id"
    return [
        sa.Column(column, _ID, nullable=False),
        sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE"),
    ]


def upgrade() -> None:
    """Make all tables, and version 1."""
    _workspaces()
    _sources()
    _connections()
    _tokens()
    meta = op.create_table(
        "meta",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_meta"),
    )
    op.bulk_insert(meta, [{"id": 1, "version": 1}])


def _workspaces() -> None:
    op.create_table(
        "workspaces",
        *_id("workspaces"),
        _text("slug", 63),
        _text("name", 200),
        _text("region", 8),
        _text("created_at", 40),
        sa.UniqueConstraint("slug", name="uq_workspaces_slug"),
    )


def _sources() -> None:
    op.create_table(
        "sources",
        *_id("sources"),
        *_parent("sources", "workspaces"),
        _text("slug", 63),
        _text("schema_name", 63),
        _text("name", 200),
        _text("type", 63),
        _flag("enabled"),
        _long_text("settings"),
        _long_text("webhook_secret"),
        _text("created_at", 40),
        sa.UniqueConstraint("workspace_id", "slug", name="uq_sources_workspace_id_slug"),
        sa.UniqueConstraint("workspace_id", "schema_name", name="uq_sources_workspace_id_schema_name"),
    )
    op.create_index("ix_sources_workspace_id", "sources", ["workspace_id"])
    op.create_table(
        "write_keys",
        _text("write_key", 64),
        *_parent("write_keys", "sources"),
        _text("created_at", 40),
        sa.PrimaryKeyConstraint("write_key", name="pk_write_keys"),
    )
    op.create_index("ix_write_keys_source_id", "write_keys", ["source_id"])


def _connections() -> None:
    op.create_table(
        "destinations",
        *_id("destinations"),
        *_parent("destinations", "workspaces"),
        *_parent("destinations", "sources"),
        _text("type", 63),
        _text("name", 200),
        _flag("enabled"),
        _long_text("settings"),
        _text("created_at", 40),
    )
    op.create_index("ix_destinations_workspace_id", "destinations", ["workspace_id"])
    op.create_index("ix_destinations_source_id", "destinations", ["source_id"])
    op.create_table(
        "warehouses",
        *_id("warehouses"),
        *_parent("warehouses", "workspaces"),
        _text("type", 63),
        _text("name", 200),
        _flag("enabled"),
        _long_text("settings"),
        _text("created_at", 40),
    )
    op.create_index("ix_warehouses_workspace_id", "warehouses", ["workspace_id"])
    op.create_table(
        "warehouse_sources",
        *_parent("warehouse_sources", "warehouses"),
        *_parent("warehouse_sources", "sources"),
        sa.PrimaryKeyConstraint("warehouse_id", "source_id", name="pk_warehouse_sources"),
    )
    op.create_index("ix_warehouse_sources_source_id", "warehouse_sources", ["source_id"])


def _tokens() -> None:
    op.create_table(
        "tokens",
        *_id("tokens"),
        *_parent("tokens", "workspaces"),
        _text("name", 200),
        _text("role", 16),
        _text("prefix", 16),
        _text("sha256", 64),
        _text("created_at", 40),
        sa.Column("last_used_at", sa.String(40)),
        sa.Column("revoked_at", sa.String(40)),
        sa.UniqueConstraint("sha256", name="uq_tokens_sha256"),
    )
    op.create_index("ix_tokens_workspace_id", "tokens", ["workspace_id"])
