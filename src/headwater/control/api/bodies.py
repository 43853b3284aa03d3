"""The body of a request: read within bounds, and decoded strictly."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec
from starlette.requests import Request

from headwater.control.api.refusing import Refusal
from headwater.limits import KIB

BODY_BYTES_MAX: Final = 256 * KIB  # ours: far above any configuration
PLAIN: Final = "application/json"
SEGMENT: Final = re.compile(r"application/vnd\.segment\.v1(alpha|beta)?\+json")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(?P<field>.*?)`")
_AT: Final = re.compile(r" - at `\$\.?(?P<field>.*?)`$")


async def read(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Return the body.

    Raises:
        Refusal: it is no JSON by its headers, compressed, or too large.
    """
    kind = _kind(request)
    if kind and kind != PLAIN and not SEGMENT.fullmatch(kind):
        raise Refusal(415, "unsupported_media_type", f"Send {PLAIN}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_media_type", "Send the body uncompressed.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > bytes_max:
        raise Refusal(413, "too_large", f"A body has at most {bytes_max} bytes.")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > bytes_max:
            raise Refusal(413, "too_large", f"A body has at most {bytes_max} bytes.")
    return bytes(raw)


def decoded(request: Request, raw: bytes, model: type[msgspec.Struct] | None) -> Any:
    """Return the body as its model; None where the operation takes none.

    Raises:
        Refusal: it is no JSON, or something in it is unknown, missing, of the wrong type or there twice.
    """
    if model is None:
        if raw.strip() not in {b"", b"{}", b"null"}:
            raise Refusal(422, "unknown_field", "This address takes no body.")
        return None
    if not _kind(request):
        raise Refusal(415, "unsupported_media_type", f"Say Content-Type: {PLAIN}.")
    try:
        found = msgspec.json.decode(raw, type=model)
        json.loads(raw, object_pairs_hook=_once)  # msgspec lets the last of two equal members win
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "malformed_json", f"The body is no JSON: {error}") from None
    except RecursionError:
        raise Refusal(422, "invalid_field", "The body is nested too deeply.") from None
    return found


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(422, "invalid_field", f"{twice[:60]!r} is there twice", twice[:60])


def _invalid(message: str) -> Refusal:
    at = _AT.search(message)
    where = at.group("field") if at else ""
    if unknown := _UNKNOWN_FIELD.search(message):
        field = f"{where}.{unknown.group('field')}".strip(".")[:60]
        return Refusal(422, "unknown_field", f"{field!r} is not known here", field)
    if missing := re.search(r"missing required field `(?P<field>.*?)`", message):
        field = f"{where}.{missing.group('field')}".strip(".")
        return Refusal(422, "invalid_field", f"{field} is required", field)
    return Refusal(422, "invalid_field", message, where[:60])
