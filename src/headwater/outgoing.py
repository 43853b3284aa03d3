"""Outgoing HTTP as sources and destinations see it: one guarded client, whoever made it.

They are handed an `Http` and never open a connection themselves, so deadlines, bounds and forbidden addresses are
settled in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered: header names are lower case.

    Attributes:
        cut: whether there was more than the client reads; `body` ends at its bound then.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False


class Http(Protocol):
    """The guarded client: deadlines, no redirects, no forbidden addresses."""

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        Raises:
            RetryableError: no answer came (refused, timed out, cut).
            DeliveryError: the address is forbidden or malformed; trying again will not help.
        """
        ...


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `retry-after`, None when it is absent, negative or rubbish.

    A date is counted from the answer's own `date`: the service's clock may be wrong, the difference is right.
    """
    wanted = headers.get("retry-after", "")
    try:
        seconds = float(wanted)
    except ValueError:
        return _seconds_between(headers.get("date", ""), wanted)
    return seconds if 0 <= seconds < float("inf") else None


def _seconds_between(earlier: str, later: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(later) - parsedate_to_datetime(earlier)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
