"""What mapping one event may cost, and how it may fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from headwater.errors import HeadwaterError
from headwater.limits import MIB

WORK_BYTES_MAX: Final = 1 * MIB  # ours: JSON that one mapping makes of one event of 32 KB at most
_STEP_BYTES: Final = 8  # ours: what a step costs that makes nothing


class MappingError(HeadwaterError):
    """The event cannot be mapped: what would come out is too large or of the wrong shape."""


class MissingFieldError(HeadwaterError):
    """The event has nothing for a field that a mapping requires: it is left out."""


class Work:
    """What is still allowed for one event."""

    def __init__(self) -> None:
        """Begin with all of it."""
        self._bytes_left = WORK_BYTES_MAX

    def spend(self, value: Any) -> Any:
        """Return the value after its size was counted.

        Raises:
            MappingError: too much was made already.
        """
        match value:
            case str():
                size = len(value)
            case list() | dict():
                size = len(msgspec.json.encode(value))
            case _:
                size = 0
        self.spend_bytes(size + _STEP_BYTES)
        return value

    def spend_bytes(self, size: int) -> None:
        """Count what is about to be made; raises as `spend` does."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise MappingError(f"The mapping makes more than {WORK_BYTES_MAX // MIB} MB of one event; use fewer lists.")


Evaluated = Callable[[Any, Work], Any]
"""Returns a value for a scope, the event or an element of a list; UNSET when there is none."""
