"""Rooms for destinations under test, and what a destination's test tells the contract suite about it."""

from dataclasses import dataclass, field
from pathlib import Path

from headwater.budget import Budgets
from headwater.delivery.connection import Connection
from headwater.delivery.rooms import Outside
from headwater.destinations.contract import Room
from headwater.outgoing import Answer, Http

NOWHERE = Path("/nonexistent")
OK = Answer(200, {}, b"{}")


def outside(http: Http, home: Path = NOWHERE, **named) -> Outside:
    return Outside(http, home, Budgets(), **named)


def room(http: Http, home: Path = NOWHERE, connection: Connection | None = None, **named) -> Room:
    return outside(http, home, **named).room(connection)


@dataclass(frozen=True)
class Example:
    """What the contract suite needs to know; each `tests/unit/destinations/test_NAME.py` has one, called EXAMPLE.

    settings: build it.
    accepted: what its service answers when it takes everything; None for one that does not speak HTTP.
    means: statuses that mean something else than everywhere, and the class of outcome they lead to.
    members: changes to the sample events, where the service asks for more than they hold.
    count_max: events of one call, where the service is given only so many requests a second.
    """

    settings: dict
    accepted: Answer | None = OK
    means: dict[int, type] = field(default_factory=dict)
    members: dict = field(default_factory=dict)
    count_max: int = 1_000_000
