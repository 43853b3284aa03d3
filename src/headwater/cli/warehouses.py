"""`headwater warehouses`: where events are kept as tables, what is loaded into them, and how that goes."""

from __future__ import annotations

from typing import Any

import click

from headwater.cli import loading, printing, reloading, selecting, server
from headwater.cli.family import Given, Thing, add_shared, json_option, settings_options
from headwater.cli.server import Server
from headwater.cli.warehouse_family import FAMILY, loading_options, path_of


@click.group()
def command() -> None:
    """List, add and change warehouses; choose what is loaded, and load it again.

    \b
    Example:
      headwater warehouses create --type embedded --name Archive
      headwater warehouses exclude Archive --source website --collection page_viewed
    """


add_shared(command, FAMILY)


@command.command()
@click.option("--type", "type_", required=True, metavar="TYPE", help="Such as embedded; see `catalog`.")
@click.option("--name", help="What people see (default: the type's name).")
@click.option("--disabled", is_flag=True, help="Load nothing yet.")
@settings_options
@loading_options
@json_option
@server.options
def create(
    at: Server,
    type_: str,
    name: str | None,
    *,
    disabled: bool,
    given: Given,
    more: Thing,
    json_: bool,
) -> None:
    """Add a warehouse; every source is loaded into it, from the log's beginning on.

    \b
    Example:
      headwater warehouses create --type embedded --name Archive --keep-days 730
      headwater warehouses create --type postgres --set host=db.example.com --set database=events \\
        --set user=headwater --set-env password=DB_PASSWORD
    """
    settings = FAMILY.settings(at, type_, given)
    body: dict[str, Any] = {"metadataId": type_, "enabled": not disabled, "settings": settings, **more}
    if name is not None:
        body["name"] = name
    made = at.call("POST", "/warehouses", body)["warehouse"]
    FAMILY.show(made, json_=json_)
    if missing := made["metadata"].get("missing"):
        click.echo(f"Nothing is loaded yet: {missing}", err=True)


@command.command()
@click.argument("key", metavar="[WAREHOUSE]", required=False)
@click.option("--type", "type_", metavar="TYPE", help="Try settings of this type before a warehouse is made of them.")
@settings_options
@json_option
@server.options
def test(at: Server, key: str | None, *, type_: str | None, given: Given, json_: bool) -> None:
    """Try the connection and the rights; nothing is written. With --set, those settings instead of the stored ones.

    \b
    Example:
      headwater warehouses test Archive
      headwater warehouses test --type postgres --set host=db.example.com --set-env password=DB_PASSWORD
    """
    if (key is None) == (type_ is None):
        raise click.UsageError("Name a warehouse, or a --type with its settings.")
    if type_ is not None:
        body: Thing = {"metadataId": type_}
    else:
        warehouse = FAMILY.find(at, key or "")
        type_ = str(warehouse["metadata"]["slug"])
        body = {"metadataId": type_, "warehouseId": warehouse["id"]}
    found = at.call("POST", "/warehouses/validation", body | {"settings": FAMILY.settings(at, type_, given)})
    if json_:
        printing.as_json(found)
    elif found["status"] == "CONNECTED":
        click.echo(printing.text_of(found["message"], None))
    if found["status"] != "CONNECTED":
        if not json_:
            raise click.ClickException(found["message"])
        raise click.exceptions.Exit(1)


@command.command()
@click.argument("key", metavar="[WAREHOUSE]", required=False)
@json_option
@server.options
def status(at: Server, key: str | None, *, json_: bool) -> None:
    """Show how warehouses do now: what they hold, what waits, when they are loaded next, and what failed.

    \b
    Example:
      headwater warehouses status
    """
    wanted = FAMILY.all(at) if key is None else [FAMILY.find(at, key)]
    known = {each["warehouseId"]: each for each in at.call("GET", "/syncs")["warehouses"]}
    found = [{"name": each["name"], **known[each["id"]]} for each in wanted if each["id"] in known]
    if json_:
        printing.as_json(found)
    else:
        loading.show_states(found)


@command.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--source", metavar="S", help="Only of this source: id or slug.")
@click.option("--count", type=click.IntRange(1, 1_000), default=20, show_default=True)
@json_option
@server.options
def syncs(at: Server, key: str, *, source: str | None, count: int, json_: bool) -> None:
    """List the newest loads of a warehouse: a line for each source.

    \b
    Example:
      headwater warehouses syncs Archive --count 5
    """
    path = path_of(FAMILY.find(at, key)) + (f"/connected-sources/{server.segment(source)}" if source else "")
    found = at.call("GET", f"{path}/syncs", query={"pagination.count": count})["reports"]
    if json_:
        printing.as_json(found)
    else:
        loading.show_syncs(found)


for each in (*loading.COMMANDS, *selecting.COMMANDS, *reloading.COMMANDS):
    command.add_command(each)
