"""What the function is asked with, and what its calls become. Pure: the same request and calls, the same events."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from headwater.errors import InvalidEventError
from headwater.functions.contract import Ended
from headwater.sources.contract import Mapped, Webhook
from headwater.spec.event import Body
from headwater.spec.stamp import Arrival, stamp

_ADDRESS: Final = "https://localhost/webhooks/function"  # the code sees the query, and not the secret of the address
_decode: Final = msgspec.json.Decoder(Body).decode


def request_of(webhook: Webhook) -> Body:
    """Return what `onRequest` is called with: {"url", "headers", "body"}; bytes that are not UTF-8 become U+FFFD."""
    return {
        "url": f"{_ADDRESS}?{webhook.query}" if webhook.query else _ADDRESS,
        "headers": {**webhook.headers, "content-type": webhook.content_type},
        "body": webhook.body.decode("utf-8", "replace"),
    }


def mapped(webhook: Webhook, ended: Ended) -> Mapped:
    """Return what became of a request: all its calls as events, or none of them and why."""
    if ended.kind == "dropped":
        return Mapped(ignored="the function dropped it")
    if ended.kind == "unsupported":
        return Mapped(ignored="the function does not support it")
    if ended.kind != "sent":
        return Mapped(quarantined=ended.message)
    if not ended.value:
        return Mapped(ignored="the function sent nothing")
    return _events(webhook, ended.value)


def _events(webhook: Webhook, calls: Sequence[Any]) -> Mapped:
    """Return the events; one that is wrong keeps the others back, so that mending the code gives each once."""
    found = []
    for place, call in enumerate(calls):
        arrival = Arrival(webhook.received_at, lambda place=place: message_id(webhook, place))  # type: ignore[misc]
        body = {name: value for name, value in call.items() if name != "type"}
        try:
            found.append(_decode(stamp(call["type"], body, arrival).line))
        except InvalidEventError as error:
            return Mapped(quarantined=f"Call {place + 1} of the function, Segment.{call['type']}: {error}")
    return Mapped(events=tuple(found))


def message_id(webhook: Webhook, place: int) -> str:
    """Return the id of a call that was given none: the same whenever the same request is mapped.

    The arrival is part of it, because an older copy of the log counts its requests anew.
    """
    told = f"{webhook.source_id}\0{webhook.seq}\0{webhook.received_at.isoformat()}\0{place}"
    return "function-" + hashlib.sha256(told.encode()).hexdigest()[:32]
