"""`headwater replays`: runs that deliver stored events again."""

from __future__ import annotations

from typing import Final

import click

from headwater.cli import printing, progress, server
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import json_option
from headwater.cli.progress import Run
from headwater.cli.server import Server

_CHOSEN: Final = (("since", "from"), ("until", "to"), ("event", "event"), ("userId", "user"))


@click.group()
def command() -> None:
    """See how far replays are, and end them; `headwater replay` starts one.

    \b
    Example:
      headwater replays list --destination "My hook"
      headwater replays cancel 7
    """


@command.command("list")
@click.option("--destination", metavar="D", help="Only of this destination: id or name.")
@json_option
@server.options
def list_(at: Server, destination: str | None, *, json_: bool) -> None:
    """List the newest replays, newest first.

    \b
    Example:
      headwater replays list
    """
    chosen = {} if destination is None else {"destinationId": DESTINATIONS.find(at, destination)["id"]}
    found = at.pages("/replays", "replays", chosen)
    if json_:
        printing.as_json(found)
        return
    names = {each["id"]: each["name"] for each in DESTINATIONS.all(at)} if found else {}
    rows = [
        (
            run["id"],
            names.get(run["destinationId"], run["destinationId"]),
            run["state"],
            f"{100 * run['passed'] // run['total'] if run['total'] else 100} %",
            run["delivered"],
            run["retrying"],
            run["dead"],
            sum(run["filtered"].values()),
            run["startedAt"][:19],
        )
        for run in found
    ]
    heads = ("id", "destination", "state", "gone through", "delivered", "retrying", "dead", "filtered", "started")
    printing.table(heads, rows, empty="There are no replays; `headwater replay` starts one.")


@command.command()
@click.argument("replay")
@json_option
@server.options
def show(at: Server, replay: str, *, json_: bool) -> None:
    """Show one replay: what it chose, how far it is and what became of its events.

    \b
    Example:
      headwater replays show 7
    """
    run = one(at, replay)
    if json_:
        printing.as_json(run)
        return
    members = ("id", "destinationId", "sourceId", "state", "total", "passed", "selected", "delivered", "retrying")
    chosen = [(head, run["selection"].get(name)) for name, head in _CHOSEN]
    filtered = ", ".join(f"{reason} {count:,}" for reason, count in run["filtered"].items())
    rest = [("dead", run["dead"]), ("filtered", filtered or None), ("events a second", run["ratePerS"])]
    left = None if run["etaS"] is None else progress.about(run["etaS"])
    times = [("started", run["startedAt"]), ("finished", run["finishedAt"]), ("left", left)]
    printing.facts([*((name, run[name]) for name in members), *rest, *chosen, *times])


@command.command()
@click.argument("replay")
@json_option
@server.options
def cancel(at: Server, replay: str, *, json_: bool) -> None:
    """End a replay where it is; what it has handed on already is delivered.

    \b
    Example:
      headwater replays cancel 7
    """
    run = at.call("POST", f"/replays/{server.segment(replay)}/cancel")["replay"]
    if json_:
        printing.as_json(run)
    else:
        click.echo(described(run))


def one(at: Server, replay: str) -> Run:
    """Return one replay as it is now."""
    run: Run = at.call("GET", f"/replays/{server.segment(replay)}")["replay"]
    return run


def described(run: Run) -> str:
    """Return one line: bar, records gone through, what became of the events, and about how long it will take."""
    parts = [
        progress.bar(run["passed"], run["total"]),
        f"{run['passed']:,}/{run['total']:,} records",
        f"{run['selected']:,} chosen",
        f"{run['delivered']:,} delivered",
    ]
    parts += [f"{run[name]:,} {name}" for name in ("retrying", "dead") if run[name]]
    if run["state"] != "running":
        parts.append(run["state"])
    elif run["etaS"] is not None:
        parts.append(f"{progress.about(run['etaS'])} left")
    return "  ".join(parts)
