"""What of a source reaches one connection: decided while reading, before an attempt, from the event alone.

In this order: suppressed, enabled, blocked at the source, `integrations`, the type of call, destination filters.
Source: Segment, integrations object; Destination Filters (unsupported types are checked before filters).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from headwater.delivery.connection import Connection
from headwater.delivery.filters import Filters
from headwater.delivery.selection import NOT_SELECTED, Selection
from headwater.destinations.contract import Card
from headwater.privacy.suppression import Suppressed, nobody
from headwater.protocols.gate import Gates
from headwater.spec.event import Event
from headwater.spec.tombstone import is_tombstone

FILTERED_BY_INTEGRATIONS: Final = "FILTERED_BY_INTEGRATIONS_OBJECT"  # Segment's code
UNSUPPORTED_EVENT_TYPE: Final = "UNSUPPORTED_EVENT_TYPE"  # Segment's code
DESTINATION_DISABLED: Final = "DESTINATION_DISABLED"  # ours
SUPPRESSED: Final = "SUPPRESSED"  # ours: the person may not be handed on
ERASED: Final = "ERASED"  # ours: nothing is left of it

Screened = Callable[[Event], Event | str]
"""Returns the event as it is to be sent, or the reason why it is not."""


class Screen:
    """Decides for one connection; holds no state, so that a repeated read decides the same."""

    def __init__(
        self, connection: Connection, card: Card, suppressed: Suppressed = nobody, gates: Gates | None = None
    ) -> None:
        """Read the connection's filters."""
        self._suppressed, self._gates = suppressed, gates or Gates()
        self._is_enabled, self._card = connection.enabled, card
        self._calls = frozenset[str](card.calls)
        self._filters = Filters(connection.filters)

    def __call__(self, event: Event) -> Event | str:
        """Return the event as it is to be sent, or the reason why it is not."""
        if withheld := self.withheld(event):
            return withheld
        if not self._is_enabled:
            return DESTINATION_DISABLED
        held = self._held(event)
        if isinstance(held, str):
            return held
        event = held
        chosen = event.body.get("integrations")
        if chosen and isinstance(chosen, dict) and not _is_chosen(chosen, self._card.name):
            return FILTERED_BY_INTEGRATIONS
        return self._supported(event)

    def withheld(self, event: Event) -> str:
        """Return why an event may not be sent any more, whatever was decided when it was read; "" if it may."""
        if is_tombstone(event.line):
            return ERASED
        return SUPPRESSED if self._suppressed(event.source_id, event.body) else ""

    def again(self, selection: Selection) -> Screened:
        """Return the screen for a replay: of what was selected, as meant for this destination only.

        The event's own `integrations` is rewritten and no longer asked; ids and times stay, filters apply.

        Source: Segment, what is replay.
        """

        def decide(event: Event) -> Event | str:
            if not selection.has(event):
                return NOT_SELECTED
            if withheld := self.withheld(event):
                return withheld
            held = self._held(event)
            if isinstance(held, str):
                return held
            body = {**held.body, "integrations": {"All": False, self._card.name: True}}
            return self._supported(dataclasses.replace(event, line=msgspec.json.encode(body), body=body))

        return decide

    def _held(self, event: Event) -> Event | str:
        """Return the event as its source lets it go on, or why the source blocks it."""
        gate = self._gates.present.get(event.source_id)
        if gate is None:
            return event
        verdict = gate(event.body)
        if verdict.body is None:
            return str(verdict.code)
        if verdict.body is event.body:
            return event
        return dataclasses.replace(event, line=msgspec.json.encode(verdict.body), body=verdict.body)

    def _supported(self, event: Event) -> Event | str:
        return self._filters(event) if event.type in self._calls else UNSUPPORTED_EVENT_TYPE


def _is_chosen(integrations: Mapping[str, Any], name: str) -> bool:
    # A name beats `All`; options, also empty ones, count as enabled.
    return integrations.get(name, integrations.get("All", True)) is not False
