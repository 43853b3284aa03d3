"""Build a destination once when its settings are saved: its own checks speak then, and not at the first event."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater import shelf
from headwater.budget import Budgets
from headwater.destinations.contract import Answer, Room
from headwater.errors import ConfigError, DeliveryError, InvalidRequestError

_SHELF: Final = "headwater.destinations"
_ANYWHERE: Final = Path("/")  # which directories the operator allows is known to the pipeline role


class _Nowhere:
    """A client without a way out: a destination that is only built makes no request."""

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        raise DeliveryError(f"Nothing is sent here: {method} {len(url)} {len(body)} {len(headers or ())}")


async def _unreachable(host: str, port: int) -> list[str]:
    raise DeliveryError(f"Nothing is dialled here: {len(host)} {port}")


def prove(module_name: str, settings: Mapping[str, Any]) -> None:
    """Return when a destination can be built with these settings, secrets open.

    Raises:
        InvalidRequestError: it cannot; the sentence is the destination's own.
    """
    module = shelf.take(_SHELF, module_name)
    room = Room(_Nowhere(), Budgets(), _unreachable, Path("/nonexistent"), directories=(_ANYWHERE,))
    try:
        module.Destination(msgspec.convert(dict(settings), module.Settings), room)
    except ConfigError as error:
        raise InvalidRequestError(str(error), field="settings") from error
