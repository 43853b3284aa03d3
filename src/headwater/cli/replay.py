"""`headwater replay`: deliver stored events again."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import printing, progress, replays, server
from headwater.cli.destinations import FAMILY
from headwater.cli.family import json_option
from headwater.cli.progress import Run
from headwater.cli.server import Server
from headwater.cli.times import TIME


@click.command()
@click.option("--destination", required=True, metavar="D", help="Who gets them: id or name.")
@click.option("--source", metavar="S", help="Only events of this source (default: the destination's).")
@click.option("--from", "since", type=TIME, metavar="T", help="From this time on, by arrival: 2026-01-31, 2h (ago).")
@click.option("--to", "until", type=TIME, metavar="T", help="Before this time.")
@click.option("--event", metavar="E", help="Only events of this name.")
@click.option("--user", metavar="U", help="Only events of this userId.")
@click.option("--rate", type=click.FloatRange(0.01, 10_000), metavar="N", help="Events a second at most.")
@click.option("--dry-run", is_flag=True, help="Count them; deliver nothing.")
@click.option("--wait", is_flag=True, help="Return once it is over, with a bar meanwhile.")
@json_option
@server.options
def command(  # noqa: PLR0913 - one parameter an option
    at: Server,
    destination: str,
    *,
    source: str | None,
    since: str | None,
    until: str | None,
    event: str | None,
    user: str | None,
    rate: float | None,
    dry_run: bool,
    wait: bool,
    json_: bool,
) -> None:
    """Deliver events again from the log; receivers recognise them by their messageId.

    A replay belongs to the server: it goes on when this command is left, and survives restarts.

    \b
    Example:
      headwater replay --destination "My hook" --from 2026-01-31 --event "Email Opened" --dry-run
      headwater replay --destination "My hook" --from 2d --user user-1 --rate 5 --wait
    """
    if wait and dry_run:
        raise click.UsageError("--dry-run delivers nothing that --wait could wait for.")
    named = {"sourceId": source, "from": since, "to": until, "event": event, "userId": user, "ratePerSecond": rate}
    body: dict[str, Any] = {"destinationId": FAMILY.find(at, destination)["id"], "dryRun": dry_run}
    body |= {name: value for name, value in named.items() if value is not None}
    found = at.call("POST", "/replay", body, is_long=True)
    if not wait:
        _started(found, dry_run=dry_run, json_=json_)
        return
    number = str(found["replay"]["id"])
    hint = f"`headwater replays show {number}` shows it, `headwater replays cancel {number}` ends it."
    run = progress.follow(lambda: replays.one(at, number), hint=hint, tell=replays.described)
    _ended(run, json_=json_)


def _started(found: dict[str, Any], *, dry_run: bool, json_: bool) -> None:
    if json_:
        printing.as_json(found)
        return
    run, count = found["replay"], found["count"]
    least = "At least " if dry_run and run["passed"] < run["total"] else ""
    be = "would be" if dry_run else "is being" if count == 1 else "are being"
    click.echo(f"{least}{count:,} event{'' if count == 1 else 's'} {be} delivered again.")
    if not dry_run:
        click.echo(f"`headwater replays show {run['id']}` shows how far it is.")


def _ended(run: Run, *, json_: bool) -> None:
    """Print a run that is over, and fail when it did not come to its end."""
    if json_:
        printing.as_json(run)
    else:
        click.echo(replays.described(run))
    if run["state"] != "done":
        raise click.exceptions.Exit(1)
