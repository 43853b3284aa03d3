"""`headwater dead-letters`: what could not be delivered."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import destinations, printing, server
from headwater.cli.family import json_option
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES


@click.group()
def command() -> None:
    """See, retry and discard what could not be delivered, and why.

    \b
    Example:
      headwater dead-letters list
      headwater dead-letters retry --destination "My hook"
      headwater dead-letters list --unmapped
    """


unmapped_option = click.option("--unmapped", is_flag=True, help="Webhooks that could not be mapped, instead.")
source_option = click.option("--source", metavar="S", help="With --unmapped: only of this source, id or name.")


@command.command("list")
@click.option("--destination", metavar="D", help="Only of this destination: id or name.")
@unmapped_option
@source_option
@click.option("--count", type=click.IntRange(1, 500), default=50, show_default=True)
@json_option
@server.options
def list_(at: Server, destination: str | None, source: str | None, *, unmapped: bool, count: int, json_: bool) -> None:
    """List dead letters, newest first.

    \b
    Example:
      headwater dead-letters list --destination "My hook"
      headwater dead-letters list --unmapped
    """
    _refuse_mixture(unmapped=unmapped, destination=destination, source=source)
    if unmapped:
        _list_unmapped(at, source, count, json_=json_)
        return
    query = {"count": count, "destinationId": _id(at, destination)}
    found = at.call("GET", "/dead-letters", query=query)["deadLetters"]
    if json_:
        printing.as_json(found)
        return
    columns = ("id", "event", "destinationId", "diedAt", "attempts", "reason")
    rows = [[each.get(name) for name in columns] for each in found]
    printing.table(columns, rows, empty="There are no dead letters.")


@command.command()
@click.argument("dead_letter")
@unmapped_option
@click.option("--json", "json_", is_flag=True, help="Print JSON; it always does.")
@server.options
def show(at: Server, dead_letter: str, *, unmapped: bool, json_: bool) -> None:
    """Show one with its event and the service's last answer, or a webhook as it came, as JSON.

    \b
    Example:
      headwater dead-letters show 7
      headwater dead-letters show --unmapped 190
    """
    del json_  # taken like everywhere, so that scripts need not know
    if unmapped:
        printing.as_json(at.call("GET", f"/unmapped/{server.segment(dead_letter)}")["unmapped"])
        return
    printing.as_json(at.call("GET", f"/dead-letters/{server.segment(dead_letter)}"))


@command.command()
@click.argument("dead_letters", nargs=-1)
@click.option("--destination", metavar="D", help="All of this destination: id or name.")
@unmapped_option
@source_option
@server.options
def retry(
    at: Server, dead_letters: tuple[str, ...], destination: str | None, source: str | None, *, unmapped: bool
) -> None:
    """Deliver dead letters again: by id, or all of a destination; with --unmapped, map webhooks once more.

    \b
    Example:
      headwater dead-letters retry 7 8
      headwater dead-letters retry --unmapped
    """
    _refuse_mixture(unmapped=unmapped, destination=destination or "".join(dead_letters), source=source)
    if unmapped:
        body = {} if source is None else {"sourceId": SOURCES.find(at, source)["id"]}
        again = at.call("POST", "/unmapped/retry", body, is_long=True)
        click.echo(f"{again['mapped']} are mapped now, {again['stillUnmapped']} still cannot be.")
        return
    found = at.call("POST", "/dead-letters/retry", _which(at, dead_letters, destination), is_long=True)
    click.echo(f"{found['count']} are tried again.")


@command.command()
@click.argument("dead_letters", nargs=-1)
@click.option("--destination", metavar="D", help="All of this destination: id or name.")
@server.options
def discard(at: Server, dead_letters: tuple[str, ...], destination: str | None) -> None:
    """Give dead letters up for good: by id, or all of a destination. The log keeps the events.

    \b
    Example:
      headwater dead-letters discard 7
    """
    found = at.call("POST", "/dead-letters/discard", _which(at, dead_letters, destination), is_long=True)
    click.echo(f"{found['count']} were discarded.")


def _refuse_mixture(*, unmapped: bool, destination: str | None, source: str | None) -> None:
    if unmapped and destination:
        raise click.UsageError("--unmapped webhooks have no destination; use it alone or with --source.")
    if source is not None and not unmapped:
        raise click.UsageError("--source goes with --unmapped; dead letters are chosen by --destination.")


def _list_unmapped(at: Server, source: str | None, count: int, *, json_: bool) -> None:
    query = {"count": count, "sourceId": None if source is None else SOURCES.find(at, source)["id"]}
    found = at.call("GET", "/unmapped", query=query)["unmapped"]
    if json_:
        printing.as_json(found)
        return
    names = {each["id"]: each["slug"] for each in SOURCES.all(at)} if found else {}
    rows = [
        (each["inboxSeq"], names.get(each["sourceId"], each["sourceId"]), each["receivedAt"], each["reason"])
        for each in found
    ]
    printing.table(("webhook", "source", "received", "reason"), rows, empty="Every webhook could be mapped.")


def _which(at: Server, ids: tuple[str, ...], destination: str | None) -> dict[str, Any]:
    if bool(ids) == bool(destination):
        raise click.UsageError("Name either dead letters by id or --destination.")
    return {"ids": list(ids)} if ids else {"destinationId": _id(at, destination)}


def _id(at: Server, destination: str | None) -> str | None:
    return None if destination is None else str(destinations.FAMILY.find(at, destination)["id"])
