"""`headwater rejections`: what was refused at the door or could not be mapped."""

from __future__ import annotations

import click

from headwater.cli import printing, server, sources
from headwater.cli.family import json_option
from headwater.cli.server import Server


@click.group()
def command() -> None:
    """See what was refused, and why.

    \b
    Example:
      headwater rejections list --source website
    """


@command.command("list")
@click.option("--source", metavar="S", help="Only of this source: id, slug or name.")
@click.option("--count", type=click.IntRange(1, 500), default=50, show_default=True)
@json_option
@server.options
def list_(at: Server, source: str | None, *, count: int, json_: bool) -> None:
    """List rejections, newest first.

    \b
    Example:
      headwater rejections list
    """
    source_id = None if source is None else sources.FAMILY.find(at, source)["id"]
    found = at.call("GET", "/rejections", query={"count": count, "sourceId": source_id})
    if json_:
        printing.as_json(found)
        return
    names = {each["id"]: each["slug"] for each in sources.FAMILY.all(at)}
    rows = [
        (
            each.get("receivedAt"),
            names.get(each["sourceId"], each["sourceId"] or "unknown"),
            each.get("code"),
            each.get("message"),
        )
        for each in found["rejections"]
    ]
    printing.table(("received", "source", "code", "message"), rows, empty="Nothing was refused.", whole=True)
