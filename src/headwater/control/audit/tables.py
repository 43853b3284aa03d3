"""The tables of the audit trail. They name rows that may be gone, so they have no foreign keys."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from headwater.control.schema import ID, UNAUDITED, metadata

entries = Table(
    "audit_entries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("id", ID, nullable=False, unique=True),
    Column("workspace_id", ID),
    Column("at", String(40), nullable=False, index=True),
    Column("type", String(80), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(64), nullable=False),
    Column("actor_name", String(200), nullable=False),
    Column("actor_email", String(320), nullable=False),
    Column("resource_type", String(63), nullable=False),
    Column("resource_id", String(200), nullable=False, index=True),
    Column("resource_name", String(200), nullable=False),
    Column("details", Text),
    Column("digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    info=UNAUDITED,
)
"""One row a change. `details` (JSON: address, changes) goes after a while; its `digest` stays, and the chain holds."""

heads = Table(
    "audit_heads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("start_seq", Integer, nullable=False),
    Column("start_hash", String(64), nullable=False),
    info=UNAUDITED,
)
"""One row: the newest entry, and the one before the oldest that is kept."""
