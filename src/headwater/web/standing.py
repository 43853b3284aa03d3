"""How things stand, in the words and colours of the pages: sources, connections, warehouses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.control.models import Source
from headwater.control.volume import LastEvent
from headwater.errors import LogUnavailableError
from headwater.web.visit import Desk


@dataclass(frozen=True, slots=True)
class State:
    """A word and its colour: "ok", "warn", "bad" or ""."""

    label: str
    kind: str


ANSWER_S: Final = 5.0  # ours: a page does not wait longer for what another role says
UNREACHABLE: Final = State("Unknown", "")


def of_source(source: Source, last: LastEvent | None) -> State:
    """Return a source's state; one that never received anything is not yet healthy."""
    if not source.enabled:
        return State("Disabled", "")
    if not source.region_allowed:
        return State("Wrong region", "bad")
    return State("Waiting for data", "warn") if last is None else State("Enabled", "ok")


def of_connection(connection: Mapping[str, Any] | None, *, enabled: bool) -> State:
    """Return a destination's state from what the pipeline says of its connection, None when it says nothing."""
    if not enabled:
        return State("Disabled", "")
    if connection is None:
        return UNREACHABLE
    if connection["state"] == "paused":
        return State("Paused", "bad")
    if connection["retrying"]:
        return State("Retrying", "warn")
    return State("Healthy", "ok")


def note_of_connection(connection: Mapping[str, Any] | None) -> str:
    """Return one line on a connection."""
    if connection is None:
        return "The pipeline does not answer now"
    if connection["reason"]:
        return str(connection["reason"])
    delivered = connection["deliveredFirstTry"] + connection["deliveredOnRetry"]
    waiting = f" · {connection['pending']:,} waiting" if connection["pending"] else ""
    dead = f" · {connection['dead']:,} failed" if connection["dead"] else ""
    return f"{delivered:,} delivered{waiting}{dead}"


def of_sync(status: str) -> State:
    """Return the state of a sync run."""
    return {"success": State("Success", "ok"), "partial": State("Partial", "warn")}.get(status, State("Failed", "bad"))


async def asked(answer: Awaitable[dict[str, Any]], member: str) -> list[dict[str, Any]] | None:
    """Return the list in the pipeline's answer, None while it cannot be reached: the rest of a page still shows."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return list((await answer)[member])
    except (LogUnavailableError, TimeoutError):
        return None


async def connections(desk: Desk) -> dict[str, dict[str, Any]]:
    """Return the connections by destination id; empty while the pipeline cannot be reached."""
    found = await asked(desk.pipeline.connections(), "connections")
    return {each["destinationId"]: each for each in found or []}


def of_warehouse(warehouse: Mapping[str, Any] | None, *, enabled: bool = True) -> State:
    """Return a warehouse's state from what the pipeline says of it, None when it says nothing."""
    if not enabled:
        return State("Paused", "")
    if warehouse is None:
        return UNREACHABLE
    if warehouse["lastError"]:
        return State("Failing", "bad")
    if warehouse["cursor"] is None:
        return State("Waiting", "warn")
    return State("Healthy", "ok")
