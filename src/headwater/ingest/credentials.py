"""Which write key a request shows: in the Authorization header, in the body, or both alike."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any

from headwater.errors import RequestError
from headwater.ingest.request import Head


def header_key(head: Head) -> str | None:
    """Return the write key of a Basic header, None when the key is expected in the body.

    The colon behind the key may be missing. A Bearer token names no source; the write key beside it, in the body, does.

    Raises:
        RequestError: 400 for two headers, 401 for one that cannot be read.
    """
    if not head.authorizations:
        return None
    if head.authorizations > 1:
        raise ambiguous()
    return _key_of(head.authorization)


def body_key(value: Any, from_header: str | None) -> str:
    """Return the write key of a request whose body says `value` under `writeKey`.

    Raises:
        RequestError: 400 when header and body name different keys, 401 when there is none.
    """
    if value is None and from_header is not None:
        return from_header
    if type(value) is not str or not value:
        raise invalid()
    if from_header is not None and value != from_header:
        raise ambiguous()
    return value


def invalid() -> RequestError:
    """Return the error for a key that is missing, malformed or unknown; the text is Segment's."""
    return RequestError(401, "invalid_write_key", "An invalid write key was provided")


def ambiguous() -> RequestError:
    """Return the error for two credentials that differ."""
    return RequestError(400, "ambiguous_credentials", "The request names two write keys. Send one.")


@lru_cache(1024)
def _key_of(authorization: bytes) -> str | None:
    scheme, _, value = authorization.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return None
    if scheme.lower() != b"basic":
        raise invalid()
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid() from error
    key = decoded.partition(":")[0]
    if not key:
        raise invalid()
    return key
