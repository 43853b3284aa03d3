"""What destinations may use of the outside, and a room of its own for each connection."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from headwater.budget import Budgets
from headwater.clock import Clock, now
from headwater.delivery.connection import Connection
from headwater.destinations.contract import Http, Reach, Room
from headwater.errors import DeliveryError
from headwater.functions.contract import Runtime


async def unreachable(host: str, port: int) -> list[str]:  # noqa: ARG001 - the shape of `Reach`
    """Refuse every host: for engines that were given no way to the outside but HTTP."""
    raise DeliveryError("This destination cannot be reached from here.")


@dataclass(frozen=True, slots=True)
class Outside:
    """What all connections share.

    Attributes:
        http: the guarded client.
        budgets: shared with the sources.
        home: where each connection's own directory is made.
        directories: where files may be written, besides.
    """

    http: Http
    home: Path
    budgets: Budgets
    reach: Reach = unreachable
    directories: tuple[Path, ...] = ()
    runtime: Runtime | None = None
    clock: Clock = now

    def room(self, connection: Connection | None = None, *, is_trial: bool = False) -> Room:
        """Return a room of a connection's own; None is one to try settings out in.

        A trial has a directory that nobody else sees, gone once `closing` is closed: by whoever asked for the room.
        """
        closing = AsyncExitStack()
        home = self.home / (connection.id if connection and not is_trial else f"trial-{uuid4()}")
        if is_trial or not connection:
            closing.callback(shutil.rmtree, home, ignore_errors=True)
        return Room(
            http=self.http,
            budgets=self.budgets,
            reach=self.reach,
            home=home,
            directories=self.directories,
            connection_id=connection.id if connection else "",
            source_id=connection.source_id if connection else "",
            closing=closing,
            functions=connection.functions if connection else {},
            runtime=self.runtime,
            clock=self.clock,
        )
