"""Times as people write them at a shell: a day, an instant, how long ago, or in how long."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_SPAN: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class _Time(click.ParamType[str]):
    """An instant, ISO 8601 with zone; what has no zone is meant by the clock of this machine.

    Args:
        sign: -1 where a span such as `2h` lies behind, 1 where it lies ahead.
    """

    name = "time"

    def __init__(self, sign: int) -> None:
        self._sign = sign

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if span := _SPAN.fullmatch(value):
                away = timedelta(**{_UNITS[span[2]]: int(span[1])})
                return (datetime.now(UTC) + self._sign * away).isoformat(timespec="seconds")
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.astimezone()).isoformat()
        except (ValueError, OverflowError):
            of_span = "2h (ago)" if self._sign < 0 else "90d (from now)"
            self.fail(f"{value[:40]!r} is no time; write 2026-01-31, 2026-01-31T08:00:00Z or {of_span}.", param, ctx)


TIME: Final = _Time(-1)
AHEAD: Final = _Time(1)
