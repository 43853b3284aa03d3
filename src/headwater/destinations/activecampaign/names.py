"""The names of tracked events: at most 32 characters."""

from __future__ import annotations

import hashlib
from typing import Final

CHARS_MAX: Final = 32
"""ActiveCampaign, event tracking: characters of an event's name."""
_HASH_CHARS: Final = 6  # ours: of SHA-256 in hex; two of a hundred long names collide once in 3,000 accounts


def fitted(name: str, rule: str) -> str | None:
    """Return the name that an event is tracked under, None where it is refused for its length.

    Args:
        name: as the call has it.
        rule: "truncate", "reject" or "hash-suffix".
    """
    if len(name) <= CHARS_MAX:
        return name
    if rule == "reject":
        return None
    if rule == "truncate":
        return name[:CHARS_MAX].strip()
    ending = hashlib.sha256(name.encode()).hexdigest()[:_HASH_CHARS]
    return f"{name[: CHARS_MAX - _HASH_CHARS - 1].strip()}-{ending}"
