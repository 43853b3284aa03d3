"""`headwater tail`: events as they arrive."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import click

from headwater.cli import printing, server
from headwater.cli.server import Server, UnreachableError
from headwater.cli.sources import FAMILY

_PATIENCE_S: Final = 60.0  # a server that restarts is waited for


@click.command()
@click.option("--source", metavar="S", help="Only this source: its id, slug or name.")
@click.option("--event", metavar="E", help="Only this event, such as 'Email Opened', or call, such as identify.")
@click.option(
    "--last", type=click.IntRange(0, 500), default=10, show_default=True, help="Begin with so many that are there."
)
@click.option("--no-follow", is_flag=True, help="Do not wait for more.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
@server.options
def command(at: Server, source: str | None, event: str | None, *, last: int, no_follow: bool, json_: bool) -> None:
    """Show the newest events and those that arrive, until Ctrl-C.

    \b
    Example:
      headwater tail --source activecampaign --event "Email Opened"
    """
    names = {each["id"]: each["slug"] for each in FAMILY.all(at)}
    path = "/events" if source is None else f"/sources/{server.segment(FAMILY.find(at, source)['id'])}/events"
    found = at.call("GET", path, query={"count": max(last, 1), "event": event})["events"]
    seen = found[0]["seq"] if found else None
    for each in reversed(found[:last]):
        _print(each, names, json_=json_)
    if no_follow:
        return
    try:
        _follow(at, path, event, seen, lambda each: _print(each, names, json_=json_))
    except KeyboardInterrupt:
        click.echo(err=True)


def _follow(at: Server, path: str, event: str | None, seen: int | None, show: Any) -> None:
    lost_at: float | None = None
    while True:
        try:
            for each in at.stream(f"{path}/stream", {"event": event, "after": seen}):
                lost_at = None
                if "seq" in each:
                    seen = each["seq"]
                    show(each)
                else:
                    click.echo(f"… {each['count']} events passed by: too many to show.", err=True)
        except UnreachableError:
            if lost_at is None:
                lost_at = time.monotonic()
                click.echo("The server went away; waiting for it.", err=True)
            if time.monotonic() - lost_at > _PATIENCE_S:
                raise
        time.sleep(1)


def _print(each: dict[str, Any], names: dict[str, str], *, json_: bool) -> None:
    if json_:
        click.echo(json.dumps(each, ensure_ascii=False))
        return
    body = each["event"]
    who = body.get("userId") or body.get("anonymousId") or ""
    members = body.get("properties") or body.get("traits") or {}
    source = names.get(each["sourceId"], each["sourceId"])
    click.echo(
        f"{click.style(printing.text_of(each['receivedAt']), dim=True)}  {source}  "
        f"{click.style(printing.text_of(each['name']), bold=True)}  {printing.text_of(who)}  "
        f"{printing.text_of(members, 120) if members else ''}".rstrip()
    )
