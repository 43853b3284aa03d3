"""Alerts: rules and channels."""

from __future__ import annotations

from typing import Final

revision: Final = "0009"
down_revision: Final = "0008"


def upgrade() -> None:
    """Make room for them."""
