"""The identity of an occurrence: the same happening has the same `messageId`, however often and whenever it arrives.

ActiveCampaign sends no event id, so the id is a hash of what does not change: nothing of the arrival, of the person's
traits or of the secret address goes into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

_VERSION: Final = "v1"
_HEX_CHARS: Final = 32

# compact, and other characters than ASCII as themselves
_encode: Final = msgspec.json.Encoder().encode


class Kind(StrEnum):
    """What happened, as the canonical form spells it."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    DELIVERED = "delivered"
    SPAM = "spam"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where it happened and to whom.

    Attributes:
        source_id: the source instance, not its address: a new secret does not fork ids.
        person: contact id, or the e-mail in lower case where there is none; "" for what is about nobody.
    """

    source_id: str
    campaign_id: str
    email_message_id: str
    person: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What the id of one occurrence is made of.

    Attributes:
        scope: where it happened and to whom.
        kind: what happened.
        discriminator: what tells two of this kind apart: link, lists and reason, bounce type and code.
        when: whole seconds since 1970; the hash of the raw body where no time was sent; 0 for what happens once.
        agent: the opener's `User-Agent`.
    """

    scope: Scope
    kind: Kind
    discriminator: str = ""
    when: int | str = 0
    agent: str = ""

    def message_id(self) -> str:
        """Return the id."""
        scope = self.scope
        canonical = [
            _VERSION,
            scope.source_id,
            self.kind.value,
            scope.campaign_id,
            scope.email_message_id,
            scope.person,
            self.discriminator,
            self.when,
            self.agent,
        ]
        return f"ac-{_hash(canonical)}"


def unsubscribe_id(scope: Scope, list_ids: Sequence[str]) -> str:
    """Return the id that both webhooks of one unsubscribe share (the second brings the reason)."""
    return f"acu-{_hash([scope.source_id, scope.person, scope.campaign_id, sorted(list_ids)])}"


def body_hash(body: bytes) -> str:
    """Return what stands for the time of a webhook that has none."""
    return hashlib.sha256(body).hexdigest()


def _hash(canonical: Sequence[object]) -> str:
    return hashlib.sha256(_encode(canonical)).hexdigest()[:_HEX_CHARS]


def message_id(scope: Scope, kind: Kind, *, discriminator: str = "", when: int | str = 0, agent: str = "") -> str:
    """Return the id of one occurrence."""
    return Identity(scope, kind, discriminator, when, agent).message_id()
