"""`headwater audit`: who changed what; the trail as a list, as a file, and whether it is whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import click

from headwater.cli import printing, server
from headwater.cli.family import json_option
from headwater.cli.installation import data_dir_option, opened
from headwater.cli.server import Server
from headwater.cli.times import TIME

_CHOOSE: Final = (
    click.option("--since", type=TIME, metavar="TIME", help="At this time or after: a day, an instant, or 2h ago."),
    click.option("--until", type=TIME, metavar="TIME", help="Before this time."),
    click.option("--actor", metavar="WHO", help="Only by this person or token: e-mail address, name or id."),
    click.option("--type", "type_", metavar="TYPE", help="Only such deeds, such as 'Source Created'."),
    click.option("--resource", metavar="ID", help="Only to this resource."),
    click.option("--resource-type", metavar="TYPE", help="Only to such resources, such as SOURCE."),
)


def _choosing(body: Any) -> Any:
    for option in reversed(_CHOOSE):
        body = option(body)
    return body


def _query(chosen: dict[str, str | None]) -> dict[str, str | None]:
    names = {
        "since": "startTime",
        "until": "endTime",
        "actor": "actor",
        "type_": "type",
        "resource": "resourceId",
        "resource_type": "resourceType",
    }
    return {names[name]: value for name, value in chosen.items()}


@click.group()
def command() -> None:
    """See who changed what.

    \b
    Example:
      headwater audit list --since 7d
    """


@command.command("list")
@_choosing
@click.option("--count", type=click.IntRange(1, 1_000), default=50, show_default=True)
@json_option
@server.options
def list_(at: Server, *, count: int, json_: bool, **chosen: str | None) -> None:
    """List what was done, the newest first; --json tells what was there before and after.

    \b
    Example:
      headwater audit list --actor ana@example.com
    """
    found = at.call("GET", "/audit-events", query={"pagination.count": count, **_query(chosen)})["events"]
    if json_:
        printing.as_json(found)
        return
    rows = [
        (
            each["timestamp"][:19].replace("T", " "),
            each["type"],
            each["resourceName"] or each["resourceId"],
            each.get("actorEmail") or each["actor"],
            each["address"],
        )
        for each in found
    ]
    printing.table(("when (UTC)", "what", "to", "who", "from"), rows, empty="Nothing was done that is like this.")


@command.command()
@_choosing
@click.option("--format", "format_", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False, writable=True), help="Instead of the screen.")
@server.options
def export(at: Server, *, format_: str, output: str | None, **chosen: str | None) -> None:
    """Write the whole trail, or what is chosen of it, as a file; that leaves an entry, too.

    \b
    Example:
      headwater audit export --format csv --output audit.csv
    """
    query = {name: value for name, value in _query(chosen).items() if value is not None} | {"format": format_}
    path = f"/audit-events/export?{urlencode(query)}"
    if output is None:
        at.save(path, None, sys.stdout.buffer)
        return
    with Path(output).open("wb") as target:
        at.save(path, None, target)


@command.command()
@click.option("--expect", metavar="HASH", help="The newest hash that an earlier look printed: it must still be there.")
@data_dir_option
@json_option
def verify(*, expect: str | None, data_dir: str | None, json_: bool) -> None:
    """Tell whether an entry was edited, removed or moved since it was written.

    Works on the database itself, with or without a running server. Exits 1 when the chain is broken. Keep the hash
    that it prints elsewhere: with --expect it proves later that nothing before it was written anew.

    \b
    Example:
      headwater audit verify --data-dir ./headwater-data
    """
    with opened(data_dir) as control:
        found = control.audit.verify()
        is_there = expect is None or expect == found.head or control.audit.has(expect)
    reason = found.reason or ("" if is_there else "the expected hash is not in the chain")
    if json_:
        printing.as_json(
            {
                "ok": not reason,
                "entries": found.entries,
                "first": found.first,
                "last": found.last,
                "hash": found.head,
                "brokenAt": found.broken_at,
                "reason": reason,
            }
        )
    elif reason:
        where = "" if found.broken_at is None else f" at entry {found.broken_at}"
        click.echo(f"The audit trail is broken{where}: {reason}. Compare it with a backup or an export.", err=True)
    else:
        click.echo(f"{found.entries} entries, none edited, removed or moved; the newest hash is\n{found.head}")
    if reason:
        sys.exit(1)
