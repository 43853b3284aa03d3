"""Answers that are given again to a request that is sent again."""

from __future__ import annotations

from typing import Final

revision: Final = "0010"
down_revision: Final = "0009"


def upgrade() -> None:
    """Make room for them."""
