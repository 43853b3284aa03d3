"""Pace and patience of one destination, as its user sets them: kept as JSON, in the API's spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headwater.delivery.connection import Tuning
from headwater.errors import InvalidRequestError

_HOUR_S: Final = 3_600

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "concurrency": (1, 64),  # ours: calls at a time
    "ratePerSecond": (0.01, 10_000),  # ours: events
    "retryForHours": (0.1, 720),  # ours: from an event's first try to its last
}


def checked(given: Mapping[str, Any], stored: str = "{}") -> str:
    """Return what is stored: `given` over what was stored; a member given as None goes back to the default.

    Raises:
        InvalidRequestError: an unknown member, no number, or out of `BOUNDS`; `field` is `delivery.NAME`.
    """
    merged: dict[str, Any] = msgspec.json.decode(stored, type=dict[str, Any]) | dict(given)
    for name, value in given.items():
        if name not in BOUNDS:
            raise InvalidRequestError(f"delivery has {', '.join(BOUNDS)}.", field=f"delivery.{name[:60]}")
        if value is not None:
            _judge(name, value)
    return msgspec.json.encode({name: value for name, value in merged.items() if value is not None}).decode()


def _judge(name: str, value: object) -> None:
    least, most = BOUNDS[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_whole = name != "concurrency" or isinstance(value, int)
    if not is_number or not is_whole or not least <= value <= most:  # type: ignore[operator] # a number by now
        kind = "a whole number" if name == "concurrency" else "a number"
        raise InvalidRequestError(f"{name} is {kind} from {least:,} to {most:,}.", field=f"delivery.{name}")


def opened(stored: str) -> Tuning:
    """Return stored JSON as the engine takes it."""
    found: dict[str, Any] = msgspec.json.decode(stored, type=dict[str, Any])
    hours = found.get("retryForHours")
    return Tuning(found.get("concurrency"), found.get("ratePerSecond"), None if hours is None else hours * _HOUR_S)


def shape(tuning: Tuning) -> dict[str, Any]:
    """Return it in the API's spelling; None where nothing is set."""
    hours = None if tuning.retry_for_s is None else round(tuning.retry_for_s / _HOUR_S, 6)
    return {"concurrency": tuning.concurrency, "ratePerSecond": tuning.rate_per_s, "retryForHours": hours}
