"""Where one event went: what each warehouse and destination has done with it, as far as their cursors tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headwater.control.models import Source
from headwater.errors import LogUnavailableError
from headwater.web import standing
from headwater.web.visit import Visit

_LETTERS_MAX = 200  # the newest dead letters of a destination that are looked through


@dataclass(frozen=True, slots=True)
class Stop:
    """One warehouse or destination: what it did, in a word, and its colour."""

    name: str
    note: str
    label: str
    kind: str
    address: str


async def of(visit: Visit, source: Source, seq: int, message_id: str) -> list[Stop]:
    """Return the stops of the event with this sequence, warehouses first."""
    control, pipeline = visit.desk.control, visit.desk.pipeline
    warehouses = await asyncio.to_thread(control.warehouses.all, visit.workspace.id)
    destinations = await asyncio.to_thread(control.destinations.all, visit.workspace.id, source.id)
    loaded = {each["warehouseId"]: each for each in await standing.asked(pipeline.warehouses(), "warehouses") or []}
    connections = await standing.connections(visit.desk)
    stops = [
        _in_warehouse(each.name, loaded.get(each.id), seq, visit.path("warehouse", each.id))
        for each in warehouses
        if source.id in each.source_ids
    ]
    for each in destinations:
        letter = await _dead_letter(visit, each.id, message_id)
        address = visit.path("destinations", each.id)
        stops.append(_at_destination(each.name, connections.get(each.id), letter, seq, address))
    return stops


def _in_warehouse(name: str, warehouse: Mapping[str, Any] | None, seq: int, address: str) -> Stop:
    if warehouse is None:
        return Stop(name, "", standing.UNREACHABLE.label, "", address)
    if (warehouse["cursor"] or 0) > seq:
        return Stop(name, "", "Loaded", "ok", address)
    return Stop(name, "with the next sync", "Queued", "", address)


def _at_destination(
    name: str, connection: Mapping[str, Any] | None, letter: Mapping[str, Any] | None, seq: int, address: str
) -> Stop:
    if letter is not None:
        return Stop(name, str(letter["reason"]), "Failed", "bad", address)
    if connection is None:
        return Stop(name, "", standing.UNREACHABLE.label, "", address)
    if connection["cursor"] <= seq:
        note = "paused" if connection["state"] == "paused" else "waiting for its turn"
        return Stop(name, note, "Queued", "", address)
    # The pipeline keeps rows only for what is not finished, so among retries a single event cannot be told apart.
    if connection["retrying"]:
        return Stop(name, f"{connection['retrying']:,} of this destination wait for a retry", "Processed", "", address)
    if any(connection["filtered"].values()):
        return Stop(name, "delivered, unless its filters kept it back", "Processed", "ok", address)
    return Stop(name, "", "Delivered", "ok", address)


async def _dead_letter(visit: Visit, destination_id: str, message_id: str) -> Mapping[str, Any] | None:
    try:
        found = await visit.desk.pipeline.dead_letters(destination_id, None, _LETTERS_MAX)
    except LogUnavailableError:
        return None
    return next((each for each in found["deadLetters"] if each["messageId"] == message_id), None)
