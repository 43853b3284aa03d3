"""Requests that are sent once or under a condition: `Idempotency-Key`, `ETag` and `If-Match`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from headwater.control.api.refusing import Refusal
from headwater.control.models import Caller
from headwater.control.requests.repeats import Key

KEY_CHARS_MAX: Final = 255  # IETF draft "The Idempotency-Key HTTP Header Field": to be published by the server
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARS_MAX}}}")
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_ANY: Final = "*"


def key_of(headers: Mapping[str, str], caller: Caller, method: str, target: str, body: bytes) -> Key | None:
    """Return the idempotency key of a request, None where it has none.

    Args:
        headers: of the request.
        caller: whose key it is.
        method: with `target` (path and query) and `body` it is what makes the request.
        target: path and query.
        body: as it was sent.

    Raises:
        Refusal: the key is empty, too long, or has characters that a header should not have.
    """
    given = headers.get("idempotency-key")
    if given is None:
        return None
    if not _KEY.fullmatch(given):
        told = f"Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters, such as a UUID."
        raise Refusal(422, "invalid_field", told, "Idempotency-Key")
    digest = sha256(b"\0".join((method.encode(), target.encode(), body))).hexdigest()
    return Key(caller.workspace_id, caller.token_id, given, digest)


def etag(shown: Mapping[str, Any], volatile: tuple[str, ...]) -> str:
    """Return the ETag of what a GET shows; members that change by themselves are no part of it."""
    if volatile:
        shown = {name: _lasting(each, volatile) for name, each in shown.items()}
    return f'"{sha256(msgspec.json.encode(shown, order="deterministic")).hexdigest()[:32]}"'


def _lasting(shown: Any, volatile: tuple[str, ...]) -> Any:
    if not isinstance(shown, Mapping):
        return shown
    return {name: each for name, each in shown.items() if name not in volatile}


def wanted_tags(headers: Mapping[str, str]) -> frozenset[str]:
    """Return the ETags of `If-Match`, none where it is missing.

    Raises:
        Refusal: it is neither `*` nor a list of ETags.
    """
    given = headers.get("if-match")
    if given is None:
        return frozenset()
    tags = [part.strip() for part in given.split(",")]
    if tags != [_ANY] and not all(_TAG.fullmatch(tag) for tag in tags):
        raise Refusal(422, "invalid_field", "If-Match is the ETag of a GET, quotes and all, or *.", "If-Match")
    return frozenset(tags)


def matches(tag: str, wanted: frozenset[str]) -> bool:
    """Return whether a thing with this ETag is meant; weak tags never are (RFC 9110, If-Match)."""
    return _ANY in wanted or tag in wanted
