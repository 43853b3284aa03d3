"""Segment: batches to any HTTP API that speaks Segment's: Segment itself, US or EU, or another Headwater.

Events keep their `messageId` and their corrected `timestamp`. No `sentAt` goes along: the receiver would correct the
time a second time, and a replay of last year would become today.

Source: Segment HTTP API (batch, limits, authentication); Segment spec, common fields, timestamps.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from headwater.batching import divided, requests, told
from headwater.destinations.contract import (
    Answer,
    Card,
    Delivered,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    Unauthorized,
    is_spoilt,
    outcome_of,
    setting,
    settle_erasure,
)
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError, UnsupportedError
from headwater.limits import BATCH_BYTES_MAX, EVENT_BYTES_MAX
from headwater.privacy.person import Person
from headwater.spec.event import Body, Event

CARD = Card(
    name="Segment",
    description="Sends events to Segment, or to anything that speaks Segment's HTTP API.",
    categories=("Customer data platforms",),
    api="https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/",
    mapping=(
        Rule("all calls", "the whole event", "one item of `batch`", "as it is stored, without what follows"),
        Rule("all calls", "messageId", "messageId", "unchanged: the receiver recognises a repeat by it"),
        Rule("all calls", "timestamp", "timestamp", "unchanged, so a replay keeps its time"),
        Rule("all calls", "sentAt, receivedAt, originalTimestamp", "", "left out: the receiver stamps its own"),
        Rule("all calls", "integrations", "integrations", "without `All` and `Segment`, which were said to Headwater"),
    ),
    notes=(
        "Requests hold up to 100 events and 500 KB; an event above 32 KB becomes a dead letter.",
        "Segment answers 200 to an unknown write key too: compare the key with the source that receives.",
        "A receiver that lists rejected items, as Headwater does, costs only those items.",
        "A batch that is refused with 400 or 413 is halved and sent again, until the one that spoils it stands alone.",
        "Segment remembers a `messageId` for at least 24 hours; a replay of older events stores them there once more.",
    ),
)

_ENVELOPE: Final = b'{"batch":[%s]}'
_BATCH_BYTES: Final = BATCH_BYTES_MAX - 1024  # room for the envelope
_DELETED_MAX: Final = 5_000  # Segment Public API, regulations: ids of a request
_BAD_REQUEST: Final = 400
_TOO_LARGE: Final = 413
# What the sending server knows of an event's arrival means nothing to the receiver, which stamps its own.
_OURS: Final = frozenset({"receivedAt", "sentAt", "originalTimestamp", "writeKey", "projectId"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    write_key: str = field(repr=False, metadata=setting("Write key", "Of the source that receives.", secret=True))
    url: str = field(
        default="https://api.segment.io",
        metadata=setting(
            "Base URL",
            "https://api.segment.io, https://events.eu1.segmentapis.com, or another Headwater.",
            required=False,
        ),
    )
    public_api_token: str = field(
        default="",
        repr=False,
        metadata=setting(
            "Public API token", "Of the workspace that receives, for deleting people.", secret=True, required=False
        ),
    )
    public_api_url: str = field(
        default="https://api.segmentapis.com",
        metadata=setting(
            "Public API URL",
            "https://api.segmentapis.com, https://eu1.api.segmentapis.com, or another Headwater's with /api.",
            required=False,
        ),
    )


class Destination:
    """Posts batches to `/v1/batch`."""

    batch_max: ClassVar[int] = 100

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.write_key or not settings.url:
            raise ConfigError("The write key and the base URL must not be empty.")
        self._settings = settings
        self._url, self._http = f"{settings.url.rstrip('/')}/v1/batch", room.http
        token = base64.b64encode(f"{settings.write_key}:".encode()).decode()
        self._headers = {"authorization": f"Basic {token}", "content-type": "application/json"}

    async def check(self) -> None:
        """Send an empty batch; Segment itself accepts unknown keys, so only the address is proven there.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the key is refused, or nothing speaks the API there.
        """
        answer = await self._post([])
        match meaning(answer):
            case Unauthorized():
                raise UnauthorizedError("The write key is refused; copy it again from the receiving source.")
            case Retry(reason):
                raise RetryableError(f"The receiver does not work at the moment ({reason}); try again later.")
            case Discarded(reason) if answer.status not in {_BAD_REQUEST, _TOO_LARGE}:
                raise DeliveryError(f"Nothing speaks Segment's HTTP API at this base URL ({reason}).")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send up to 100 events, in as many requests as the limits of size need."""
        bodies = [payload(event) for event in events]
        outcomes: list[Outcome] = [Discarded("The event is larger than 32 KB.")] * len(events)
        fitting = [place for place, body in enumerate(bodies) if len(body) <= EVENT_BYTES_MAX]
        sizes = [len(bodies[place]) + 1 for place in fitting]  # with a comma each
        for chosen in requests(sizes, count_max=self.batch_max, bytes_max=_BATCH_BYTES):
            places = [fitting[each] for each in chosen]
            ends = await divided([bodies[place] for place in places], self._deliver, is_spoilt)
            for place, outcome in zip(places, ends, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def erase(self, person: Person) -> None:
        """Make a regulation that deletes users by user id there; needs a token of the Public API.

        Source: Segment Public API, Create Workspace Regulation: it takes user ids only.
        """
        token, base = self._settings.public_api_token.strip(), self._settings.public_api_url.rstrip("/")
        if not token or not base:
            raise UnsupportedError("Fill in a Public API token in the settings, or delete the person in Segment.")
        if not person.user_ids:
            raise UnsupportedError("Segment deletes by user id only; delete the person there.")
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        listed = sorted(person.user_ids)
        for start in range(0, len(listed), _DELETED_MAX):
            some = listed[start : start + _DELETED_MAX]
            wanted = {"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": some}
            answer = await self._http.request(
                "POST", f"{base}/regulations", body=msgspec.json.encode(wanted), headers=headers
            )
            settle_erasure(answer, "Segment", unknown=())

    async def _deliver(self, bodies: Sequence[bytes]) -> list[Outcome]:
        try:
            answer = await self._post(bodies)
        except RetryableError as error:
            # Other parts of the batch may be out already, so it is these events' outcome and not the batch's.
            return [Retry(str(error), after_s=error.after_s)] * len(bodies)
        outcome = meaning(answer)
        return _per_item(answer, len(bodies)) if isinstance(outcome, Delivered) else [outcome] * len(bodies)

    async def _post(self, bodies: Sequence[bytes]) -> Answer:
        return await self._http.request("POST", self._url, body=_ENVELOPE % b",".join(bodies), headers=self._headers)


def payload(event: Event) -> bytes:
    """Return the event as the receiver gets it, as JSON."""
    body: Body = {key: value for key, value in event.body.items() if key not in _OURS}
    chosen = body.get("integrations")
    if isinstance(chosen, dict):
        # These two were said to us; the other names may be the receiver's.
        body["integrations"] = {name: wish for name, wish in chosen.items() if name not in {"All", CARD.name}}
    return msgspec.json.encode(body)


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means; Segment tells of a wrong key with 400."""
    outcome = outcome_of(answer)
    if answer.status == _BAD_REQUEST and b"write key" in answer.body.lower():
        return Unauthorized("HTTP 400: invalid write key", answer.status)
    return outcome


def _per_item(answer: Answer, count: int) -> list[Outcome]:
    """Return an outcome an event: a Headwater lists what it rejected, with the discard code."""
    outcomes: list[Outcome] = [Delivered(answer.status)] * count
    for index, code in _rejected(answer.body):
        if 0 <= index < count:
            outcomes[index] = Discarded(f"The receiver rejected the event: {code}", answer.status)
    return outcomes


def _rejected(body: bytes) -> list[tuple[int, str]]:
    try:
        return [(int(item["index"]), str(item["code"])) for item in told(body)["rejected"]]
    except (KeyError, TypeError, ValueError):
        return []
