"""`headwater destinations`: where events go."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import printing, server
from headwater.cli.family import Family, Given, add_shared, json_option, settings_options
from headwater.cli.server import Server

FAMILY = Family(
    "destination",
    columns=(
        ("id", lambda thing: thing["id"]),
        ("name", lambda thing: thing["name"]),
        ("type", lambda thing: thing["metadata"]["slug"]),
        ("source", lambda thing: thing["sourceId"]),
        ("enabled", lambda thing: thing["enabled"]),
    ),
    details=(("created", lambda thing: thing["createdAt"]),),
)


@click.group()
def command() -> None:
    """List, add and change destinations.

    \b
    Example:
      headwater destinations create --source website --type webhook --set url=https://example.com/hook
    """


add_shared(command, FAMILY)


@command.command()
@click.option("--source", required=True, metavar="SOURCE", help="Id or slug of the source it gets events of.")
@click.option("--type", "type_", required=True, metavar="TYPE", help="Such as webhook; see `catalog`.")
@click.option("--name", help="What people see (default: the type's name).")
@click.option("--disabled", is_flag=True, help="Send nothing yet.")
@settings_options
@json_option
@server.options
def create(
    at: Server,
    source: str,
    type_: str,
    name: str | None,
    *,
    disabled: bool,
    given: Given,
    json_: bool,
) -> None:
    """Connect a new destination to a source.

    \b
    Example:
      headwater destinations create --source website --type webhook \\
        --set url=https://example.com/hook --set-env secret=HOOK_SECRET
    """
    settings = FAMILY.settings(at, type_, given)
    body: dict[str, Any] = {"sourceId": source, "metadataId": type_, "enabled": not disabled, "settings": settings}
    if name is not None:
        body["name"] = name
    FAMILY.show(at.call("POST", "/destinations", body)["destination"], json_=json_)


@command.command()
@click.argument("key", metavar="DESTINATION")
@json_option
@server.options
def test(at: Server, key: str, *, json_: bool) -> None:
    """Try a destination's credentials; nothing is sent but what that needs.

    \b
    Example:
      headwater destinations test "My hook"
    """
    destination = FAMILY.find(at, key)
    body = {"metadataId": destination["metadata"]["slug"], "destinationId": destination["id"]}
    found = at.call("POST", "/destinations/test", body)
    if not found["ok"]:
        raise click.ClickException(found["message"])
    if json_:
        printing.as_json(found)
    else:
        click.echo(found["message"])


@command.command()
@click.argument("key", metavar="DESTINATION")
@server.options
def resume(at: Server, key: str) -> None:
    """Go on with a destination that was paused because its credentials were refused.

    \b
    Example:
      headwater destinations resume "My hook"
    """
    destination = FAMILY.find(at, key)
    at.call("POST", f"/destinations/{destination['id']}/resume")
    click.echo("Resumed.")
