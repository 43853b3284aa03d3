"""What the trail shows of a row: everything but secrets, and of long texts the beginning."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from headwater.control.audit.images import Change, Image
from headwater.control.models import MASKED
from headwater.control.secrets import SEALED

_TEXT_CHARS_MAX: Final = 2_000  # ours: a page of code; the rest is told by its digest
_SECRET: Final = re.compile(r"(^|_)(sha256|hash|password|token|secret|digest)$")
_SHOWN_CHARS: Final = 4  # of a write key, to recognise it by
_IN_ADDRESS: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/@\s]*@", re.IGNORECASE)


def shown(change: Change) -> tuple[Image | None, Image | None]:
    """Return the row before and after; where it was changed, only the columns that hold something else."""
    columns = change.columns
    return _shown(change.before, columns), _shown(change.after, columns)


def _shown(row: Image | None, columns: Iterable[str]) -> Image | None:
    return None if row is None else {name: _value(name, row[name]) for name in columns}


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if name == "write_key":
        return f"{value[:_SHOWN_CHARS]}{MASKED}"
    if _SECRET.search(name) or SEALED.fullmatch(value):
        return MASKED
    if value[0] in "{[":
        try:
            return _member(json.loads(value))
        except ValueError:
            pass
    return _text(value)


def _member(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _member(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_member(member) for member in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    masked = _IN_ADDRESS.sub(rf"\g<scheme>{MASKED}@", SEALED.sub(MASKED, value))
    if len(masked) <= _TEXT_CHARS_MAX:
        return masked
    digest = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{masked[:_TEXT_CHARS_MAX]}… ({len(masked)} characters, SHA-256 {digest}…)"
