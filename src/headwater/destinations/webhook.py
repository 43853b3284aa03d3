"""Webhook: each event as one POST to a URL of the user's own, signed as Standard Webhooks describes.

Source: Standard Webhooks specification (headers, signature); Segment's Webhooks destination (`X-Signature`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from headwater.destinations.contract import (
    Card,
    Delivered,
    Outcome,
    Retry,
    Room,
    Unauthorized,
    outcome_of,
    setting,
)
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event

CARD = Card(
    name="Webhooks",
    description="Sends each event as an HTTP POST to an address of yours.",
    categories=("Developer tools",),
)

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every Standard Webhooks secret begins with
_SECRET_BYTES_MIN: Final = 24  # Standard Webhooks: 24 to 64 bytes
_SECRET_BYTES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    url: str = field(metadata=setting("URL", "Where events are posted; https, and reachable from the internet."))
    secret: str = field(
        default="",
        repr=False,
        metadata=setting(
            "Signing secret",
            "`whsec_` and base64; signs each request. Without it nothing is signed.",
            secret=True,
            required=False,
        ),
    )
    segment_signature: bool = field(
        default=False,
        metadata=setting(
            "Segment's signature too",
            "Adds `X-Signature`: hex HMAC-SHA1 of the body, keyed by the secret's text.",
            required=False,
        ),
    )


class Destination:
    """Posts events one by one; the body is the event as it is stored."""

    batch_max: ClassVar[int] = 1

    def __init__(self, settings: Settings, room: Room) -> None:
        self._settings, self._http, self._clock = settings, room.http, room.clock
        if settings.segment_signature and not settings.secret:
            raise ConfigError("Segment's signature needs a signing secret; enter one or leave the signature out.")
        self._key = _key(settings.secret) if settings.secret else b""

    async def check(self) -> None:
        """Post `{"type": "check"}`, signed like an event.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the receiver did not answer 2xx.
        """
        match await self._post("msg_check", b'{"type":"check"}'):
            case Delivered():
                return
            case Unauthorized(reason):
                raise UnauthorizedError(f"The receiver refused the check ({reason}); compare the secret.")
            case Retry(reason):
                raise RetryableError(f"The receiver did not take the check ({reason}); try again later.")
            case refused:
                raise DeliveryError(f"The receiver refused the check ({refused.reason}); compare the URL.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Post one event."""
        return [await self._post(webhook_id(event), event.line) for event in events]

    async def _post(self, message: str, body: bytes) -> Outcome:
        headers = {"content-type": "application/json", **self._signed(message, body)}
        return outcome_of(await self._http.request("POST", self._settings.url, body=body, headers=headers))

    def _signed(self, message: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        headers = {"webhook-id": message, "webhook-timestamp": timestamp}
        if self._key:
            headers["webhook-signature"] = f"v1,{signature(self._key, message, timestamp, body)}"
        if self._settings.segment_signature:
            headers["x-signature"] = hmac.digest(self._settings.secret.encode(), body, hashlib.sha1).hex()
        return headers


def webhook_id(event: Event) -> str:
    """Return the idempotency key: made from source and messageId, so every attempt and replay carries the same."""
    return "msg_" + hashlib.sha256(f"{event.source_id}\0{event.message_id}".encode()).hexdigest()[:32]


def signature(key: bytes, message: str, timestamp: str, body: bytes) -> str:
    """Return base64 of the HMAC-SHA256 over `id.timestamp.body`."""
    signed = f"{message}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or not _SECRET_BYTES_MIN <= len(key) <= _SECRET_BYTES_MAX:
        raise ConfigError(
            f"The signing secret must be `whsec_` and the base64 of {_SECRET_BYTES_MIN} to {_SECRET_BYTES_MAX} bytes."
        )
    return key
