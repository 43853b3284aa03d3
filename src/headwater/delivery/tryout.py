"""Try a destination out: one event all the way, with each request and its answer. Nothing is counted or repeated."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import msgspec

from headwater.delivery.advice import advice
from headwater.delivery.attempt import Sender
from headwater.delivery.connection import Connection
from headwater.delivery.fate import Item
from headwater.delivery.masking import Mask, mask_of
from headwater.delivery.prepared import prepared
from headwater.delivery.screen import Screen
from headwater.delivery.turns import Turns
from headwater.destinations.contract import (
    Card,
    Delivered,
    Destination,
    Discarded,
    Http,
    Outcome,
    Retry,
    Room,
    Skipped,
    Unauthorized,
)
from headwater.errors import ConfigError, HeadwaterError, InvalidEventError, InvalidRequestError
from headwater.functions.contract import Ended, Function, Runtime
from headwater.outgoing import Answer
from headwater.spec.event import Body, Event
from headwater.spec.stamp import Arrival, stamp

EXCHANGES_MAX: Final = 20  # ours: requests of one try that are shown
SHOWN_CHARS: Final = 16_000  # ours: of a request or an answer
SAMPLE_PREFIX: Final = "headwater-sample-"

FILTERED: Final = "filtered"
_NAMES: Final[Mapping[type[object], str]] = {
    Delivered: "delivered",
    Retry: "retry",
    Discarded: "discarded",
    Unauthorized: "unauthorized",
    Skipped: "skipped",
}

Builder = Callable[[str, Mapping[str, Any], Room], tuple[Card, Destination]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back.

    Attributes:
        url: without query; secrets are masked, here and in both bodies.
        status: None when no answer came; `answer` says why.
    """

    method: str
    url: str
    request: str
    status: int | None
    answer: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended.

    Attributes:
        outcome: delivered, retry, discarded, unauthorized, skipped (the destination, a mapping or a function has
            nothing to do with it) or filtered (it does not get that far).
        sent: the event as the destination got it, after filters, functions and mapping; None when it did not.
        advice: the next step, "" when it was delivered.
    """

    outcome: str
    reason: str = ""
    status: int | None = None
    sent: Body | None = None
    advice: str = ""
    exchanges: Sequence[Exchange] = ()


async def tried(
    connection: Connection, event: Mapping[str, Any], room: Room, build: Builder, moment: datetime, *, as_is: bool
) -> Tried:
    """Send one event as a connection would.

    Args:
        connection: whose settings, filters, mappings and functions.
        event: a call as it would be sent to the Tracking API; what is missing is added. A sample gets an id and
            times of its own, so that services which recognise repeats take it every time.
        room: the connection's.
        build: makes the destination.
        moment: now.
        as_is: past filters, mappings and functions.

    Raises:
        ConfigError: the settings cannot be used.
        InvalidRequestError: it is no event; `field` is `event` or a member of it.
    """
    mask = mask_of(connection)
    watch = WatchedHttp(room.http, mask)
    room = dataclasses.replace(room, http=watch)
    card, destination = build(connection.type, connection.settings, room)
    found = _stamped(event, connection.source_id, moment)
    if not as_is:
        screened = Screen(dataclasses.replace(connection, enabled=True), card)(found)
        if isinstance(screened, str):
            return Tried(FILTERED, screened, advice=advice(screened, None))
        found = screened
    heard = _Overheard(destination)
    errors: list[BaseException] = []
    whole = heard if as_is else prepared(heard, connection, room)
    (attempt,) = await Sender(whole, Turns(1), errors.append, mask=mask).attempt([Item(0, found)])
    return _told(attempt.outcome, mask.value(heard.sent), watch)


async def function_tried(
    runtime: Runtime | None, http: Http, kind: str, code: str, settings: Mapping[str, Any], event: Mapping[str, Any]
) -> Ended:
    """Run a function once and return how it ended.

    Args:
        runtime: what runs functions.
        http: what its `fetch` goes through.
        kind: `source` for one that turns requests into events; `destination` or `insert` for one that gets events.
        code: JavaScript.
        settings: what the code gets beside the event.
        event: the event, or the request of a source.

    Raises:
        ConfigError: functions cannot run here, or the code cannot be read.
        RetryableError: no process can be had now.
    """
    if runtime is None:
        raise ConfigError("Functions cannot run here.")
    handler = "onRequest" if kind == "source" else "onEvent"
    (ended,) = await runtime.run(Function(f"try-{uuid4()}", "try", code, settings), handler, [dict(event)], http)
    return ended


class WatchedHttp:
    """`outgoing.Http` that notes each exchange, without headers, queries and secrets."""

    def __init__(self, http: Http, mask: Mask) -> None:
        """Take the client and what masks secrets."""
        self.exchanges: list[Exchange] = []
        self._http, self._mask = http, mask

    async def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request as the client below does."""
        began = time.monotonic()
        try:
            answer = await self._http.request(method, url, body=body, headers=headers)
        except HeadwaterError as error:
            self._note(method, url, body, None, str(error), began)
            raise
        self._note(method, url, body, answer.status, _text(answer.body), began)
        return answer

    def _note(self, method: str, url: str, body: bytes, status: int | None, answer: str, began: float) -> None:
        if len(self.exchanges) < EXCHANGES_MAX:
            shown = self._mask(url.partition("?")[0].partition("#")[0])
            took_ms = round((time.monotonic() - began) * 1000)
            exchange = Exchange(method, shown, self._mask(_text(body)), status, self._mask(answer), took_ms)
            self.exchanges.append(exchange)


@dataclass(slots=True)
class _Overheard:
    """A destination that keeps what it is given."""

    destination: Destination
    sent: Body | None = field(default=None)

    @property
    def batch_max(self) -> int:
        return self.destination.batch_max

    async def check(self) -> None:
        await self.destination.check()

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        self.sent = events[0].body
        return await self.destination.send(events)


def _text(body: bytes) -> str:
    return body[:SHOWN_CHARS].decode("utf-8", "replace")


def _stamped(event: Mapping[str, Any], source_id: str, moment: datetime) -> Event:
    """Return a call as the log would keep it."""
    body = dict(event)
    if str(body.get("messageId", SAMPLE_PREFIX)).startswith(SAMPLE_PREFIX):
        for member in ("messageId", "timestamp", "originalTimestamp", "sentAt"):
            body.pop(member, None)
    try:
        record = stamp(body.get("type"), body, Arrival(moment, lambda: f"headwater-test-{uuid4()}"))
    except InvalidEventError as error:
        raise InvalidRequestError(str(error), field=f"event.{error.field}" if error.field else "event") from error
    return Event(0, source_id, record.line, msgspec.json.decode(record.line))


def _told(outcome: object, sent: Body | None, watch: WatchedHttp) -> Tried:
    reason, status = getattr(outcome, "reason", ""), getattr(outcome, "status", None)
    is_well = isinstance(outcome, Delivered)
    return Tried(
        outcome=_NAMES.get(type(outcome), "retry"),
        reason=reason,
        status=status,
        sent=sent,
        advice="" if is_well else advice(reason, status),
        exchanges=tuple(watch.exchanges),
    )
