"""`headwater warehouses`: where events are kept as tables."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import server
from headwater.cli.family import Family, Given, add_shared, json_option, settings_options
from headwater.cli.server import Server

FAMILY = Family(
    "warehouse",
    columns=(
        ("id", lambda thing: thing["id"]),
        ("name", lambda thing: thing["name"]),
        ("type", lambda thing: thing["metadata"]["slug"]),
        ("enabled", lambda thing: thing["enabled"]),
    ),
    details=(("created", lambda thing: thing["createdAt"]),),
)


@click.group()
def command() -> None:
    """List, add and change warehouses.

    \b
    Example:
      headwater warehouses list
    """


add_shared(command, FAMILY)


@command.command()
@click.option("--type", "type_", required=True, metavar="TYPE", help="Such as embedded; see `catalog`.")
@click.option("--name", help="What people see (default: the type's name).")
@click.option("--disabled", is_flag=True, help="Load nothing yet.")
@settings_options
@json_option
@server.options
def create(
    at: Server,
    type_: str,
    name: str | None,
    *,
    disabled: bool,
    given: Given,
    json_: bool,
) -> None:
    """Add a warehouse; every source is loaded into it.

    \b
    Example:
      headwater warehouses create --type embedded --name Archive
    """
    settings = FAMILY.settings(at, type_, given)
    body: dict[str, Any] = {"metadataId": type_, "enabled": not disabled, "settings": settings}
    if name is not None:
        body["name"] = name
    FAMILY.show(at.call("POST", "/warehouses", body)["warehouse"], json_=json_)
