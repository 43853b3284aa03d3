"""`headwater setup-link`: the way in before anybody has an account."""

from __future__ import annotations

import click

from headwater.cli import printing, server
from headwater.cli.installation import data_dir_option, settings_of


@click.command()
@data_dir_option
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def command(data_dir: str | None, json_: bool) -> None:  # noqa: FBT001 - click hands flags over
    """Print a link where the first person sets Headwater up: with it they get an account that owns everything.

    It works once, within an hour. Who has set Headwater up invites the others.

    \b
    Example:
      headwater setup-link --data-dir ./headwater-data
    """
    from headwater.app import start

    settings = settings_of(data_dir)
    if start.is_set_up(settings):
        raise click.ClickException(
            "Somebody has set Headwater up already. An owner can invite you: headwater invites create."
        )
    link = start.set_up_link(settings.public_url or server.find(None, None, data_dir).url, settings)
    if json_:
        printing.as_json({"link": link, "lastsS": 3600})
    else:
        click.echo(link)
