"""What the door knows, built from a snapshot of the configuration."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from headwater.control.snapshot import Snapshot
from headwater.ingest.directory import SourceRef
from headwater.spec.event import Body


class SnapshotDirectory:
    """A `Directory` over one snapshot. Keys are looked up by hash, so timing tells nothing of their characters."""

    def __init__(self, snapshot: Snapshot, public_url: str) -> None:
        self._public_url = public_url
        self._by_key: dict[bytes, SourceRef] = {}
        self._by_secret: dict[bytes, SourceRef] = {}
        for source in snapshot.sources:
            reference = SourceRef(source.id, source.slug, source.enabled, region_allowed=source.region_allowed)
            for key in source.write_keys:
                self._by_key[_hash(key)] = reference
            if source.webhook_secret:
                self._by_secret[_hash(source.webhook_secret)] = reference

    def by_write_key(self, write_key: str) -> SourceRef | None:
        """Return the source a write key belongs to."""
        return self._by_key.get(_hash(write_key))

    def by_webhook_secret(self, secret: str) -> SourceRef | None:
        """Return the source whose webhook address ends in `secret`."""
        return self._by_secret.get(_hash(secret))

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


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
