"""Function: each event goes to JavaScript of your own, which sends it wherever it likes.

The code has a handler for each call it wants, as Segment's destination functions have: `onTrack(event, settings)` and
so on, and `onBatch(events, settings)` where it takes several at a time.

Source: Segment documentation, Destination Functions (handlers, errors, batches and their statuses).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from headwater.destinations.contract import Card, Delivered, Discarded, Outcome, Retry, Room, Rule, Skipped, setting
from headwater.errors import ConfigError, DeliveryError, UnauthorizedError
from headwater.functions.contract import Ended, Function
from headwater.spec.event import Call, Event

_HANDLERS: Final = {call: f"on{call.capitalize()}" for call in Call}
_BATCH: Final = "onBatch"
_BATCH_MAX: Final = 20  # Segment: events of one call of onBatch
_AGAIN: Final = frozenset({408, 425, 429})
_STATUS_MAX: Final = 999  # RFC 9110: three digits
_REASON_CHARS_MAX: Final = 500  # ours: as of any other error of a function

CARD = Card(
    name="Function",
    description="Runs JavaScript of your own for each event; written like Segment's destination functions.",
    categories=("Custom", "Developer tools"),
    api="https://segment.com/docs/connections/functions/destination-functions/",
    mapping=(
        *(Rule(call.value, "the whole event", f"`{handler}(event, settings)`") for call, handler in _HANDLERS.items()),
        Rule("all calls", "up to 20 events", f"`{_BATCH}(events, settings)`", "Where the function has it."),
    ),
    notes=(
        "A call without a handler, and one that ends with `EventNotSupported`, is counted as filtered.",
        "`DropEvent` filters the event; `RetryError`, a request without an answer and too slow a handler mean a retry.",
        "Any other error makes the event a dead letter, with the error's message and line.",
        f"`{_BATCH}` may return a list of `{{status, errormessage}}`, one an event.",
        "Of these, 408, 425, 429 and 5xx mean a retry, other statuses from 400 on a dead letter, the rest delivered.",
        "An event may come more than once; its `messageId` is the same then.",
        "What functions may use, and their limits, stands in the chapter about functions.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    function: str = field(
        metadata=setting("Function", "The id of a destination function; `headwater functions` makes and lists them.")
    )
    settings: Mapping[str, str] = field(
        default_factory=dict,
        repr=False,
        metadata=setting(
            "Settings", "What the function gets as its second argument, by name.", secret=True, required=False
        ),
    )


class Destination:
    """Hands events to the function; what it does with them is its own matter."""

    def __init__(self, settings: Settings, room: Room) -> None:
        self._http, self._runtime = room.http, room.runtime
        found = room.functions.get(settings.function)
        self._function = replace(found, settings={**found.settings, **settings.settings}) if found else None

    @property
    def batch_max(self) -> int:
        """As many as `onBatch` takes; one where the code does not name it."""
        return _BATCH_MAX if self._function and _BATCH in self._function.code else 1

    async def check(self) -> None:
        """Read the code and look for a handler; run none.

        Raises:
            DeliveryError: it cannot be read, or handles nothing.
            RetryableError: no process can be had now.
        """
        function, runtime = self._ready()
        try:
            found = await runtime.handlers(function)
        except ConfigError as error:
            raise DeliveryError(str(error)) from error
        if not found & {*_HANDLERS.values(), _BATCH}:
            raise DeliveryError(f"The function has no handler; it needs one such as {_HANDLERS[Call.TRACK]}.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Call the handlers.

        Raises:
            UnauthorizedError: the function is gone or cannot be read; the events wait until that is mended.
            RetryableError: no process can be had now.
        """
        function, runtime = self._ready()
        bodies = [event.body for event in events]
        try:
            if len(bodies) > 1 and _BATCH in await runtime.handlers(function):
                [ended] = await runtime.run(function, _BATCH, [bodies], self._http)
                return _of_batch(ended, len(bodies))
            return [_outcome(ended) for ended in await runtime.run(function, "onEvent", bodies, self._http)]
        except ConfigError as error:
            raise UnauthorizedError(f"{error} Mend the function; its events are kept.") from error

    def _ready(self) -> tuple[Function, Any]:
        if self._function is None:
            raise UnauthorizedError("The function does not exist in this workspace; choose another one.")
        if self._runtime is None:
            raise DeliveryError("Functions cannot be run here.")
        return self._function, self._runtime


def _outcome(ended: Ended) -> Outcome:
    answer = "\n".join(ended.log)
    match ended.kind:
        case "sent":
            return Delivered()
        case "dropped":
            return Skipped("FILTERED_BY_FUNCTION")
        case "unsupported":
            return Skipped("UNSUPPORTED_EVENT_TYPE")
        case "retry":
            return Retry(ended.message, answer=answer)
        case _:
            return Discarded(ended.message, answer=answer)


def _of_batch(ended: Ended, count: int) -> list[Outcome]:
    """Return an outcome an event: by the statuses that the handler returned, else all like the call itself."""
    if ended.kind != "sent" or not isinstance(ended.value, list):
        return [_outcome(ended)] * count
    told = [*ended.value[:count], *[None] * (count - len(ended.value))]
    return [_by_status(each) for each in told]


def _by_status(told: Any) -> Outcome:
    status = told.get("status") if isinstance(told, Mapping) else None
    if not isinstance(status, int) or status < 400:  # noqa: PLR2004 - where errors begin in RFC 9110
        return Delivered()
    reason = str(told.get("errormessage") or f"The function answered {status}.")[:_REASON_CHARS_MAX]
    shown = status if status <= _STATUS_MAX else None
    if status in _AGAIN or status >= 500:  # noqa: PLR2004 - likewise
        return Retry(reason, shown)
    return Discarded(reason, shown)
