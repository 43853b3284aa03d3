"""What people are told of: the kinds of alert, and what may be set of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headwater.errors import InvalidRequestError

_DAY: Final = 24 * 60


class Kind(StrEnum):
    """What can go wrong, as it is spelled in the API and in commands."""

    SOURCE_SILENT = "source-silent"
    DELIVERY_RATE = "delivery-rate"
    WAREHOUSE_FAILING = "warehouse-failing"
    WEBHOOK_INACTIVE = "webhook-inactive"
    DISK_LOW = "disk-low"
    CONSERVATION_BROKEN = "conservation-broken"
    PIPELINE_DOWN = "pipeline-down"


@dataclass(frozen=True, slots=True)
class Number:
    """A number that a rule of a kind has.

    Attributes:
        unit: as people read it behind the number.
    """

    default: int
    least: int
    most: int
    unit: str


@dataclass(frozen=True, slots=True)
class Card:
    """A kind as people choose it.

    Attributes:
        about: what an alert is about: `source`, `destination`, `warehouse`; "" is the installation.
        threshold: None where there is none.
        window: minutes that are looked at; None where it is the present alone.
    """

    title: str
    description: str
    about: str
    threshold: Number | None = None
    window: Number | None = None


CARDS: Final[Mapping[Kind, Card]] = {
    Kind.SOURCE_SILENT: Card(
        "Source is silent",
        "An enabled source that has received events before receives none any more.",
        "source",
        window=Number(3 * _DAY, 5, 60 * _DAY, "minutes without an event"),
    ),
    Kind.DELIVERY_RATE: Card(
        "Delivery rate is low",
        "Of the events that ended at a destination, fewer than this were delivered; at least 20 have to have ended.",
        "destination",
        threshold=Number(90, 1, 100, "percent delivered"),
        window=Number(_DAY, 10, 30 * _DAY, "minutes"),  # Segment, Alerting: a threshold over 24 hours
    ),
    Kind.WAREHOUSE_FAILING: Card(
        "Warehouse is failing",
        "A warehouse could not be loaded: told at the 5th failure in a row and once more at the 20th.",
        "warehouse",  # Segment, Warehouse health: notified at the 5th and at the 20th failed sync
    ),
    Kind.WEBHOOK_INACTIVE: Card(
        "ActiveCampaign webhook is inactive",
        "A connected account does not send: its webhook is missing or inactive, or its key is refused.",
        "source",
    ),
    Kind.DISK_LOW: Card(
        "Disk is nearly full",
        "Less is free on the data directory's disk than this; at DISK_FREE_MB nothing is accepted any more.",
        "",
        threshold=Number(2_048, 64, 10_000_000, "MB free"),
    ),
    Kind.CONSERVATION_BROKEN: Card(
        "Events do not add up",
        "A destination or warehouse has passed events that are in no count, or in two. It should never happen.",
        "",
    ),
    Kind.PIPELINE_DOWN: Card(
        "Nothing is delivered or loaded",
        "The pipeline does not answer. What arrives is kept safe in the log.",
        "",
    ),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one workspace wants to be told of.

    Attributes:
        subject_id: the one source, destination or warehouse it is about; "" is all that have no rule of their own.
        threshold, window_minutes: 0 where the kind has none.
        channel_ids: where messages go besides the web app; () is every channel of the workspace.
    """

    id: str
    workspace_id: str
    kind: Kind
    enabled: bool
    subject_id: str = ""
    threshold: int = 0
    window_minutes: int = 0
    channel_ids: tuple[str, ...] = ()

    @property
    def card(self) -> Card:
        """What is said of its kind."""
        return CARDS[self.kind]


def default(workspace_id: str, kind: Kind) -> Rule:
    """Return the rule that a workspace has until it sets something else; its id is the kind itself."""
    card = CARDS[kind]
    return Rule(
        id=str(kind),
        workspace_id=workspace_id,
        kind=kind,
        enabled=True,
        threshold=card.threshold.default if card.threshold else 0,
        window_minutes=card.window.default if card.window else 0,
    )


def checked(kind: Kind, threshold: int, window_minutes: int) -> None:
    """Return when a rule of this kind may have these numbers.

    Raises:
        InvalidRequestError: one is outside its bounds, or the kind has no such number.
    """
    card = CARDS[kind]
    named = (("threshold", card.threshold, threshold), ("windowMinutes", card.window, window_minutes))
    for name, number, value in named:
        if number is None and value:
            raise InvalidRequestError(f"a rule {kind} has no {name}", field=name)
        if number is not None and not number.least <= value <= number.most:
            told = f"{name} ({number.unit}) is a whole number from {number.least} to {number.most:,}"
            raise InvalidRequestError(told, field=name)
