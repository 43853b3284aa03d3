"""Parameters of queries that several operations take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from headwater.control.api.door import Query

_MOMENT: Final = {"type": "string", "format": "date-time"}


def whole(name: str, description: str, least: int, most: int) -> Query:
    """Return a parameter that is a whole number."""
    return Query(name, description, {"type": "integer", "minimum": least, "maximum": most})


def moment(name: str, description: str) -> Query:
    """Return a parameter that is a time, ISO 8601."""
    return Query(name, description, _MOMENT)


def choice(name: str, description: str, values: Iterable[str]) -> Query:
    """Return a parameter that is one of some words."""
    return Query(name, description, {"type": "string", "enum": list(values)})


SOURCE: Final = Query("sourceId", "Only of this source.")
DESTINATION: Final = Query("destinationId", "Only of this destination.")
EVENT: Final = Query("event", "Only events of this name.")
BEFORE: Final = whole("before", "Only what is older: `next` of the page before.", 0, 10**18 - 1)
