"""What the engines know, as the JSON that the pipeline role answers: camelCase names, ISO times, ids as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headwater.control.pipeline import Answer
from headwater.delivery.dead_letters import DeadLetter, DeadLetterFilter
from headwater.delivery.replays import Replay
from headwater.delivery.series import Metrics, Point
from headwater.delivery.status import ConnectionStatus
from headwater.delivery.tryout import Tried
from headwater.errors import InvalidRequestError
from headwater.loading.reloads import Reload
from headwater.loading.trends import Day
from headwater.privacy.person import Person

_CHOSEN: Final = {
    "sourceId": "source_id",
    "event": "event",
    "type": "type",
    "reason": "reason",
    "messageId": "message_id",
    "since": "since",
    "until": "until",
    "destinationIds": "destination_ids",
}
_IDS: Final = {"userIds": "user_ids", "anonymousIds": "anonymous_ids", "emails": "emails"}
_DIGITS: Final = 19  # of SQLite's largest row number


def plain(value: Any) -> Answer:
    """Return a dataclass as JSON, its own names in camelCase."""
    members = msgspec.to_builtins(value)
    assert isinstance(members, dict)  # noqa: S101 - checks our own work
    return {_camel(name): each for name, each in members.items()}


def connection(status: ConnectionStatus) -> Answer:
    """Return how a connection does."""
    return {**plain(status), "pending": status.pending}


def dead_letter(letter: DeadLetter) -> Answer:
    """Return a dead letter."""
    return {
        **plain(letter),
        "id": str(letter.id),
        "firstAt": iso(letter.first_at),
        "diedAt": iso(letter.died_at),
    }


def replay(run: Replay) -> Answer:
    """Return a replay with its progress."""
    return {
        **plain(run),
        "selection": plain(run.selection),
        "startedAt": iso(run.started_at),
        "finishedAt": None if run.finished_at is None else iso(run.finished_at),
    }


def metrics(found: Metrics) -> Answer:
    """Return figures over time."""
    totals = _point(found.totals)
    del totals["at"]
    return {"granularity": found.granularity, "points": [_point(each) for each in found.points], "totals": totals}


def tried(end: Tried) -> Answer:
    """Return how a try ended."""
    return {**plain(end), "exchanges": [plain(each) for each in end.exchanges]}


def reload(run: Reload) -> Answer:
    """Return a reload with its progress; no `sourceIds` are all that are connected."""
    told = plain(run)
    del told["spentMs"]
    collections = None if run.collections is None else list(run.collections)
    return {**told, "sourceIds": list(run.source_ids or ()), "collections": collections, "etaS": run.eta_s}


def day(found: Day) -> Answer:
    """Return what a warehouse took on one day."""
    return {**plain(found), "rows": found.rows}


def person(ids: Mapping[str, Any]) -> Person:
    """Return whose rows are meant.

    Raises:
        InvalidRequestError: nobody's, a kind of id that is none, or an id that is empty: it would be everybody's.
    """
    if unknown := sorted(set(ids) - set(_IDS)):
        raise InvalidRequestError(f"A person is named by {', '.join(_IDS)}.", field=unknown[0])
    for name, values in ids.items():
        if isinstance(values, str) or not all(isinstance(value, str) and value.strip() for value in values):
            raise InvalidRequestError(f"{name} is a list of texts that are not empty.", field=name)
    if not any(ids.values()):
        raise InvalidRequestError(f"Name the person by {', '.join(_IDS)}.", field=next(iter(_IDS)))
    return Person(**{_IDS[name]: frozenset(values) for name, values in ids.items()})


def chosen_letters(destination_id: str | None, chosen: Mapping[str, Any] | None) -> DeadLetterFilter:
    """Return which dead letters are meant.

    Raises:
        InvalidRequestError: a member that is none, or a time without zone.
    """
    wanted = {name: value for name, value in (chosen or {}).items() if value is not None}
    if unknown := sorted(set(wanted) - set(_CHOSEN)):
        raise InvalidRequestError(f"Dead letters are chosen by {', '.join(_CHOSEN)}.", field=unknown[0])
    for name in ("since", "until"):
        if name in wanted:
            wanted[name] = moment(wanted[name], name).timestamp()
    if "destinationIds" in wanted:
        wanted["destinationIds"] = tuple(wanted["destinationIds"])
    return DeadLetterFilter(destination_id, **{_CHOSEN[name]: value for name, value in wanted.items()})


def letters(
    ids: Sequence[str] | None, destination_id: str | None, chosen: Mapping[str, Any] | None
) -> Sequence[int] | DeadLetterFilter:
    """Return which dead letters are meant: by number where there are numbers, else all that match."""
    return chosen_letters(destination_id, chosen) if ids is None else [letter_number(each) for each in ids]


def letter_number(text: str) -> int:
    """Return the number of a dead letter's id.

    Raises:
        InvalidRequestError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise InvalidRequestError(f"{text[:40]!r} is no dead letter's id; `headwater dead-letters list` shows them.")
    return int(text)


def moment(text: str, name: str) -> datetime:
    """Return an instant.

    Raises:
        InvalidRequestError: it is none, or has no zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidRequestError(f"{name} is a time such as 2026-03-01T00:00:00Z", field=name)
    return found


def iso(epoch_s: float) -> str:
    """Return an instant in UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()


def _point(point: Point) -> Answer:
    return {**plain(point), "at": iso(point.at), "filtered": dict(point.filtered)}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
