"""A token for the commands on the server's own machine: who can read SECRET_KEY needs no stored token."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

PREFIX: Final = "hwl_"
_LASTS: Final = timedelta(minutes=5)
_AHEAD: Final = timedelta(minutes=1)  # same machine, same clock; a minute for a clock that is being set


def make(secret_key: bytes, now: datetime) -> str:
    """Return a token that is valid for 5 minutes: `hwl_<expires>_<nonce>_<signature>`."""
    claim = f"{int((now + _LASTS).timestamp())}_{secrets.token_hex(8)}"
    return f"{PREFIX}{claim}_{_signature(secret_key, claim)}"


def verify(secret_key: bytes, token: str, now: datetime) -> bool:
    """Return whether the token was made with this key and is still valid."""
    claim, _, signature = token.removeprefix(PREFIX).rpartition("_")
    expected = _signature(secret_key, claim)
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
        return False
    expires = int(claim.partition("_")[0])  # signed by us, so it is a number
    return now.timestamp() <= expires <= (now + _LASTS + _AHEAD).timestamp()


def _signature(secret_key: bytes, claim: str) -> str:
    # Not derived_key(): the command line makes these, and `cryptography` takes 60 ms to import.
    key = hmac.new(secret_key, b"headwater local token", sha256).digest()
    return hmac.new(key, claim.encode("utf-8", "replace"), sha256).hexdigest()
