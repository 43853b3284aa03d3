"""What a source promises: turn what it received, already stored raw, into Segment events.

A source is one module (or folder) with a `CARD`, where it receives webhooks a function `events`, and where something
can be set a dataclass `Settings` whose fields are optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from headwater.spec.event import Body


def setting(label: str, description: str = "") -> dict[str, Any]:
    """Return dataclass field metadata: what the web form, the CLI option and the docs page show."""
    return {"label": label, "description": description, "secret": False, "required": False}


@dataclass(frozen=True, slots=True)
class Card:
    """How a source presents itself in the catalog.

    Attributes:
        id, slug: Segment's catalog id and slug where Segment has this source.
        schema_name: suggested warehouse schema.
        webhooks: whether it receives webhooks at a secret address.
        regions: where Segment offers it; the operator can widen this.
    """

    id: str
    slug: str
    name: str
    description: str
    schema_name: str
    webhooks: bool = False
    cloud: bool = False
    regions: tuple[str, ...] = ("us", "eu")
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """One raw webhook as the inbox keeps it.

    Attributes:
        seq: position in the inbox.
        source_id: the source instance it was sent to.
        received_at: server clock, UTC.
        content_type: as sent, "" when absent.
        body: the bytes as they arrived.
    """

    seq: int
    source_id: str
    received_at: datetime
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one webhook became.

    Attributes:
        events: complete calls with `messageId`, `type`, `timestamp`, `originalTimestamp`, `sentAt`, `receivedAt`.
        quarantined: why nothing could be made of it, "" otherwise. Shown, kept, and can be mapped again after a fix.
        ignored: why it is known and no email event (a test, an automation, another type), "" otherwise.
    """

    events: tuple[Body, ...] = ()
    quarantined: str = ""
    ignored: str = ""


class Events(Protocol):
    """The function `events` of a source module. Pure: the same webhook gives the same events, byte for byte."""

    def __call__(self, webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
        """Return what a webhook means; never raises for bad input."""
        ...


@dataclass(frozen=True, slots=True)
class NoSettings:
    """A source that has nothing to set."""

    extra: Mapping[str, Any] = field(default_factory=dict)
