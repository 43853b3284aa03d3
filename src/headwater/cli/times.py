"""Times as people write them at a shell: a day, an instant, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_AGO: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class _Time(click.ParamType[str]):
    """An instant, ISO 8601 with zone; what has no zone is meant by the clock of this machine."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if ago := _AGO.fullmatch(value):
                return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat(timespec="seconds")
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.astimezone()).isoformat()
        except (ValueError, OverflowError):
            self.fail(f"{value[:40]!r} is no time; write 2026-01-31, 2026-01-31T08:00:00Z or 2h (ago).", param, ctx)


TIME: Final = _Time()
