"""Where answers are kept that may be asked for again."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, String, Table

from headwater.control.schema import ID, UNAUDITED, metadata

answers = Table(
    "answers",
    metadata,
    Column("workspace_id", ID, ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    Column("token_id", ID, primary_key=True),
    Column("idempotency_key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("status", Integer),
    Column("answer", LargeBinary),
    Column("created_at", String(40), nullable=False, index=True),
    info=UNAUDITED,
)
"""One row for each key of a token; `status` and `answer` (sealed) are null while the first request is under way."""
