"""`headwater labels`: words that sort sources."""

from __future__ import annotations

import click

from headwater.cli import printing, server
from headwater.cli.family import Thing, json_option
from headwater.cli.server import Server
from headwater.cli.sources import FAMILY as SOURCES


@click.group()
def command() -> None:
    """Sort sources by labels: a label is KEY:VALUE, made once, then given to sources.

    \b
    Example:
      headwater labels create environment:prod
      headwater labels give website environment:prod
    """


@command.command("list")
@json_option
@server.options
def list_(at: Server, *, json_: bool) -> None:
    """List the labels and how many sources have each.

    \b
    Example:
      headwater labels list
    """
    found = at.call("GET", "/labels")["labels"]
    if json_:
        printing.as_json(found)
        return
    having = [_word(each) for source in SOURCES.all(at) for each in source["labels"]]
    rows = [(_word(each), having.count(_word(each)), each["description"]) for each in found]
    empty = "There are no labels; `headwater labels create KEY:VALUE` makes one."
    printing.table(("label", "sources", "description"), rows, empty=empty)


@command.command()
@click.argument("label")
@click.option("--description", default="", help="What it is for.")
@json_option
@server.options
def create(at: Server, label: str, *, description: str, json_: bool) -> None:
    """Make a label.

    \b
    Example:
      headwater labels create environment:prod --description "Real customers"
    """
    made = at.call("POST", "/labels", {"label": _parted(label) | {"description": description}})["label"]
    _done(made, f"Made {_word(made)}.", json_=json_)


@command.command()
@click.argument("label")
@json_option
@server.options
def delete(at: Server, label: str, *, json_: bool) -> None:
    """Delete a label, also from the sources that have it.

    \b
    Example:
      headwater labels delete environment:test
    """
    parted = _parted(label)
    path = f"/labels/{server.segment(parted['key'])}/{server.segment(parted['value'])}"
    _done(at.call("DELETE", path), f"Deleted {label}.", json_=json_)


@command.command()
@click.argument("source")
@click.argument("labels", nargs=-1)
@click.option("--only", "is_only", is_flag=True, help="Take away those that are not named.")
@json_option
@server.options
def give(at: Server, source: str, labels: tuple[str, ...], *, is_only: bool, json_: bool) -> None:
    """Give a source labels beside those that it has.

    \b
    Example:
      headwater labels give website environment:prod team:web
      headwater labels give website --only
    """
    if not labels and not is_only:
        raise click.UsageError("Name the labels, or take all away by --only.")
    path = f"/sources/{server.segment(SOURCES.find(at, source)['id'])}/labels"
    found = at.call("PUT" if is_only else "POST", path, {"labels": [_parted(each) for each in labels]})["labels"]
    told = ", ".join(map(_word, found)) or "no labels"
    _done(found, f"{source} has {told}.", json_=json_)


def _parted(label: str) -> dict[str, str]:
    key, colon, value = label.partition(":")
    if not colon:
        raise click.UsageError(f"{label!r} is no label; write KEY:VALUE, such as environment:prod.")
    return {"key": key, "value": value}


def _word(label: Thing) -> str:
    return f"{label['key']}:{label['value']}"


def _done(answer: Thing | list[Thing], told: str, *, json_: bool) -> None:
    if json_:
        printing.as_json(answer)
    else:
        click.echo(printing.text_of(told, None))
