"""`headwater overview`: what became of events, from receipt to delivery, and how many came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click

from headwater.cli import printing, server
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import Thing, json_option
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES
from headwater.cli.times import TIME

_AT_SOURCE: Final = ("successfully-received", "failed-on-ingest", "filtered-at-source")
_AT_DESTINATION: Final = ("filtered-at-destination", "failed-delivery", "successful-delivery")

_since = click.option("--since", type=TIME, default="7d", help="From when (7d).")
_until = click.option("--until", type=TIME, help="Until when (now).")


@click.group()
def command() -> None:
    """See what became of events, from receipt to delivery, and how many came.

    \b
    Example:
      headwater overview source website --since 24h
      headwater overview volume --by event
    """


@command.command()
@click.argument("source")
@_since
@_until
@json_option
@server.options
def source(at: Server, source: str, *, since: str, until: str | None, json_: bool) -> None:
    """Show how many events of a source were received, refused, blocked, filtered, delivered, and why.

    \b
    Example:
      headwater overview source website --since 24h
    """
    found = SOURCES.find(at, source)
    asked = {"sourceId": found["id"], **_span(since, until)}
    stages = [_stage(at, name, asked) for name in _AT_SOURCE]
    for each in DESTINATIONS.all(at):
        if each["sourceId"] == found["id"]:
            of = {**asked, "destinationConfigId": each["id"]}
            stages += [_stage(at, name, of) | {"destination": each["name"]} for name in _AT_DESTINATION]
    if json_:
        printing.as_json(stages)
        return
    rows = [(each["stage"], each.get("destination"), each["total"], _reasons(each)) for each in stages]
    printing.table(("stage", "destination", "events", "why"), rows, empty="Nothing happened.")


@command.command()
@click.option("--source", metavar="S", help="Only of this source: id or slug.")
@click.option("--by", type=click.Choice(["event", "type", "source"]), default="source", help="What is told apart.")
@_since
@_until
@json_option
@server.options
def volume(at: Server, *, source: str | None, by: str, since: str, until: str | None, json_: bool) -> None:
    """Show how many events came, by source, by type of call or by event.

    \b
    Example:
      headwater overview volume --by event --since 24h
    """
    group = {"event": "eventName", "type": "eventType", "source": "source"}[by]
    asked: Thing = {"groupBy": group, **_span(since, until)}
    if source is not None:
        asked["sourceId"] = SOURCES.find(at, source)["id"]
    found = at.pages("/events/volume", "result", asked)
    if json_:
        printing.as_json(found)
        return
    rows = [(each["source"]["slug"] if by == "source" else each.get(group), each["total"]) for each in found]
    printing.table((by, "events"), rows, empty="Nothing came in this time.")


def _span(since: str, until: str | None) -> Thing:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"startTime": since, "endTime": until or now, "granularity": "HOUR"}


def _stage(at: Server, name: str, asked: Thing) -> Thing:
    by = {} if name == "successfully-received" else {"groupBy": "discardReason"}
    found = at.call("GET", f"/delivery-overview/{name}", query={**asked, **by})
    return {"stage": name, "total": found["total"], "dataset": found["dataset"]}


def _reasons(stage: Thing) -> str:
    counts: list[tuple[Any, int]] = [(each.get("discardReason"), each["total"]) for each in stage["dataset"]]
    return ", ".join(f"{reason} {count:,}" for reason, count in counts if reason and count)
