"""The audit trail as it is asked: entries by time, person and resource; deeds that change no row; the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from headwater.clock import Clock


class Audit:
    """Reads the trail, and adds what no change of a row tells by itself."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def note(
        self,
        type_: str,
        workspace_id: str | None,
        resource: tuple[str, str, str] = ("", "", ""),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down a deed that changed no row of the configuration, by whoever acts now.

        Args:
            type_: as the trail names it, such as `Replay Started`.
            workspace_id: whose trail; None is the installation's.
            resource: (type, id, name) of what it was done to.
            details: what else is to know; no secrets, no data of recipients.
        """
