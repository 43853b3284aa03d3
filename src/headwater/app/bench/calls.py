"""What the senders send: whole HTTP requests, cut where the ids stand, so that a new one costs a join."""

from __future__ import annotations

import itertools
import json
import time
from typing import Final

EVENT: Final = {
    "type": "track",
    "messageId": "ID",
    "userId": "user-20931",
    "anonymousId": None,
    "event": "Email Link Clicked",
    "timestamp": "2026-11-23T11:59:59.152Z",
    "context": {
        "library": {"name": "analytics-python", "version": "2.3.4"},
        "traits": {"email": "person.20931@example.com"},
        "ip": "203.0.113.61",
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    },
    "properties": {
        "campaign_id": "417",
        "campaign_name": "November newsletter",
        "link_id": "9981",
        "link_url": "https://shop.example.com/products/shoes?utm_source=newsletter",
        "email_subject": "Shoes for the winter",
        "total": 129.95,
    },
    "integrations": {},
}
"""A tracking call as an official SDK sends it."""

_MARK: Final = b'"messageId":"'
_SENT_AT: Final = "2026-11-23T11:59:59.169Z"
_STEM: Final = b"%016x-%08x-"
_SUFFIX: Final = b"%04x"
_ID_BYTES: Final = 16 + 1 + 8 + 1 + 4


def event_bytes() -> int:
    """Return the size of one event as it is sent."""
    return len(_compact(EVENT)) - len("ID") + _ID_BYTES


def body(events: int, write_key: str) -> bytes:
    """Return the body of a single call, or of a batch of more than one, with `ID` for each id."""
    common = f'"writeKey":"{write_key}","sentAt":"{_SENT_AT}"'
    if events == 1:
        return f"{{{common},{_compact(EVENT)[1:]}".encode()
    return f'{{{common},"batch":[{",".join([_compact(EVENT)] * events)}]}}'.encode()


class Requests:
    """An endless row of requests of `events` events each; no id stands in two of them, nor in those of another run."""

    def __init__(self, events: int, write_key: str) -> None:
        self.events = events
        self._run = time.time_ns()
        self._numbers = itertools.count()
        self._parts = _cut(_head(events, write_key) + body(events, write_key))
        self._suffixes = [_SUFFIX % item for item in range(events)]

    def next(self) -> bytes:
        """Return the next request."""
        stem = _STEM % (self._run, next(self._numbers))
        pieces = [b""] * (2 * self.events + 1)
        pieces[0::2] = self._parts
        pieces[1::2] = [stem + suffix for suffix in self._suffixes]
        return b"".join(pieces)


def _head(events: int, write_key: str) -> bytes:
    path = "/v1/track" if events == 1 else "/v1/batch"
    length = len(body(events, write_key)) + events * (_ID_BYTES - len("ID"))
    return post(path, "application/json", length)


def post(path: str, content_type: str, length: int) -> bytes:
    """Return the head of a POST as a library sends it."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: headwater-bench\r\nAccept: */*\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _cut(request: bytes) -> list[bytes]:
    """Return what stands before, between and behind the ids."""
    first, *others = request.split(_MARK + b'ID"')
    parts = [first + _MARK, *(b'"' + other + _MARK for other in others)]
    parts[-1] = parts[-1].removesuffix(_MARK)
    return parts


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
