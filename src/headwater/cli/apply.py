"""`headwater apply`: make a workspace as a file says, after showing what changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from headwater.cli import printing, server
from headwater.cli.configuration import changing, document
from headwater.cli.configuration.changing import Change
from headwater.cli.configuration.document import Document
from headwater.cli.configuration.family import World
from headwater.cli.configuration.workspace import FAMILIES, present
from headwater.cli.family import json_option
from headwater.cli.server import Server


@click.command()
@click.option("-f", "--file", "file", metavar="FILE", required=True, help="As `export` writes it; - is stdin.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--prune", is_flag=True, help="Delete what the file's sections do not name.")
@click.option("--secrets", "renew", is_flag=True, help="Send the secrets of things that are there, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@server.options
def command(at: Server, *, file: str, dry_run: bool, prune: bool, renew: bool, yes: bool, json_: bool) -> None:
    """Make the workspace as a file says; what changes is shown first.

    What the file leaves out stays as it is, unless `--prune`. A secret is `{env: VARIABLE}`: it is read from the
    environment when a thing is made. Applying the same file again changes nothing.

    \b
    Example:
      headwater apply -f workspace.yaml --dry-run
      headwater apply -f workspace.yaml --yes
    """
    wanted = document.read(file, FAMILIES)
    world, sections = present(at, wanted)
    _same_region(sections, wanted)
    world.joins = "warehouses" not in wanted
    changes = changing.compared(sections, wanted, FAMILIES, prune=prune, renew=renew)
    if not json_:
        for change in changes:
            for line in change.lines():
                click.echo(line)
    if unset := changing.missing(changes, renew=renew):
        told = f"Set {', '.join(unset[:20])} in the environment: secrets that have to be sent."
        if not dry_run:
            raise click.ClickException(f"{told} Nothing was changed.")
        click.echo(told, err=True)
    if changes and not dry_run:
        _admit(len(changes), yes=yes or json_)
        _make(world, changes, renew=renew)
    if json_:
        printing.as_json({"changes": [each.as_json() for each in changes], "applied": bool(changes) and not dry_run})
    else:
        done = "would change" if dry_run else "changed"
        click.echo(f"{len(changes)} things {done}." if changes else "Nothing changes.", err=True)


def _same_region(present: Document, wanted: Document) -> None:
    (there,) = present["workspace"].values()
    region = wanted.get("workspace", {}).get((), {}).get("region", there["region"])
    if region != there["region"]:
        raise click.ClickException(f"The file is for the region {region}, this workspace is in {there['region']}.")


def _make(world: World, changes: Sequence[Change], *, renew: bool) -> None:
    """Make the changes in their order; at the first that is refused, say what stands.

    A thing that was made and could not be finished (a plan whose rules are refused) is there, too: to apply the file
    again finishes it.
    """
    for number, change in enumerate(changes):
        try:
            changing.apply(world, change, renew=renew)
        except click.ClickException as error:
            rest = len(changes) - number - 1
            raise click.ClickException(
                f"{next(change.lines())}: {error.format_message()}\n"
                f"{number} of {len(changes)} changes were made and stand, this one was not or not wholly, "
                f"{rest} were not tried. Mend the file or what it says, and apply it again."
            ) from None


def _admit(count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("Say --yes to change it, or --dry-run to see only.")
    click.confirm(f"Make these {count} changes?", abort=True)
