"""Suppressions and regulations; how long a source keeps its events."""

from __future__ import annotations

from typing import Final

revision: Final = "0007"
down_revision: Final = "0006"


def upgrade() -> None:
    """Make room for them."""
