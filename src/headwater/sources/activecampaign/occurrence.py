"""The identity of an occurrence: the same happening has the same `messageId`, however often and whenever it arrives.

ActiveCampaign sends no event id, so the id is a hash of what does not change: nothing of the arrival, of the person's
traits or of the secret address goes into it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_VERSION: Final = "v1"
_HEX_CHARS: Final = 32


class Kind(StrEnum):
    """What happened, as the canonical form spells it."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where it happened and to whom.

    Attributes:
        source_id: the source instance, not its address: a new secret does not fork ids.
        person: contact id, or the e-mail in lower case where there is none.
    """

    source_id: str
    campaign_id: str
    email_message_id: str
    person: str


def message_id(scope: Scope, kind: Kind, *, discriminator: str = "", when: int | str = 0, agent: str = "") -> str:
    """Return the id of one occurrence.

    Args:
        scope: where it happened and to whom.
        kind: what happened.
        discriminator: what tells two of this kind apart: link, lists and reason, bounce type and code.
        when: whole seconds since 1970; the hash of the raw body where no time was sent; 0 for what happens once.
        agent: the opener's `User-Agent`.
    """
    canonical = [
        _VERSION,
        scope.source_id,
        kind.value,
        scope.campaign_id,
        scope.email_message_id,
        scope.person,
        discriminator,
        when,
        agent,
    ]
    return f"ac-{_hash(canonical)}"


def unsubscribe_id(scope: Scope, list_ids: Sequence[str]) -> str:
    """Return the id that both webhooks of one unsubscribe share (the second brings the reason)."""
    return f"acu-{_hash([scope.source_id, scope.person, scope.campaign_id, sorted(list_ids)])}"


def body_hash(body: bytes) -> str:
    """Return what stands for the time of a webhook that has none."""
    return hashlib.sha256(body).hexdigest()


def _hash(canonical: Sequence[object]) -> str:
    text = json.dumps(canonical, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX_CHARS]
