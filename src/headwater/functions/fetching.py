"""What `fetch` does on this side of the pipe: one request of a function through the guarded client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.errors import HeadwaterError, RetryableError
from headwater.outgoing import Http

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS_MAX: Final = 64  # ours
_OURS: Final = frozenset({"host", "content-length", "connection", "transfer-encoding", "upgrade", "te", "trailer"})


async def fetched(http: Http, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer as the process takes it: {"status", "headers", "body", "cut"}, or {"error", "retry"}.

    `retry` tells that no answer came and another try may help. Bytes that are not UTF-8 become U+FFFD.
    """
    method = str(request.get("method", "GET"))
    given = request.get("headers")
    headers = {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}
    if method not in _METHODS or len(headers) > _HEADERS_MAX or not all(map(_is_header, headers, headers.values())):
        return {"error": "The method or a header of the request is not allowed.", "retry": False}
    sent = {name: value for name, value in headers.items() if name.lower() not in _OURS}
    try:
        answer = await http.request(
            method,
            str(request.get("url", "")),
            body=str(request.get("body", "")).encode("utf-8", "replace"),
            headers=sent,
        )
    except RetryableError as error:
        return {"error": str(error), "retry": True}
    except HeadwaterError as error:
        return {"error": str(error), "retry": False}
    return {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body.decode("utf-8", "replace"),
        "cut": answer.cut,
    }


def _is_header(name: str, value: str) -> bool:
    return (
        name.isascii() and name.replace("-", "").replace("_", "").isalnum() and value.isprintable() and value.isascii()
    )
