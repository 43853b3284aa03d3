"""A destination with what a user put before it: a mapping's trigger, insert functions, the mapping's fields.

In this order for each event: the first mapping whose trigger is true is chosen, the functions run one after the
other, the mapping's fields are set, the rest is the destination's own. Source: Segment, Destination Insert Functions
(the trigger is asked before the function runs).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from headwater import fql
from headwater.delivery.connection import Connection, FieldMapping
from headwater.destinations.contract import Destination, Discarded, Http, Outcome, Retry, Room, Skipped
from headwater.errors import ConfigError, DeliveryError, InvalidRequestError, RetryableError, UnauthorizedError
from headwater.functions.contract import Ended, Function, Runtime
from headwater.mapping import MappingError, MissingFieldError, compile_fields
from headwater.spec.event import Body, Event

NO_MATCHING_MAPPING: Final = "NO_MATCHING_MAPPING"  # Segment's code
FILTERED_AT_MAPPING: Final = "FILTERED_AT_MAPPING"  # Segment's code
FILTERED_BY_FUNCTION: Final = "FILTERED_BY_FUNCTION"  # ours: a function threw `DropEvent`
UNSUPPORTED_BY_FUNCTION: Final = "UNSUPPORTED_BY_FUNCTION"  # ours: it has no handler, or threw `EventNotSupported`

_KEPT: Final = ("messageId", "type", "receivedAt", "sentAt", "originalTimestamp")
"""What a function cannot change: an event stays the event that was counted and is recognised by its id."""


@dataclass(frozen=True, slots=True)
class _Mapping:
    trigger: fql.Condition
    apply: Callable[[Body], Body]


def prepared(destination: Destination, connection: Connection, room: Room) -> Destination:
    """Return a connection's destination with what stands before it; the bare one when nothing does.

    Raises:
        ConfigError: a mapping cannot be read.
    """
    mappings = [mapping for mapping in connection.mappings if mapping.enabled]
    if not mappings and not connection.inserts:
        return destination
    return Prepared(destination, mappings, connection.inserts, room.runtime, room.http)


class Prepared:
    """Implements `contract.Destination`: what is left of a batch goes to the destination behind it in one call."""

    def __init__(
        self,
        destination: Destination,
        mappings: Sequence[FieldMapping],
        inserts: Sequence[Function],
        runtime: Runtime | None,
        http: Http,
    ) -> None:
        """Read the mappings; see `prepared`."""
        self._destination, self._inserts, self._runtime, self._http = destination, tuple(inserts), runtime, http
        self._mappings = [_compiled(mapping) for mapping in mappings if mapping.enabled]

    @property
    def batch_max(self) -> int:
        """As the destination behind it."""
        return self._destination.batch_max

    async def check(self) -> None:
        """Try the destination behind it."""
        await self._destination.check()

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """See `contract.Destination`; an event that is held back here is not part of the call."""
        chosen = [_chosen(self._mappings, event.body) for event in events]
        turned: list[Event | Outcome] = [
            event if mapping is not None or not self._mappings else Skipped(NO_MATCHING_MAPPING)
            for event, mapping in zip(events, chosen, strict=True)
        ]
        for function in self._inserts:
            turned = await self._inserted(function, turned)
        turned = [_mapped(mapping, each) for mapping, each in zip(chosen, turned, strict=True)]
        left = [each for each in turned if isinstance(each, Event)]
        sent = iter(await self._sent(left) if left else ())
        return [next(sent) if isinstance(each, Event) else each for each in turned]

    async def _inserted(self, function: Function, turned: Sequence[Event | Outcome]) -> list[Event | Outcome]:
        bodies = [each.body for each in turned if isinstance(each, Event)]
        if not bodies:
            return list(turned)
        if self._runtime is None:
            raise RetryableError("Functions cannot run here; start Headwater with them.")
        try:
            ends = iter(await self._runtime.run(function, "onEvent", bodies, self._http))
        except ConfigError as error:
            raise RetryableError(f"The function {function.name} cannot be read: {error}") from error
        return [_after(function, each, next(ends)) if isinstance(each, Event) else each for each in turned]

    async def _sent(self, events: Sequence[Event]) -> list[Outcome]:
        try:
            outcomes = await self._destination.send(events)
        except (RetryableError, UnauthorizedError):
            raise  # nothing was sent, and what is skipped will be skipped again
        except DeliveryError as error:
            return [Discarded(str(error))] * len(events)
        if len(outcomes) != len(events):
            raise ValueError(f"{len(outcomes)} outcomes for {len(events)} events")
        return outcomes


def _compiled(mapping: FieldMapping) -> _Mapping:
    try:
        return _Mapping(fql.parse(mapping.trigger), compile_fields(mapping.fields))
    except InvalidRequestError as error:
        raise ConfigError(f"The mapping {mapping.name!r} cannot be read; correct it: {error}") from error


def _chosen(mappings: Sequence[_Mapping], body: Body) -> _Mapping | None:
    try:
        return next((mapping for mapping in mappings if mapping.trigger(body)), None)
    except fql.EvaluationError:  # undecided is not sent
        return None


def _mapped(mapping: _Mapping | None, each: Event | Outcome) -> Event | Outcome:
    if mapping is None or not isinstance(each, Event):
        return each
    try:
        return _with(each, mapping.apply(each.body))
    except MissingFieldError:
        return Skipped(FILTERED_AT_MAPPING)
    except MappingError as error:
        return Discarded(str(error))


def _after(function: Function, event: Event, ended: Ended) -> Event | Outcome:
    """Return the event as a function left it, or what its end means."""
    match ended.kind:
        case "sent" if isinstance(ended.value, Mapping):
            return _with(event, {**ended.value, **{name: event.body[name] for name in _KEPT if name in event.body}})
        case "sent":
            return Discarded(f"The function {function.name} returned no event; end each handler with `return event`.")
        case "dropped":
            return Skipped(FILTERED_BY_FUNCTION)
        case "unsupported":
            return Skipped(UNSUPPORTED_BY_FUNCTION)
        case "retry":
            return Retry(f"The function {function.name} asks for a retry.", answer=ended.message)
        case "failed":
            return Discarded(f"The function {function.name} failed.", answer=ended.message)


def _with(event: Event, body: dict[str, Any]) -> Event:
    return event if body is event.body else dataclasses.replace(event, line=msgspec.json.encode(body), body=body)
