"""The part of `headwater warehouses` that chooses which sources, collections and properties are loaded."""

from __future__ import annotations

from typing import Any, Final

import click

from headwater.cli import printing, server
from headwater.cli.family import Thing, json_option
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES
from headwater.cli.warehouse_family import FAMILY, path_of, sources_of

_OVERRIDES: Final = 500  # a request: the API takes 1,000


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--source", metavar="S", help="Only of this source: id or slug.")
@click.option("--collection", metavar="C", help="Show the properties of this collection.")
@click.option("--left-out", is_flag=True, help="Only what is left out.")
@json_option
@server.options
def selection(at: Server, key: str, *, source: str | None, collection: str | None, left_out: bool, json_: bool) -> None:
    """Show which collections of which source are loaded, and which are left out.

    \b
    Example:
      headwater warehouses selection Archive
      headwater warehouses selection Archive --source website --collection signed_up
    """
    warehouse = FAMILY.find(at, key)
    connected = sources_of(at, warehouse)
    if source is not None:
        wanted = SOURCES.find(at, source)
        connected = [each for each in connected if each["id"] == wanted["id"]]
    names = {each["id"]: each["slug"] for each in connected}
    items = [item for each in connected for item in _items(at, warehouse, each)]
    if collection is not None:
        items = [item for item in items if item["collection"] == collection]
    if left_out:
        items = [item for item in items if not item["enabled"] or _out(item)]
    if json_:
        printing.as_json(items)
    elif collection is not None:
        _show_properties(items, names, is_short=left_out)
    else:
        rows = [(names[item["sourceId"]], item["collection"], item["enabled"], _told(item)) for item in items]
        empty = "Nothing is left out." if left_out else "Nothing has been loaded yet, and nothing is left out."
        printing.table(("source", "collection", "loaded", "properties"), rows, empty=empty)


def _items(at: Server, warehouse: Thing, source: Thing) -> list[Thing]:
    """Return the collections of a source; what the warehouse could not say goes to stderr."""
    path = f"{path_of(warehouse)}/connected-sources/{server.segment(source['id'])}/selective-syncs"
    for warning in at.call("GET", path, query={"pagination.count": 1})["warnings"]:
        click.echo(printing.text_of(warning, None), err=True)
    return at.pages(path, "items")


def _out(item: Thing) -> list[str]:
    return [name for name, each in item["properties"].items() if not each["enabled"]]


def _told(item: Thing) -> str:
    out = _out(item)
    whole = f"{len(item['properties']):,}"
    return f"{whole}, without {', '.join(out)}" if out else whole


def _show_properties(items: list[Thing], names: dict[str, str], *, is_short: bool) -> None:
    rows = [
        (names[item["sourceId"]], name, item["enabled"] and each["enabled"], "always" if each["required"] else None)
        for item in items
        for name, each in item["properties"].items()
        if not (is_short and each["enabled"])
    ]
    printing.table(("source", "property", "loaded", ""), rows, empty="There is no such collection yet.")


def _change(key: str, at: Server, chosen: Thing, *, is_enabled: bool, json_: bool) -> None:
    warehouse = FAMILY.find(at, key)
    source = SOURCES.find(at, chosen["source"])
    overrides = _overrides(source["id"], chosen["collections"], chosen["properties"], is_enabled=is_enabled)
    changed, warnings = False, []
    for first in range(0, len(overrides), _OVERRIDES):
        body = {"syncOverrides": overrides[first : first + _OVERRIDES]}
        found = at.call("PATCH", f"{path_of(warehouse)}/selective-sync", body)
        changed = changed or found["status"] == "UPDATED"
        warnings += found["warnings"]
    if json_:
        printing.as_json({"status": "UPDATED" if changed else "UNCHANGED", "warnings": warnings})
        return
    for warning in warnings:
        click.echo(printing.text_of(warning, None), err=True)
    click.echo(_said(warehouse, source, chosen, is_enabled=is_enabled) if changed else "It is so already.")


def _overrides(
    source_id: str, collections: tuple[str, ...], properties: tuple[str, ...], *, is_enabled: bool
) -> list[Thing]:
    """Return each pair of collection and property; the whole collection or source where none is named.

    Raises:
        UsageError: a property without a collection.
    """
    if properties and not collections:
        raise click.UsageError("--property needs its --collection.")
    return [
        {"sourceId": source_id, "enabled": is_enabled}
        | ({"collection": collection} if collection else {})
        | ({"property": each} if each else {})
        for collection in collections or ("",)
        for each in properties or ("",)
    ]


def _said(warehouse: Thing, source: Thing, chosen: Thing, *, is_enabled: bool) -> str:
    what: Any = source["slug"]
    if chosen["collections"]:
        what += f", {', '.join(chosen['collections'])}"
    if chosen["properties"]:
        what += f": {', '.join(chosen['properties'])}"
    rest = "what came in meanwhile follows" if is_enabled else "rows that are there stay"
    verb = "is loaded into" if is_enabled else "is not loaded any more into"
    return printing.text_of(f"{what} {verb} {warehouse['name']}; {rest}.", None)


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--source", required=True, metavar="S", help="Id or slug of the source.")
@click.option("--collection", "collections", multiple=True, metavar="C", help="A table or event; repeatable.")
@click.option("--property", "properties", multiple=True, metavar="P", help="Of these collections only; repeatable.")
@json_option
@server.options
def exclude(at: Server, key: str, *, json_: bool, **chosen: Any) -> None:
    """Load a source, or some of its collections or properties, no more; rows that are there stay.

    \b
    Example:
      headwater warehouses exclude Archive --source website --collection "Page Viewed"
      headwater warehouses exclude Archive --source website --collection identifies --property email
    """
    _change(key, at, chosen, is_enabled=False, json_=json_)


@click.command()
@click.argument("key", metavar="WAREHOUSE")
@click.option("--source", required=True, metavar="S", help="Id or slug of the source.")
@click.option("--collection", "collections", multiple=True, metavar="C", help="A table or event; repeatable.")
@click.option("--property", "properties", multiple=True, metavar="P", help="Of these collections only; repeatable.")
@json_option
@server.options
def include(at: Server, key: str, *, json_: bool, **chosen: Any) -> None:
    """Load what was left out again; what came in meanwhile is loaded from the log, as far as the log goes back.

    \b
    Example:
      headwater warehouses include Archive --source website --collection "Page Viewed"
    """
    _change(key, at, chosen, is_enabled=True, json_=json_)


COMMANDS: Final = (selection, exclude, include)
