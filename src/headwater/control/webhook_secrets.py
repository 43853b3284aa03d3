"""Webhook secrets of sources: made, and changed with an overlap, so that no webhook under way is refused.

Each function returns the columns of `sources` that change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from headwater.control import naming
from headwater.control.database import Row
from headwater.control.moments import text_of
from headwater.control.secrets import SecretBox

OVERLAP: Final = timedelta(hours=24)
"""How long a former address works on (ours): a day for people to change it where it was entered by hand."""

_PRESENT: Final = "webhook_secret"
_FORMER: Final = "former_webhook_secret"


def made(source_id: str, box: SecretBox) -> dict[str, Any]:
    """Give a source without a secret its first."""
    return {_PRESENT: box.seal(source_id, _PRESENT, naming.new_webhook_secret())}


def changed(row: Row, box: SecretBox, now: datetime, *, at_once: bool) -> dict[str, Any]:
    """Give a source a new secret; the present one works on for `OVERLAP`, or with `at_once` no longer.

    What was former before ends now: two addresses at a time are enough to move a webhook.
    """
    return made(row.id, box) | (_ended() if at_once else _former(row, box, now))


def retired(row: Row, box: SecretBox, now: datetime) -> dict[str, Any]:
    """Leave a source without a secret, because its account is gone; webhooks under way are still taken."""
    return {_PRESENT: ""} | _former(row, box, now)


def read(row: Row, box: SecretBox) -> dict[str, Any]:
    """Return the open secrets of a row, as members of `models.Source`."""
    if not row.former_webhook_secret:
        return {_PRESENT: _opened(row, box)}
    return {
        _PRESENT: _opened(row, box),
        _FORMER: box.open(row.id, _FORMER, row.former_webhook_secret),
        "former_until": datetime.fromisoformat(row.former_until),
    }


def _opened(row: Row, box: SecretBox) -> str:
    return box.open(row.id, _PRESENT, row.webhook_secret) if row.webhook_secret else ""


def _former(row: Row, box: SecretBox, now: datetime) -> dict[str, Any]:
    # sealed anew: a sealed text opens only in the field it was sealed for
    return {_FORMER: box.seal(row.id, _FORMER, _opened(row, box)), "former_until": text_of(now + OVERLAP)}


def _ended() -> dict[str, Any]:
    return {_FORMER: "", "former_until": None}
