"""Values as people read them: counts, spans of time, initials. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from headwater.control.api.roles import ROLES
from headwater.loading.schedule import Mode, Schedule

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_ROLES: Final = {str(each.role): each.name for each in ROLES}


def count(value: float | None) -> str:
    """Return a number with thousands separators; a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,}"


def plural(number: int, one: str, many: str = "") -> str:
    """Return "1 event", "2,000 events"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was: "just now", "5 minutes ago", "2 days ago"."""
    seconds = int((now - moment).total_seconds())
    if seconds < 10:  # noqa: PLR2004 - below it the figure changes while it is read
        return "just now"
    if seconds < _MINUTE:
        return f"{seconds} seconds ago"
    if seconds < _HOUR:
        return f"{plural(seconds // _MINUTE, 'minute')} ago"
    if seconds < _DAY:
        return f"{plural(seconds // _HOUR, 'hour')} ago"
    return f"{plural(seconds // _DAY, 'day')} ago"


def lasting(span: timedelta | float) -> str:
    """Return a duration: "38 ms", "4.2 s", "3 min 5 s"."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"


def iso(moment: datetime) -> str:
    """Return what a `datetime` attribute holds: ISO-8601 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(moment: datetime) -> str:
    """Return a moment as text where no script can bring it to the viewer's zone."""
    return moment.astimezone(UTC).strftime("%d %b %Y, %H:%M:%S UTC")


def schedule(chosen: Schedule) -> str:
    """Return when a warehouse is loaded: "loads all the time", "loads every 2 hours"."""
    match chosen.mode:
        case Mode.INTERVAL if chosen.minutes % 60 == 0:
            return (
                "loads every hour"
                if chosen.minutes == _HOUR // _MINUTE
                else f"loads every {chosen.minutes // 60} hours"
            )
        case Mode.INTERVAL:
            return f"loads every {plural(chosen.minutes, 'minute')}"
        case Mode.TIMES:
            return f"loads at {', '.join(chosen.times)} ({chosen.timezone})"
        case Mode.MANUAL:
            return "loads only when asked"
        case _:
            return "loads all the time"


def initials(name: str) -> str:
    """Return one or two letters that stand for a name: "AC" for ActiveCampaign and "HA" for HTTP API."""
    words = [word for word in name.replace("-", " ").replace("_", " ").split() if word[0].isalnum()]
    if not words:
        return "?"
    if len(words) > 1:
        return (words[0][0] + words[1][0]).upper()
    capitals = [letter for letter in words[0] if letter.isupper()]
    return "".join(capitals[:2]) if len(capitals) > 1 else words[0][:2].capitalize()


def role(stored: str) -> str:
    """Return a role as Segment's pages call it: `Workspace Owner`."""
    return _ROLES.get(stored, stored)


def masked(secret: str) -> str:
    """Return a secret with only its ends readable; the mask does not tell how long it is."""
    return f"{secret[:4]}{'•' * 18}{secret[-4:]}" if len(secret) >= 16 else "•" * 18  # noqa: PLR2004 - short secrets show nothing
