"""The checklist of a source. A step is done because the database says so, never because somebody clicked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headwater.control.accounts import TYPE
from headwater.control.models import AccountEntry, Source
from headwater.control.volume import LastEvent
from headwater.web import standing
from headwater.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `next` is the first that is open."""

    label: str
    done: bool
    hint: str = ""
    address: str = ""
    link: str = ""
    next: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """The checklist of a source."""

    all: tuple[Step, ...]

    @property
    def done(self) -> int:
        """How many are done."""
        return sum(step.done for step in self.all)

    @property
    def open(self) -> bool:
        """Whether something is left to do."""
        return self.done < len(self.all)


async def of(
    visit: Visit,
    source: Source,
    account: AccountEntry | None,
    last: LastEvent | None,
    connections: Sequence[Mapping[str, Any] | None],
) -> Steps:
    """Return the checklist of a source.

    Args:
        visit: in whose workspace.
        source: whose.
        account: what is connected to it.
        last: its newest event.
        connections: what the pipeline says of each of its destinations.
    """
    delivered = any(each and each["deliveredFirstTry"] + each["deliveredOnRetry"] > 0 for each in connections)
    found = (
        Step("Create the source", done=True),
        _first_event(visit, source, account, last),
        Step(
            "Find it in the warehouse",
            last is not None and await _loaded(visit, source, last),
            "It is loaded within seconds of its arrival.",
            visit.path("sql"),
            "Ask it in SQL",
        ),
        Step(
            "Add a destination",
            bool(connections),
            "Send these events on, to any tool.",
            visit.path("destinations", "catalog", source=source.slug),
            "Choose one",
        ),
        Step("Deliver the first event", delivered, "New events go to the destination as they arrive."),
    )
    first = next((position for position, step in enumerate(found) if not step.done), -1)
    return Steps(tuple(replace(step, next=position == first) for position, step in enumerate(found)))


def _first_event(visit: Visit, source: Source, account: AccountEntry | None, last: LastEvent | None) -> Step:
    label, done = "Receive the first event", last is not None
    debugger = visit.path("sources", source.slug, "debugger")
    if source.webhook_secret and source.type != TYPE:
        return Step(label, done, "Post to the address on this page.", debugger, "Watch it")
    if source.webhook_secret and account is None:
        return Step(
            label, done, "Connect your ActiveCampaign account.", visit.path("apps", "activecampaign"), "Connect"
        )
    how = (
        "Send a campaign to yourself and open it."
        if account
        else "Send a call with the write key, from a library or from a terminal."
    )
    return Step(label, done, how, debugger, "Watch it")


async def _loaded(visit: Visit, source: Source, last: LastEvent) -> bool:
    """Return whether a warehouse holds rows of this source."""
    pipeline = visit.desk.pipeline
    entries = await asyncio.to_thread(visit.desk.control.warehouses.all, visit.workspace.id)
    mine = [each.id for each in entries if source.id in each.source_ids]
    warehouses = await standing.asked(pipeline.warehouses(), "warehouses")
    if any((each["cursor"] or 0) > last.seq for each in warehouses or [] if each["warehouseId"] in mine):
        return True
    syncs = await standing.asked(pipeline.syncs(among=mine), "syncs")
    return any(table.startswith(f"{source.schema_name}.") for run in syncs or [] for table in run["rows"])
