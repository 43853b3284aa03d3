"""Times of events: read any spelling, correct a device's clock, write one spelling (UTC, milliseconds, `Z`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FUTURE_MAX: Final = timedelta(days=1)  # ours: a time further ahead of the arrival is kept, and flagged
PAST_MAX: Final = timedelta(days=20 * 365)  # ours: as FUTURE_MAX, for the past

_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)

_MILLISECONDS: Final = tuple(f".{number:03}Z" for number in range(1000))
_MILLISECOND_OF: Final = {text: number for number, text in enumerate(_MILLISECONDS)}

# fromisoformat knows neither hour 24 nor a leap second
_ODD_CLOCK: Final = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[T ](?P<clock>24:00(?::00(?:\.0+)?)?|\d{2}:\d{2}:60(?:\.\d+)?)(?P<zone>.*)",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"\d{9,13}(?:\.\d{1,9})?", re.ASCII)

_SECONDS_AMBIGUOUS_BELOW: Final = 100_000_000  # 1973 in seconds; smaller numbers are no time that anyone means
_MILLISECONDS_FROM: Final = 100_000_000_000  # the year 5138 in seconds, 1973 in milliseconds
_NUMBER_MAX: Final = 10_000_000_000_000  # the year 2286 in milliseconds


def corrected_timestamp(original: datetime, sent: datetime, received: datetime) -> datetime:
    """Return when an event happened, by the server's clock.

    `received - (sent - original)`: both device times carry the same error, so it cancels out. An event that claims to
    have happened after it was sent is put at its arrival.

    Args:
        original: device clock, with zone.
        sent: the same device clock, when the request left.
        received: server clock, with zone, taken once per request.

    Raises:
        OverflowError: the result lies outside the years 1 to 9999.

    Source: Segment spec, common fields, `timestamp`.
    """
    if original > sent:
        return received
    return received - (sent - original)


def format_time(instant: datetime) -> str:
    """Return the one spelling of stored times, such as `2026-01-31T09:05:07.120Z`; needs a zone."""
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{utc.isoformat(timespec='milliseconds')[:23]}Z"


def parse_time(value: object) -> datetime | None:
    """Return the instant that `value` names, in UTC; None when it names none or more than one.

    Understands ISO 8601 in its usual spellings (no zone means UTC, further digits of a fraction are cut), hour 24, leap
    seconds (the second after), and numbers of seconds or milliseconds since 1970 where the size leaves no doubt.
    """
    if type(value) is str:
        return _parse_text(value)
    if type(value) is int or type(value) is float:
        return _parse_number(value)
    return None


def _parse_text(text: str) -> datetime | None:
    text = text.strip()
    # before fromisoformat, which takes thirteen digits for a day, a separator and a clock
    if _NUMBER.fullmatch(text):
        return _parse_number(float(text))
    try:
        return _in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return _parse_odd_clock(text)


def _parse_odd_clock(text: str) -> datetime | None:
    match = _ODD_CLOCK.fullmatch(text)
    if match is None:
        return None
    hour_24 = match["clock"].startswith("24")
    clock = "00:00:00" if hour_24 else f"{match['clock'][:5]}:59"
    try:
        instant = datetime.fromisoformat(f"{match['day']}T{clock}{match['zone']}")
        return _in_utc(instant + (timedelta(days=1) if hour_24 else _SECOND))
    except (ValueError, OverflowError):
        return None


def _parse_number(number: int | float) -> datetime | None:
    if not _SECONDS_AMBIGUOUS_BELOW <= number < _NUMBER_MAX:
        return None
    return EPOCH + (timedelta(milliseconds=number) if number >= _MILLISECONDS_FROM else timedelta(seconds=number))


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)


class DeviceClock:
    """The sender's clock during one request: turns its times into the server's.

    Attributes:
        text: `sentAt` in the stored spelling, None when there was none that could be read.
        unreadable: there was a `sentAt`, and it names no time.
    """

    __slots__ = ("_earliest", "_latest", "_received", "_sent", "_shift", "text", "unreadable")

    def __init__(self, sent_at: object, received: datetime) -> None:
        """Take `sentAt` as sent, None when absent, and the server's clock at the request."""
        self._received = received
        self._sent = parse_time(sent_at)
        self.text = None if self._sent is None else format_time(self._sent)
        self.unreadable = sent_at is not None and self._sent is None
        arrival = (received - EPOCH) // _MILLISECOND
        self._shift = 0 if self._sent is None else arrival - (self._sent - EPOCH) // _MILLISECOND
        self._latest = arrival + FUTURE_MAX // _MILLISECOND if sent_at is None else arrival
        self._earliest = arrival - PAST_MAX // _MILLISECOND

    def quick(self, text: str) -> str | None:
        """Return what `corrected` would, as text; None when that needs a closer look.

        That is: another spelling than `format_time` has, a `sentAt` that cannot be read, or a time far away. Costs a
        third of parsing, adding and formatting: neighbours share their second, so both ends are looked up.
        """
        millisecond = _MILLISECOND_OF.get(text[19:])
        second = _second_of(text[:19])
        if millisecond is None or second is None or self.unreadable:
            return None
        moved = second + millisecond + self._shift
        if not self._earliest <= moved <= self._latest:
            return None
        return _prefix_of(moved // 1000) + _MILLISECONDS[moved % 1000]

    def corrected(self, original: datetime) -> datetime:
        """Return when it happened, by the server's clock; without a `sentAt` as the sender says.

        A sender that gave a `sentAt` we cannot read has a clock of unknown error: nothing lies after the arrival then.

        Raises:
            OverflowError: outside the years 1 to 9999.
        """
        if self._sent is not None:
            return corrected_timestamp(original, self._sent, self._received)
        return min(original, self._received) if self.unreadable else original


@lru_cache(4096)
def _second_of(prefix: str) -> int | None:
    try:
        instant = datetime.fromisoformat(prefix)
    except ValueError:
        return None
    # fromisoformat reads more than the one spelling that is meant here
    if instant.tzinfo is not None or instant.isoformat() != prefix:
        return None
    return (instant.replace(tzinfo=UTC) - EPOCH) // _MILLISECOND


@lru_cache(4096)
def _prefix_of(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat()[:19]
