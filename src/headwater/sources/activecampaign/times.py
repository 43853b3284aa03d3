"""When it happened: ActiveCampaign's `date_time` as an instant, and what had to be assumed about it.

Live webhooks carry an offset. A time without one is US Central wall time, whatever the customer's country.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from headwater.activecampaign.values import CENTRAL

ASSUMED_ZONE: Final = "assumed_zone"
AMBIGUOUS_HOUR: Final = "ambiguous_hour"
MISSING: Final = "missing"
UNREADABLE: Final = "unreadable"
IMPLAUSIBLE: Final = "implausible"
FUTURE: Final = "future"
DATE_ONLY: Final = "date_only"

TEST_BUTTON_TIME: Final = "2013-01-01 12:00:00"

_REPEATED_HOUR_S: Final = 3_600
_DATE_SLACK_S: Final = 36 * 3_600  # from noon: the day itself, 12 hours, and any zone that the date may be written in
_HALF_DAY_S: Final = 12 * 3_600 - 1  # a date alone stands for its noon, and counts until its last second
_FUTURE_MAX: Final = timedelta(hours=24)
_EARLIEST: Final = datetime(2003, 1, 1, tzinfo=UTC)  # ActiveCampaign did not exist before

# A space where the sign should be is a "+" that somebody forgot to escape in a form.
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WRITTEN: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?(?:(Z)|([-+ ])(\d\d):?(\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """When an occurrence happened.

    Attributes:
        at: the instant, UTC: `date_time` where it can be believed, otherwise the arrival.
        epoch_s: `date_time` as whole seconds since 1970, None where there is none; never depends on the arrival.
        flag: what was assumed, "" for a time with an offset.
    """

    at: datetime
    epoch_s: int | None
    flag: str = ""

    @property
    def slack_s(self) -> int:
        """How far the true instant may lie from what was read."""
        return {AMBIGUOUS_HOUR: _REPEATED_HOUR_S, DATE_ONLY: _DATE_SLACK_S}.get(self.flag, 0)

    def is_before(self, since: datetime) -> bool:
        """Say whether it was over before an instant: a day is over at midnight, however far off its other tellings."""
        lasts_s = _HALF_DAY_S if self.flag == DATE_ONLY else self.slack_s
        return self.epoch_s is not None and self.epoch_s + lasts_s < since.timestamp()


def moment(text: str, received_at: datetime, zone: str = CENTRAL) -> Moment:
    """Return the instant that `date_time` names.

    A missing, unreadable or impossible one gives the arrival, flagged. In the hour that autumn has twice, the reading
    nearest to the arrival is taken; `epoch_s` is the first reading, so that a late duplicate has the same id.
    """
    if not text:
        return Moment(received_at, None, MISSING)
    try:
        return _plausible(_readings(text, _zone(zone)), received_at)
    except (ValueError, OverflowError):
        return Moment(received_at, None, UNREADABLE)


def report_moment(text: str, received_at: datetime, zone: str = CENTRAL) -> Moment:
    """Return the instant that a report's row names; a date alone is noon of that day, and never after the arrival.

    "" and `0000-00-00` are no time.
    """
    text = text.strip()
    if text[:10] in {"", "0000-00-00"}:
        return Moment(received_at, None, MISSING)
    if _DAY.fullmatch(text) is None:
        return moment(text, received_at, zone)
    noon = moment(f"{text} 12:00:00", received_at, zone)
    if noon.flag != ASSUMED_ZONE:
        return noon
    return Moment(min(noon.at, received_at), noon.epoch_s, DATE_ONLY)


def _plausible(readings: list[tuple[datetime, str]], received_at: datetime) -> Moment:
    epoch_s = int((readings[0][0] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    at, flag = min(readings, key=lambda reading: abs(reading[0] - received_at))
    if at < _EARLIEST:
        return Moment(received_at, epoch_s, IMPLAUSIBLE)
    if at - received_at > _FUTURE_MAX:
        return Moment(received_at, epoch_s, FUTURE)
    return Moment(at, epoch_s, flag)


def _readings(text: str, zone: ZoneInfo) -> list[tuple[datetime, str]]:
    """Return what a written time can mean, each with its flag: one instant, or two where the clock was set back."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, time, fraction, utc, sign, hours, minutes = match.groups()
    local = datetime.fromisoformat(f"{day}T{time}").replace(microsecond=int((fraction or "").ljust(6, "0")[:6]))
    if utc:
        return [(local.replace(tzinfo=UTC), "")]
    if hours:
        ahead = timedelta(hours=int(hours), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        return [(local.replace(tzinfo=UTC) - ahead, "")]
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    # In spring's missing hour `second` comes before `first`: that is no choice, the first reading stands.
    return [(first, AMBIGUOUS_HOUR), (second, AMBIGUOUS_HOUR)] if second > first else [(first, ASSUMED_ZONE)]


@cache
def _zone(name: str) -> ZoneInfo:
    """Return the zone of a setting, US Central when there is no zone of this name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo(CENTRAL)
