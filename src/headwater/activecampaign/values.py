"""Read JSON values as ActiveCampaign writes them: ids and counters as text or numbers, four ways to say "no date".

Nothing here raises: what cannot be read is absent. Members that are not known are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

Member = Mapping[str, Any]
"""One JSON object."""

CENTRAL: Final = "America/Chicago"
"""Where ActiveCampaign's own clock stands, whatever the customer's country."""

_CENTRAL: Final = ZoneInfo(CENTRAL)
_NO_DATE: Final = "0000-00-00"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_DIGITS_MAX: Final = 18  # ours: more is no number of rows


def text(value: Any) -> str:
    """Return a scalar as text without space around it; "" for null, false and what is no scalar."""
    if isinstance(value, str):
        return value.strip()
    if value is None or isinstance(value, bool | list | dict):
        return "1" if value is True else ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def id_of(value: Any) -> str:
    """Return an id as text; "" where there is none, which is also written as 0."""
    found = text(value)
    return "" if found == "0" else found


def count(value: Any) -> int:
    """Return a counter, 0 where there is none."""
    found = text(value).replace(",", "")
    try:
        return max(int(found), 0)
    except ValueError:
        return 0


def total(answer: Member) -> int | None:
    """Return how many rows there are altogether, None where the answer does not say."""
    meta = answer.get("meta")
    found = text(meta.get("total")) if isinstance(meta, dict) else ""
    return int(found) if _is_number(found) else None


def flag(value: Any) -> bool:
    """Say whether a switch is on."""
    return text(value).lower() in _TRUE


def date(row: Member, *names: str) -> str:
    """Return the first of these members that holds a date, as it was written; "" when none does."""
    for name in names:
        found = text(row.get(name))
        if found and not found.startswith(_NO_DATE):
            return found
    return ""


def instant(value: Any) -> datetime | None:
    """Return a date as UTC, None for no date and for what is none; without an offset it is US Central wall time."""
    found = text(value)
    if not found or found.startswith(_NO_DATE):
        return None
    try:
        at = datetime.fromisoformat(found)
        return (at.replace(tzinfo=_CENTRAL) if at.tzinfo is None else at).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def central(at: datetime) -> str:
    """Return an instant as US Central wall time with its offset: right for a reader who ignores the offset, too."""
    return at.astimezone(_CENTRAL).isoformat(timespec="seconds")


def member(answer: Member | None, name: str) -> Member | None:
    """Return an object inside an answer, None when it is not there."""
    found = (answer or {}).get(name)
    return found if isinstance(found, dict) else None


def members(value: Any) -> list[Member]:
    """Return the objects of a list, or of an object whose keys are decimal numbers in their numeric order."""
    if isinstance(value, dict):
        numbered = sorted((int(key), key) for key in value if _is_number(key))
        value = [value[key] for _, key in numbered]
    return [row for row in value if isinstance(row, dict)] if isinstance(value, Sequence) else []


def texts(value: Any) -> tuple[str, ...]:
    """Return the scalars of a list, or of an object that stands for one."""
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return tuple(each for each in map(text, found) if each)


def _is_number(found: str) -> bool:
    return found.isascii() and found.isdecimal() and len(found) <= _DIGITS_MAX
