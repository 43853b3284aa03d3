"""The tables of alerts."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table, Text, UniqueConstraint

from headwater.control.database import ID, metadata, parent

channels = Table(
    "alert_channels",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("kind", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    info={"noun": "alert channel", "listed": "/alerts/channels"},
)
rules = Table(
    "alert_rules",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("kind", String(32), nullable=False),
    Column("subject_id", ID, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("threshold", Integer, nullable=False),
    Column("window_minutes", Integer, nullable=False),
    Column("channel_ids", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    UniqueConstraint("workspace_id", "kind", "subject_id"),
    info={"noun": "alert rule", "listed": "/alerts/rules"},
)
