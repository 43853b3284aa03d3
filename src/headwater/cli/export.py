"""`headwater export`: the whole configuration of a workspace as a file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from headwater.cli import server
from headwater.cli.configuration import document
from headwater.cli.configuration.workspace import FAMILIES, present
from headwater.cli.server import Server


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Write it there; mode 0600, replaced as a whole.")
@server.options
def command(at: Server, *, output: str | None) -> None:
    """Print the whole configuration of the workspace as YAML; `headwater apply` takes it.

    Secrets are not in it: each is named by the environment variable that `apply` reads it from. Write keys, tokens and
    people are not in it either: they belong to one installation.

    \b
    Example:
      headwater export > workspace.yaml
    """
    _, sections = present(at)
    text = document.written(sections, FAMILIES)
    if output is None:
        click.echo(text, nl=False)
        return
    target = Path(output)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.touch(0o600)
        aside.write_text(text)
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from None
    count = sum(map(len, sections.values()))
    click.echo(f"Wrote {count} things to {output}.", err=True)
