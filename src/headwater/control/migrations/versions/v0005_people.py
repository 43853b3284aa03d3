"""People: users, what they may do where, sessions, invitations; what a token may do and until when."""

from __future__ import annotations

from typing import Final

revision: Final = "0005"
down_revision: Final = "0004"


def upgrade() -> None:
    """Make room for them."""
