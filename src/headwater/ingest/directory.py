"""Whom the door knows: sources by write key and by webhook secret. `app` hands in what control has stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headwater.limits import WEBHOOK_BYTES_MAX
from headwater.spec.event import Body


@dataclass(frozen=True, slots=True)
class SourceRef:
    """What the request path needs to know of a source.

    Attributes:
        webhooks: the source type that its webhooks' address names, "" where it receives none.
        webhook_bytes_max: of a body.
        keeps_headers: whether what a webhook's headers say is kept beside its body.
    """

    id: str
    slug: str
    enabled: bool
    region_allowed: bool = True
    webhooks: str = ""
    webhook_bytes_max: int = WEBHOOK_BYTES_MAX
    keeps_headers: bool = False


class Directory(Protocol):
    """Answers at once, from memory; replaced as a whole when the configuration changes."""

    def by_write_key(self, write_key: str) -> SourceRef | None:
        """Return the source a write key belongs to."""
        ...

    def by_webhook_secret(self, secret: str) -> SourceRef | None:
        """Return the source whose webhook address ends in `secret`; compared in constant time."""
        ...

    def settings_document(self, write_key: str) -> Body | None:
        """Return what browser SDKs load from `/v1/projects/{writeKey}/settings`, None for an unknown key."""
        ...
