"""Webhooks: events as HTTP requests to a URL of the user's own, one by one or in batches, signed.

A request is signed as Standard Webhooks describes, on request also as Segment's Webhooks destination does it.

Source: Standard Webhooks specification (headers, signature, rotation); Segment, Webhooks destination (`X-Signature`);
Segment, Webhooks (Actions) destination (method, headers, batches of up to 4,000).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from headwater.batching import divided, requests
from headwater.destinations.contract import (
    Card,
    Delivered,
    Outcome,
    Retry,
    Room,
    Rule,
    Unauthorized,
    is_spoilt,
    outcome_of,
    setting,
)
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.limits import MIB
from headwater.privacy.person import Person
from headwater.spec.event import Event

CARD = Card(
    name="Webhooks",
    description="Sends events as HTTP requests to an address of yours, one by one or in batches.",
    categories=("Developer tools",),
    api="https://www.standardwebhooks.com/",
    mapping=(
        Rule("all calls", "the whole event", "the body", "JSON as it is stored; in batches, an array of them"),
        Rule(
            "all calls", "messageId", "header `webhook-id`", "made from source and messageId, the same in each attempt"
        ),
        Rule("all calls", "", "header `webhook-timestamp`", "seconds since 1970, of this attempt"),
        Rule("all calls", "", "header `webhook-signature`", "`v1,` and base64; two of them while secrets rotate"),
        Rule("all calls", "", "header `X-Signature`", "on request: hex HMAC-SHA1 of the body"),
    ),
    notes=(
        (
            "Answer 2xx once the events are stored. A repeat carries the same `webhook-id`: keep the ids of a few "
            "days and skip what you had."
        ),
        (
            "A batch's `webhook-id` is made from the ids in it, in their order: the same events in the same request "
            "have the same id. A batch that is tried again may be composed differently, so look at each `messageId` "
            "as well."
        ),
        (
            "401 and 403 pause the connection; 408, 425, 429 and 5xx are tried again, `Retry-After` is honoured; other "
            "answers make a dead letter."
        ),
        (
            "A batch that is answered with 400, 413 or 422 is halved and sent again, until the event that spoils it "
            "stands alone. 404 and 410 are about the address and refuse the whole batch at once."
        ),
        (
            "To change the secret: put the old one into `previous_secret`, the new one into `secret`; once the "
            "receiver knows the new one, empty `previous_secret`. Meanwhile each request carries a signature of either."
        ),
        "Refuse a `webhook-timestamp` that is more than five minutes away from your clock: it is an old recording.",
    ),
)

BATCH_MAX: Final = 4_000  # Segment, Webhooks (Actions) destination
_BATCH_BYTES_MAX: Final = 4 * MIB  # ours: what web servers take with a little configuration
_HEADERS_MAX: Final = 50  # ours
_HEADER_CHARS_MAX: Final = 4_096  # ours
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every Standard Webhooks secret begins with
_SECRET_BYTES_MIN: Final = 24  # Standard Webhooks: 24 to 64 bytes
_SECRET_BYTES_MAX: Final = 64
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
_TEXT: Final = re.compile(r"[\t\x20-\x7e]*")
_OURS: Final = frozenset(
    {"content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "host", "expect", "te"}
    | {"upgrade", "trailer", "user-agent", "accept-encoding", "x-signature"}
    | {"webhook-id", "webhook-timestamp", "webhook-signature"}
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    url: str = field(metadata=setting("URL", "Where events are sent; https, and reachable from the internet."))
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
    previous_secret: str = field(
        default="",
        repr=False,
        metadata=setting(
            "Previous signing secret",
            "While you change the secret: signs each request a second time.",
            secret=True,
            required=False,
        ),
    )
    method: Literal["POST", "PUT", "PATCH"] = field(
        default="POST", metadata=setting("Method", "POST, PUT or PATCH.", required=False)
    )
    headers: dict[str, str] = field(
        default_factory=dict,
        repr=False,
        metadata=setting(
            "Headers",
            "Sent with each request, such as `Authorization` with `Bearer …`.",
            secret=True,
            required=False,
        ),
    )
    batch_size: int = field(
        default=1,
        metadata=setting(
            "Events a request",
            f"1 sends each event as an object of its own; 2 to {BATCH_MAX} send arrays of up to so many.",
            required=False,
        ),
    )


class Destination:
    """Sends the events as they are stored."""

    def __init__(self, settings: Settings, room: Room) -> None:
        self._settings, self._http, self._clock = settings, room.http, room.clock
        if (settings.segment_signature or settings.previous_secret) and not settings.secret:
            raise ConfigError("The signature needs a signing secret; enter one, or leave the other settings of it out.")
        if not 1 <= settings.batch_size <= BATCH_MAX:
            raise ConfigError(f"A request holds 1 to {BATCH_MAX} events.")
        self.batch_max = settings.batch_size
        self._headers = {"content-type": "application/json", **checked(settings.headers)}
        self._keys = [_key(secret) for secret in (settings.secret, settings.previous_secret) if secret]

    async def check(self) -> None:
        """Send `{"type": "check"}`, in the form and with the signature of an event.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the receiver did not answer 2xx.
        """
        match await self._request("msg_check", self._body([b'{"type":"check"}'])):
            case Delivered():
                return
            case Unauthorized(reason):
                raise UnauthorizedError(f"The receiver refused the check ({reason}); compare the secret.")
            case Retry(reason):
                raise RetryableError(f"The receiver did not take the check ({reason}); try again later.")
            case refused:
                raise DeliveryError(f"The receiver refused the check ({refused.reason}); compare the URL.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send the events, in as many requests as their size needs."""
        outcomes: list[Outcome] = []
        sizes = [len(event.line) + 1 for event in events]
        for places in requests(sizes, count_max=self.batch_max, bytes_max=_BATCH_BYTES_MAX):
            outcomes += await divided([events[place] for place in places], self._deliver, is_spoilt)
        return outcomes

    async def erase(self, person: Person) -> None:
        """Send `{"type": "delete"}` for each user id, and with `anonymousId` or `traits.email` for the others.

        Source: Segment, User Deletion and Suppression: destinations get an event of type delete with the userId.
        """
        whom: list[dict[str, Any]] = [{"userId": each} for each in sorted(person.user_ids)]
        whom += [{"anonymousId": each} for each in sorted(person.anonymous_ids)]
        whom += [{"traits": {"email": each}} for each in sorted(person.emails)]
        for each in whom:
            body = msgspec.json.encode({"type": "delete", **each})
            message = "msg_" + hashlib.sha256(b"delete\0" + body).hexdigest()[:32]
            match await self._request(message, self._body([body])):
                case Delivered():
                    continue
                case Unauthorized(reason):
                    raise UnauthorizedError(f"The receiver refused a deletion ({reason}); compare the secret.")
                case Retry(reason, _, after_s):
                    raise RetryableError(f"The receiver did not take a deletion ({reason}).", after_s=after_s)
                case refused:
                    raise DeliveryError(f"The receiver refused a deletion ({refused.reason}); let it take them.")

    async def _deliver(self, events: Sequence[Event]) -> list[Outcome]:
        try:
            outcome = await self._request(batch_id(events), self._body([event.line for event in events]))
        except RetryableError as error:
            # Other parts of the batch may be out already, so it is these events' outcome and not the batch's.
            outcome = Retry(str(error), after_s=error.after_s)
        return [outcome] * len(events)

    def _body(self, lines: Sequence[bytes]) -> bytes:
        return lines[0] if self.batch_max == 1 else b"[%s]" % b",".join(lines)

    async def _request(self, message: str, body: bytes) -> Outcome:
        headers = self._headers | self._signed(message, body)
        return outcome_of(
            await self._http.request(self._settings.method, self._settings.url, body=body, headers=headers)
        )

    def _signed(self, message: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        headers = {"webhook-id": message, "webhook-timestamp": timestamp}
        if self._keys:
            signatures = (signature(key, message, timestamp, body) for key in self._keys)
            headers["webhook-signature"] = " ".join(f"v1,{each}" for each in signatures)
        if self._settings.segment_signature:
            headers["x-signature"] = hmac.digest(self._settings.secret.encode(), body, hashlib.sha1).hex()
        return headers


def webhook_id(event: Event) -> str:
    """Return the idempotency key: made from source and messageId, so every attempt and replay carries the same."""
    return "msg_" + hashlib.sha256(f"{event.source_id}\0{event.message_id}".encode()).hexdigest()[:32]


def batch_id(events: Sequence[Event]) -> str:
    """Return the idempotency key of a request: of one event its own, of several made from theirs, in order."""
    ids = [webhook_id(event) for event in events]
    return ids[0] if len(ids) == 1 else "msg_" + hashlib.sha256("\0".join(ids).encode()).hexdigest()[:32]


def signature(key: bytes, message: str, timestamp: str, body: bytes) -> str:
    """Return base64 of the HMAC-SHA256 over `id.timestamp.body`."""
    signed = f"{message}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's headers by lower-case name.

    Raises:
        ConfigError: one that no request may carry, that Headwater sets itself, or that is there twice.
    """
    if len(headers) > _HEADERS_MAX:
        raise ConfigError(f"A request carries at most {_HEADERS_MAX} headers of your own.")
    known: dict[str, str] = {}
    for name, text in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name) or not _TEXT.fullmatch(text) or len(name) + len(text) > _HEADER_CHARS_MAX:
            raise ConfigError(
                f"The header {name[:60]!r} is malformed; a name is letters, digits and hyphens, a value is one line of "
                f"ASCII, both together at most {_HEADER_CHARS_MAX} characters."
            )
        if lower in _OURS or lower in known:
            raise ConfigError(f"The header {name} is set by Headwater, or given twice; leave it out.")
        known[lower] = text
    return known


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
