"""What the door knows, built from a snapshot of the configuration."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from headwater import clock as wall
from headwater import shelf
from headwater.app.accounts import SOURCES
from headwater.clock import Clock
from headwater.control.accounts import TYPE
from headwater.control.models import Source
from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.ingest.directory import SourceRef
from headwater.spec.event import Body


class SnapshotDirectory:
    """A `Directory` over one snapshot. Keys are looked up by hash, so timing tells nothing of their characters."""

    def __init__(self, snapshot: Snapshot, public_url: str, clock: Clock = wall.now) -> None:
        self._public_url, self._clock = public_url, clock
        self._by_key: dict[bytes, SourceRef] = {}
        self._by_secret: dict[bytes, tuple[SourceRef, datetime | None]] = {}  # and until when it works
        for source in snapshot.sources:
            reference = _reference(source)
            for key in source.write_keys:
                self._by_key[_hash(key)] = reference
            if source.webhook_secret:
                self._by_secret[_hash(source.webhook_secret)] = reference, None
            if source.former_webhook_secret:
                self._by_secret[_hash(source.former_webhook_secret)] = reference, source.former_until

    def by_write_key(self, write_key: str) -> SourceRef | None:
        """Return the source a write key belongs to."""
        return self._by_key.get(_hash(write_key))

    def by_webhook_secret(self, secret: str) -> SourceRef | None:
        """Return the source whose webhook address ends in `secret`, or ended so until a while ago."""
        found, until = self._by_secret.get(_hash(secret), (None, None))
        return found if until is None or self._clock() < until else None

    def settings_document(self, write_key: str) -> Body | None:
        """Return what analytics.js loads before it starts: where to send, and that nothing runs in the browser."""
        if self.by_write_key(write_key) is None:
            return None
        address = urlsplit(self._public_url)
        here = {"apiKey": write_key, "apiHost": f"{address.netloc}/v1", "protocol": address.scheme}
        return {
            "integrations": {"Segment.io": here},
            "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
            "edgeFunction": {},
            "analyticsNextEnabled": True,
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "metrics": {"sampleRate": 0},
            "legacyVideoPluginsEnabled": False,
            "remotePlugins": [],
        }


def _reference(source: Source) -> SourceRef:
    """Return what the door knows of a source.

    One whose type receives no webhooks has an address only while an account is connected to it.
    """
    name = source.type.replace("-", "_")
    card = shelf.take(SOURCES, name).CARD if name in shelf.names(SOURCES) else None
    known = SourceRef(source.id, source.slug, source.enabled, region_allowed=source.region_allowed, webhooks=TYPE)
    if card is None or not card.webhooks:
        return known
    return replace(
        known, webhooks=source.type, webhook_bytes_max=card.webhook_bytes_max, keeps_headers=card.keeps_headers
    )


Found = TypeVar("Found")
_REFRESH_S: Final = 0.05  # strangers who guess keys cost one look at the database in this time


class Known:
    """The present directory. What it does not know it looks for once more in the database before it says no.

    A source that was made a moment ago must not be refused: SDKs drop what is answered with 401.
    """

    def __init__(self, control: Control, public_url: str) -> None:
        self._control, self._public_url = control, public_url
        self._version, self._looked_at = -1, 0.0
        self._directory = SnapshotDirectory(Snapshot(0, (), (), ()), public_url)

    async def use(self, snapshot: Snapshot) -> None:
        """Take over a new configuration."""
        self._take(snapshot)

    def by_write_key(self, write_key: str) -> SourceRef | None:
        """Return the source a write key belongs to."""
        return self._find(lambda directory: directory.by_write_key(write_key))

    def by_webhook_secret(self, secret: str) -> SourceRef | None:
        """Return the source whose webhook address ends in `secret`."""
        return self._find(lambda directory: directory.by_webhook_secret(secret))

    def settings_document(self, write_key: str) -> Body | None:
        """Return what browser SDKs load for this key."""
        return self._find(lambda directory: directory.settings_document(write_key))

    def _find(self, look: Callable[[SnapshotDirectory], Found | None]) -> Found | None:
        found = look(self._directory)
        if found is None and self._refreshed():
            found = look(self._directory)
        return found

    def _refreshed(self) -> bool:
        """Return whether there is news; a few statements on a local file, so the event loop may wait for them."""
        if time.monotonic() - self._looked_at < _REFRESH_S:
            return False
        self._looked_at = time.monotonic()
        try:
            if self._control.version() == self._version:
                return False
            self._take(self._control.snapshot())
        except SQLAlchemyError:  # locked for a moment; the watch looks again
            return False
        return True

    def _take(self, snapshot: Snapshot) -> None:
        self._version = snapshot.version
        self._directory = SnapshotDirectory(snapshot, self._public_url)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
