"""What single values become: text, numbers, times, hashes. What cannot be read becomes null."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headwater.spec import casing

CASES: Final[dict[str, Callable[[str], str]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "snake": casing.snake,
    "kebab": casing.kebab,
    "title": casing.title,
}

_MILLISECONDS_FROM: Final = 1e11  # a moment as a number from here on is in milliseconds: in seconds it were year 5138
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def string(value: Any) -> str:
    """Return a value as text: lists and objects as JSON, whole numbers without a point, null as nothing."""
    match value:
        case None:
            return ""
        case str():
            return value
        case float() if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - as JSON writes whole numbers
            return str(int(value))
        case _:
            return msgspec.json.encode(value).decode()


def number(value: Any) -> int | float | None:
    """Return a number, also of a text or a boolean."""
    if isinstance(value, int | float):  # of a boolean 1 or 0
        return value + 0
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() and abs(found) < 1e15 else found  # noqa: PLR2004


def boolean(value: Any) -> bool | None:
    """Return a boolean, also of `true`, `false`, `yes`, `no`, 1 and 0."""
    match value:
        case bool():
            return value
        case int() | float():
            return bool(value)
        case str():
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
    return None


def moment(value: Any) -> datetime | None:
    """Return a time in UTC, of ISO 8601 (UTC where no zone is told) or of seconds or milliseconds since 1970."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _dated(write: Callable[[datetime], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        found = moment(value)
        return None if found is None else write(found)

    return convert


DATES: Final[dict[str, Callable[[Any], Any]]] = {
    "iso": _dated(lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    "date": _dated(lambda at: at.date().isoformat()),
    "epoch": _dated(lambda at: int(at.timestamp())),
    "epochMs": _dated(lambda at: round(at.timestamp() * 1000)),
}


def hashed(value: Any) -> str:
    """Return the SHA-256 of the trimmed text in small letters, in hex; what is one already stays.

    Source: the customer matching of advertising services, which all ask for this form.
    """
    text = string(value).strip().lower()
    return text if _SHA256.fullmatch(text) else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
