"""What the door has counted since it started, as plain integers; `app` shows them at `/metrics`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """Every call that was answered for good is in exactly one of accepted and rejected; a retry later counts anew.

    Attributes:
        requests: requests to the addresses of this room.
        received: calls (items of batches, single calls, pixels) of requests that were judged: accepted + rejected.
        accepted: calls that were stored or already had been: unique + duplicates.
        duplicates: calls whose messageId was stored before.
        rejected: calls that were refused, the suppressed ones among them; `Rejections.counts` has them by code.
        body_bytes: bodies of the judged requests, decompressed.
        webhooks: webhooks stored raw.
        beacons: metrics beacons of analytics.js: answered, not stored.
        unavailable: requests answered 503 because the log could not be written.
        overloaded: requests answered 429.
        disconnected: requests whose sender went away before the end of the body.
        warnings: what was changed in accepted events, or looks odd, by code.
    """

    requests: int = 0
    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    body_bytes: int = 0
    webhooks: int = 0
    beacons: int = 0
    unavailable: int = 0
    overloaded: int = 0
    disconnected: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
