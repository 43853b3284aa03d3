"""What the engine knows of a destination that a user has set up, and the bounds it works within."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from headwater import limits

SEND_DEADLINE_S: Final = 60.0  # ours: one `send` of a destination, which may need several requests


@dataclass(frozen=True, slots=True)
class Connection:
    """One destination on one source; handed in by `app`, replaced when the configuration changes.

    Attributes:
        id: the destination's id, unique.
        type: the name of its file on the shelf.
        name: the user's label.
        settings: decrypted, in the spelling of the type's `Settings`.
        created_at: only events received from this instant on are delivered; None is the log's oldest event.
        revision: changes with the settings; a connection paused by a refused key tries again when it does.
    """

    id: str
    source_id: str
    type: str
    name: str
    enabled: bool
    settings: Mapping[str, Any] = field(repr=False)
    created_at: datetime | None = None
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds of delivery; tests hand in smaller ones.

    Attributes:
        chunk_max: events between two commits, or as many as fill every batch under way if those are more; what a
            crash repeats at most.
        in_flight: calls of one connection at a time, for new events and for retries alike.
        retry_first_s, retry_max_s: the random wait before try n is below `retry_first_s * 2**n`, at most `retry_max_s`.
        retry_for_s: from the first try of an event to its last.
        hold_max_s: the longest wait between two tries of a destination that refuses everything.
        drain_s: what `stop` waits for calls that are under way.
        replay_per_s: events a second of one replay.
        chance: uniform in 0..1.
    """

    chunk_max: int = 256
    in_flight: int = 8
    retry_first_s: float = 2.0
    retry_max_s: float = 3600.0
    retry_for_s: float = limits.RETRY_FOR_S
    retry_after_max_s: float = limits.RETRY_AFTER_S_MAX
    hold_max_s: float = 60.0
    drain_s: float = 10.0
    replay_per_s: float = 500.0
    chance: Callable[[], float] = random.random
