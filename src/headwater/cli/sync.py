"""`headwater sync`: load now."""

from __future__ import annotations

import click

from headwater.cli import printing, server
from headwater.cli.family import json_option
from headwater.cli.server import Server
from headwater.cli.warehouse_family import FAMILY


@click.command()
@click.argument("warehouse", required=False)
@click.option("--wait", is_flag=True, help="Return once every event accepted before this call is in the warehouse.")
@json_option
@server.options
def command(at: Server, warehouse: str | None, *, wait: bool, json_: bool) -> None:
    """Load what is waiting into WAREHOUSE, or into all of them, now.

    \b
    Example:
      headwater sync --wait
    """
    path = "/sync" if warehouse is None else f"/warehouses/{server.segment(FAMILY.find(at, warehouse)['id'])}/sync"
    found = at.call("POST", path, {"wait": wait}, is_long=True)
    if json_:
        printing.as_json(found)
        return
    click.echo("Loaded everything accepted until now." if wait else "Started.")
