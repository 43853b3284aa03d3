"""Labels."""

from __future__ import annotations

from typing import Final

revision: Final = "0011"
down_revision: Final = "0010"


def upgrade() -> None:
    """Make room for them."""
