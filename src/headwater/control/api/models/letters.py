"""Dead letters and replays."""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.control.api.models import Pagination


class DeadLetter(msgspec.Struct, rename="camel"):
    """An event that was given up; in a list `body` is null and the excerpts of the last try are empty."""

    id: str
    destination_id: str
    source_id: str
    message_id: str
    type: str
    event: str
    attempts: int
    first_at: str
    died_at: str
    reason: str
    status: int | None
    advice: str
    request: str
    answer: str
    body: dict[str, Any] | None


class DeadLetters(msgspec.Struct, rename="camel"):
    """Dead letters, newest first; `next` is the cursor of the page that follows."""

    dead_letters: list[DeadLetter]
    next: str | None


class Count(msgspec.Struct, rename="camel"):
    """How many."""

    count: int


class ReplaySelection(msgspec.Struct, rename="camel"):
    """Which events are delivered again; null is any."""

    since: str | None
    until: str | None
    event: str | None
    user_id: str | None


class ReplayRun(msgspec.Struct, rename="camel"):
    """A replay with its progress: `passed` of `total` records are behind it; `id` 0 was only counted."""

    id: int
    destination_id: str
    source_id: str
    state: str
    total: int
    passed: int
    selected: int
    delivered: int
    retrying: int
    dead: int
    filtered: dict[str, int]
    rate_per_s: float
    eta_s: float | None
    started_at: str
    finished_at: str | None
    selection: ReplaySelection


class Replayed(msgspec.Struct, rename="camel"):
    """How many events are delivered again, and the run."""

    count: int
    replay: ReplayRun


class OneReplay(msgspec.Struct, rename="camel"):
    """One replay."""

    replay: ReplayRun


class Replays(msgspec.Struct, rename="camel"):
    """A page of replays, newest first."""

    replays: list[ReplayRun]
    pagination: Pagination
