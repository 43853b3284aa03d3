"""What SECRET_KEY alone is enough for: the commands on the server's own machine, and setting Headwater up.

Who can read the key needs no stored token: these are signed with it, and pass by themselves.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

_AHEAD: Final = timedelta(minutes=1)  # same machine, same clock; a minute for a clock that is being set


@dataclass(frozen=True, slots=True)
class Purpose:
    """What such a token is for; it is worth nothing for another.

    Attributes:
        prefix: tells the tokens of a purpose apart.
        label: part of the signing key.
    """

    prefix: str
    lasts: timedelta
    label: bytes


PREFIX: Final = "hwl_"
COMMAND: Final = Purpose(PREFIX, timedelta(minutes=5), b"headwater local token")
SET_UP: Final = Purpose("hws_", timedelta(hours=1), b"headwater set-up link")


def make(secret_key: bytes, now: datetime, purpose: Purpose = COMMAND) -> str:
    """Return a token that is valid as long as its purpose says: `<prefix><expires>_<nonce>_<signature>`."""
    claim = f"{int((now + purpose.lasts).timestamp())}_{secrets.token_hex(8)}"
    return f"{purpose.prefix}{claim}_{_signature(secret_key, claim, purpose)}"


def verify(secret_key: bytes, token: str, now: datetime, purpose: Purpose = COMMAND) -> bool:
    """Return whether the token was made with this key for this purpose and is still valid."""
    claim, _, signature = token.removeprefix(purpose.prefix).rpartition("_")
    expected = _signature(secret_key, claim, purpose)
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
        return False
    expires = int(claim.partition("_")[0])  # signed by us, so it is a number
    return now.timestamp() <= expires <= (now + purpose.lasts + _AHEAD).timestamp()


def _signature(secret_key: bytes, claim: str, purpose: Purpose) -> str:
    # Not derived_key(): the command line makes these, and `cryptography` takes 60 ms to import.
    key = hmac.new(secret_key, purpose.label, sha256).digest()
    return hmac.new(key, claim.encode("utf-8", "replace"), sha256).hexdigest()
