"""`/api/openapi.json`: the description, for anybody; it tells no secret."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from headwater.control.api.rates import Rates
from headwater.control.api.refusing import Refusal, refused

_PER_S: Final = 5.0  # ours, an address
_AT_ONCE: Final = 50.0
_KEPT_S: Final = 300  # ours: in a browser's cache


class Published:
    """Gives the document, at a pace for each address."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._body = msgspec.json.encode(document)
        self._etag = f'"{sha256(self._body).hexdigest()[:32]}"'
        self._rates = Rates(_PER_S, _AT_ONCE, time.monotonic)

    async def answer(self, request: Request) -> Response:
        """Return the document."""
        pace = self._rates.spend(request.client.host if request.client else "")
        if pace.wait_s:
            told = Refusal(429, "too_many_requests", "Too many requests; wait a little.", after_s=pace.wait_s)
            return refused(told, "application/json")
        headers = {
            "etag": self._etag,
            "cache-control": f"public, max-age={_KEPT_S}",
            "x-content-type-options": "nosniff",
        }
        if request.headers.get("if-none-match") == self._etag:
            return Response(status_code=304, headers=headers)
        return Response(self._body, media_type="application/json", headers=headers)
