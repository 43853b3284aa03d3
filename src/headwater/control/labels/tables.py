"""The tables of labels."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text, UniqueConstraint

from headwater.control.database import ID, metadata, parent

labels = Table(
    "labels",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("key", String(63), nullable=False),
    Column("value", String(63), nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    UniqueConstraint("workspace_id", "key", "value"),
)
source_labels = Table(
    "source_labels",
    metadata,
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ID, ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True, index=True),
    info={"noun": "source label"},
)
