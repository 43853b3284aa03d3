"""`headwater setup-link`: the way in before anybody has an account."""

from __future__ import annotations

import os

import click

from headwater.cli import printing, server


@click.command()
@click.option("--data-dir", metavar="DIR", help="The data directory (default: of the server that runs here).")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def command(data_dir: str | None, json_: bool) -> None:  # noqa: FBT001 - click hands flags over
    """Print a link where the first person sets Headwater up: with it they get an account that owns everything.

    It works once, within an hour. Who has set Headwater up invites the others.

    \b
    Example:
      headwater setup-link --data-dir ./headwater-data
    """
    from headwater import config
    from headwater.app import start

    settings = config.read({"data_dir": data_dir or os.environ.get("HEADWATER_DATA_DIR") or server.here()})
    key = config.key_path(settings)
    if key is not None and not key.exists():
        where = settings.data_dir
        raise click.ClickException(
            f"No Headwater keeps its data in {where}; start one: headwater serve --data-dir {where}"
        )
    if start.is_set_up(settings):
        raise click.ClickException(
            "Somebody has set Headwater up already. An owner can invite you: headwater invites create."
        )
    link = start.set_up_link(settings.public_url or server.find(None, None, data_dir).url, settings)
    if json_:
        printing.as_json({"link": link, "lastsS": 3600})
    else:
        click.echo(link)
