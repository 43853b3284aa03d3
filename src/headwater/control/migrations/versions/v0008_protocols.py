"""Schema controls and tracking plans."""

from __future__ import annotations

from typing import Final

revision: Final = "0008"
down_revision: Final = "0007"


def upgrade() -> None:
    """Make room for them."""
