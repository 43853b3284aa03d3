"""The far end: a webhook receiver that checks Standard Webhooks signatures, takes each id once and shows counts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

_IDS_MAX: Final = 200_000  # the newest ids are known; a repeat of an older one would count as new
_NAMES_MAX: Final = 200
_OTHER: Final = "other"
_TOLERANCE_S: Final = 300
_KEY_MARK: Final = "whsec_"  # Standard Webhooks: how a written secret begins
_SHOWN: Final = ("received", "unique", "duplicates", "wrong_signature")


class Receiver:
    """Counts what arrives; with a secret, refuses what is not signed with it."""

    def __init__(self, secret: str = "") -> None:
        self._key = _key(secret)
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._events: Counter[str] = Counter()

    async def post(self, request: web.Request) -> web.Response:
        """Take one delivery: 200, or 401 for a wrong signature."""
        body = await request.read()
        self._counts["received"] += 1
        if self._key and not is_signed(self._key, request.headers, body, time.time()):
            self._counts["wrong_signature"] += 1
            return web.json_response({"error": "the signature is wrong"}, status=401)
        id_ = request.headers.get("webhook-id", "")
        if id_ and id_ in self._ids:
            self._counts["duplicates"] += 1
        else:
            self._take(id_, body)
        return web.json_response({"ok": True})

    def _take(self, id_: str, body: bytes) -> None:
        self._counts["unique"] += 1
        if id_:
            self._ids[id_] = None
            if len(self._ids) > _IDS_MAX:
                self._ids.popitem(last=False)
        name = _name(body)
        self._events[name if name in self._events or len(self._events) < _NAMES_MAX else _OTHER] += 1

    def shown(self) -> dict[str, Any]:
        """Return the counts."""
        counts = {name: self._counts[name] for name in _SHOWN}
        return {**counts, "signed": bool(self._key), "events": dict(self._events.most_common())}

    async def get(self, request: web.Request) -> web.Response:
        """Show the counts: a page for browsers, JSON for everybody else."""
        shown = self.shown()
        if "text/html" in request.headers.get("accept", ""):
            return web.Response(text=_page(shown), content_type="text/html")
        return web.json_response(shown)


def _key(secret: str) -> bytes:
    if not secret:
        return b""
    try:
        return base64.b64decode(secret.removeprefix(_KEY_MARK), validate=True)
    except binascii.Error:
        return secret.encode()


def is_signed(key: bytes, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
    """Say whether one of the signatures is right and the time is within five minutes.

    Source: the Standard Webhooks specification, scheme `v1`.
    """
    id_, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdecimal() or abs(now_s - int(sent)) > _TOLERANCE_S:
        return False
    signed = hmac.new(key, f"{id_}.{sent}.".encode() + body, hashlib.sha256).digest()
    right = f"v1,{base64.b64encode(signed).decode()}".encode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(right, signature.encode("utf-8", "replace")) for signature in given)


def _name(body: bytes) -> str:
    """Return what a delivery is called: its event, else its type."""
    try:
        call = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return "not an event"
    return str(call.get("event") or call.get("type") or "not an event")[:100]


def _page(shown: dict[str, Any]) -> str:
    rows = {
        **{name: shown[name] for name in _SHOWN},
        **shown["events"],
    }
    cells = "".join(f"<tr><td>{html.escape(str(name))}<td>{count}" for name, count in rows.items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2><title>Receiver</title>"
        f"<h1>What this receiver got</h1><table>{cells}</table>"
    )
