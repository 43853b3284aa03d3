"""What destinations may use of the outside, and a room of its own for each connection."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

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

    def room(self, connection: Connection | None = None) -> Room:
        """Return a room of a connection's own; None is one to try settings out in.

        Whoever asked for it closes `closing`.
        """
        return Room(
            http=self.http,
            budgets=self.budgets,
            reach=self.reach,
            home=self.home / (connection.id if connection else "trial"),
            directories=self.directories,
            connection_id=connection.id if connection else "",
            source_id=connection.source_id if connection else "",
            closing=AsyncExitStack(),
            functions=connection.functions if connection else {},
            runtime=self.runtime,
            clock=self.clock,
        )
