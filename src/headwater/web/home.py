"""The start page: how everything does, and what needs somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Destination, WarehouseEntry
from headwater.web import accounts, sources, standing
from headwater.web.visit import Desk, Visit, page

_FAILURES_BAD: Final = 5  # Segment tells of the fifth failure in a row


def routes(desk: Desk) -> list[Route]:
    """Return the route of the start page."""
    return [Route("/{workspace}", page(desk, _home))]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that needs a person, and where to see to it."""

    kind: str
    text: str
    link: str
    address: str


async def _home(visit: Visit) -> Response:
    control, pipeline = visit.desk.control, visit.desk.pipeline
    rows = await asyncio.to_thread(sources.rows, visit)
    destinations = await asyncio.to_thread(control.destinations.all, visit.workspace.id)
    warehouses = await asyncio.to_thread(control.warehouses.all, visit.workspace.id)
    connections, loaded, of_accounts = await asyncio.gather(
        standing.asked(pipeline.connections(), "connections"),
        standing.asked(pipeline.warehouses(), "warehouses"),
        _of_accounts(visit),
    )
    by_id = {each["destinationId"]: each for each in connections or []}
    stands = {each["warehouseId"]: each for each in loaded or []}
    mine = [by_id[each.id] for each in destinations if each.id in by_id]
    alarms = _unreachable(visit, connections) + _of_destinations(visit, destinations, by_id)
    return visit.page(
        "home.html",
        rows=rows,
        received=sum(row.received for row in rows),
        delivered=sum(each["deliveredFirstTry"] + each["deliveredOnRetry"] for each in mine),
        loaded=sum(stands[each.id]["totals"]["events"] for each in warehouses if each.id in stands),
        alarms=alarms + of_accounts + _of_warehouses(visit, warehouses, stands),
        destinations=[
            {
                "entry": each,
                "state": standing.of_connection(by_id.get(each.id), enabled=each.enabled),
                "note": standing.note_of_connection(by_id.get(each.id)),
            }
            for each in destinations
        ],
        warehouses=[
            {
                "entry": each,
                "state": standing.of_warehouse(stands.get(each.id), enabled=each.enabled),
                "at": stands.get(each.id),
            }
            for each in warehouses
        ],
        as_of=visit.desk.clock(),
    )


def _unreachable(visit: Visit, connections: list[dict[str, Any]] | None) -> list[Alarm]:
    if connections is not None:
        return []
    text = "The pipeline does not answer: nothing is delivered or loaded now. What arrives is kept safe in the log."
    return [Alarm("bad", text, "Look again", visit.path())]


def _of_destinations(
    visit: Visit, destinations: Sequence[Destination], connections: Mapping[str, Mapping[str, Any]]
) -> list[Alarm]:
    alarms = []
    for each in destinations:
        connection = connections.get(each.id)
        address = visit.path("destinations", each.id)
        if connection and connection["state"] == "paused":
            text = f"{each.name} is paused and keeps its events: {connection['reason']}"
            alarms.append(Alarm("bad", text, "Open", address))
        elif connection and connection["dead"]:
            text = f"{each.name} could not take {connection['dead']:,} of its events. They are kept and can be retried."
            alarms.append(Alarm("warn", text, "See why", visit.path("destinations", each.id, "errors")))
    return alarms


async def _of_accounts(visit: Visit) -> list[Alarm]:
    return [Alarm("bad", text, "Open", address) for text, address in await accounts.alarms(visit)]


def _of_warehouses(
    visit: Visit, warehouses: Sequence[WarehouseEntry], stands: Mapping[str, Mapping[str, Any]]
) -> list[Alarm]:
    """Return what is wrong with warehouses; a single failure passes by itself most of the time, and is a warning."""
    alarms = []
    for each in warehouses:
        at = stands.get(each.id)
        if at and each.enabled and at["lastError"]:
            kind = "bad" if at.get("failures", 1) >= _FAILURES_BAD else "warn"
            text = f"{each.name} could not be loaded: {at['lastError']}"
            alarms.append(Alarm(kind, text, "Open", visit.path("warehouse", each.id)))
    return alarms
