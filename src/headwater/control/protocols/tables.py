"""The tables of schema controls and tracking plans."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from headwater.control.schema import ID, metadata, parent

NAME_CHARS: int = 200
"""Of an event; longer names are seen and let through, and cannot be blocked."""

settings = Table(
    "schema_settings",
    metadata,
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("settings", Text, nullable=False),
    Column("known", Text, nullable=False, server_default="[]"),  # what was there when new names were blocked
    info={"noun": "schema settings"},
)
blocks = Table(
    "schema_blocks",
    metadata,
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(NAME_CHARS), primary_key=True),
    Column("field", String(500), primary_key=True),
    info={"noun": "schema control"},
)
plans = Table(
    "tracking_plans",
    metadata,
    Column("id", ID, primary_key=True),
    parent("workspaces"),
    Column("slug", String(80), nullable=False),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("type", String(32), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    info={"noun": "tracking plan", "listed": "/tracking-plans"},
)
rules = Table(
    "tracking_plan_rules",
    metadata,
    Column("tracking_plan_id", ID, ForeignKey("tracking_plans.id", ondelete="CASCADE"), primary_key=True),
    Column("type", String(16), primary_key=True),
    Column("key", String(NAME_CHARS), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("json_schema", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    info={"noun": "rule", "listed": "/tracking-plans/{trackingPlanId}/rules"},
)
plan_sources = Table(
    "tracking_plan_sources",
    metadata,
    Column("source_id", ID, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("tracking_plan_id", ID, ForeignKey("tracking_plans.id", ondelete="CASCADE"), nullable=False, index=True),
    info={"noun": "tracking plan of a source"},
)
"""A source has one plan at most."""
