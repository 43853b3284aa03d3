"""`headwater secrets`: which keys protect stored secrets, and a new one; works on the installation itself."""

from __future__ import annotations

import sys

import click

from headwater.cli import printing
from headwater.cli.family import json_option
from headwater.cli.installation import data_dir_option, opened


@click.group()
def command() -> None:
    """See and change the key that stored credentials are sealed with.

    \b
    Example:
      headwater secrets rotate --data-dir ./headwater-data
    """


@command.command()
@data_dir_option
@json_option
def status(*, data_dir: str | None, json_: bool) -> None:
    """Tell which keys are in use; every stored secret is opened once.

    Exits 1 when one of them cannot be opened.

    \b
    Example:
      headwater secrets status
    """
    with opened(data_dir) as control:
        found, where = control.rotation.survey(), control.rotation.where
    lost = [*found.unknown, *found.altered]
    told = {
        "key": found.key_ids[0],
        "former": list(found.key_ids[1:]),
        "where": where,
        "sealed": dict(found.counts),
        "unreadable": [f"{each.table}.{each.column} of {each.row_id}" for each in lost],
    }
    if json_:
        printing.as_json(told)
    else:
        printing.facts(
            [("key", f"{found.key_ids[0]} in {where}"), ("former keys", ", ".join(found.key_ids[1:]) or "none")]
        )
        rows = [(each, number, _role(each, found.key_ids)) for each, number in sorted(found.counts.items())]
        printing.table(("key", "secrets", "state"), rows, empty="No secret is stored.")
        for each in lost:
            click.echo(f"{each.table}.{each.column} of {each.row_id} cannot be opened (key {each.key_id}).", err=True)
    if lost:
        click.echo("Restore the key that belongs to this database, or set these secrets again.", err=True)
        sys.exit(1)


def _role(key_id: str, key_ids: tuple[str, ...]) -> str:
    if key_id == key_ids[0]:
        return "present"
    return "former" if key_id in key_ids else "not there"


@command.command()
@data_dir_option
@json_option
def rotate(*, data_dir: str | None, json_: bool) -> None:
    """Make a new key and seal every stored secret with it; a running server goes on.

    One that was broken off is finished by running it again. A key in SECRET_KEY is changed there: this says how.

    \b
    Example:
      headwater secrets rotate
    """
    with opened(data_dir) as control:
        done, where = control.rotation.rotate(), control.rotation.where
    if json_:
        told = {"key": done.key_id, "former": list(done.former), "sealed": done.sealed_anew, "where": where}
        printing.as_json(told | {"finished": done.was_unfinished})
        return
    if done.was_unfinished:
        click.echo("A rotation had been broken off; it is finished now.")
    click.echo(f"Sealed {done.sealed_anew} secrets anew; the key is {done.key_id} in {where}.")
    former = ", ".join(done.former)
    if where == "SECRET_KEY":
        click.echo(f"Remove SECRET_KEY_FORMER ({former}) from the environment now: nothing needs it any more.")
    else:
        click.echo(f"The former key ({former}) is gone; keep a copy of the new file, apart from your backups.")
