"""`headwater token`: works on the database itself, with or without a running server."""

from __future__ import annotations

import os
from typing import Any

import click

from headwater.cli import printing, server

_DATA_DIR = click.option(
    "--data-dir",
    metavar="DIR",
    help="The data directory (default: of the server that runs here, else ./headwater-data).",
)
_JSON = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Make and revoke tokens of the Public API.

    \b
    Example:
      headwater token create --name ci --role member --data-dir ./headwater-data
    """


@command.command()
@click.option("--name", required=True, help="What it is for.")
@click.option("--role", type=click.Choice(["owner", "member", "read-only"]), default="owner", show_default=True)
@_DATA_DIR
@_JSON
def create(name: str, role: str, data_dir: str | None, json_: bool) -> None:  # noqa: FBT001 - click hands flags over
    """Make a token and print it: the only time it can be seen.

    \b
    Example:
      headwater token create --name ci
    """
    control = _control(data_dir)
    token, entry = control.tokens.create(control.workspaces.get().id, name, role)
    if json_:
        printing.as_json({"id": entry.id, "name": entry.name, "role": entry.role, "token": token})
        return
    click.echo(token)
    click.echo("Keep it now: it is not shown again.", err=True)


@command.command("list")
@_DATA_DIR
@_JSON
def list_(data_dir: str | None, json_: bool) -> None:  # noqa: FBT001
    """List the tokens that work.

    \b
    Example:
      headwater token list
    """
    control = _control(data_dir)
    columns = ("id", "name", "role", "prefix", "created", "last used")
    rows = [
        (each.id, each.name, str(each.role), each.prefix, _minute(each.created_at), _minute(each.last_used_at))
        for each in control.tokens.all(control.workspaces.get().id)
    ]
    if json_:
        names = ("id", "name", "role", "prefix", "createdAt", "lastUsedAt")
        printing.as_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    printing.table(columns, rows, empty="There are no tokens; `headwater token create --name NAME` makes one.")


@command.command()
@click.argument("token")
@_DATA_DIR
def revoke(token: str, data_dir: str | None) -> None:
    """Make a token worthless at once; name it by its id or name.

    \b
    Example:
      headwater token revoke ci
    """
    control = _control(data_dir)
    revoked = control.tokens.revoke(control.workspaces.get().id, token)
    click.echo(f"Revoked {revoked.name} ({revoked.prefix}…).")


def _control(data_dir: str | None) -> Any:
    from headwater import config
    from headwater.control.service import open_control

    settings = config.read({"data_dir": data_dir or os.environ.get("HEADWATER_DATA_DIR") or server.here()})
    return open_control(
        settings.control_url,
        config.secret_key(settings),
        region=settings.region,
        source_regions=settings.source_regions,
    )


def _minute(instant: Any) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%d %H:%M UTC")
