"""`headwater replay`: deliver stored events again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from headwater.cli import printing, server
from headwater.cli.destinations import FAMILY
from headwater.cli.family import json_option
from headwater.cli.server import Server


@click.command()
@click.option("--destination", required=True, metavar="D", help="Who gets them: id or name.")
@click.option("--source", metavar="S", help="Only events of this source (default: the destination's).")
@click.option("--from", "since", metavar="T", help="From this time on, by arrival: 2026-01-31 or 2026-01-31T08:00:00Z.")
@click.option("--to", "until", metavar="T", help="Before this time.")
@click.option("--event", metavar="E", help="Only events of this name.")
@click.option("--dry-run", is_flag=True, help="Count them; deliver nothing.")
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
    dry_run: bool,
    json_: bool,
) -> None:
    """Deliver events again from the log; receivers recognise them by their messageId.

    \b
    Example:
      headwater replay --destination "My hook" --from 2026-01-31 --event "Email Opened" --dry-run
    """
    body: dict[str, Any] = {"destinationId": FAMILY.find(at, destination)["id"], "dryRun": dry_run}
    body |= {
        name: value
        for name, value in (("sourceId", source), ("from", _time(since)), ("to", _time(until)), ("event", event))
        if value is not None
    }
    found = at.call("POST", "/replay", body, is_long=True)
    if json_:
        printing.as_json(found)
        return
    click.echo(f"{found['count']} events {'would be' if dry_run else 'are being'} delivered again.")


def _time(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no time; write 2026-01-31 or 2026-01-31T08:00:00Z") from None
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()
