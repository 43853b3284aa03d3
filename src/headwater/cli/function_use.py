"""The part of `headwater functions` that uses one: test it, put it before a destination; and how one is found."""

from __future__ import annotations

from typing import Final

import click

from headwater.cli import inputs, printing, server, tries
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import Given, Thing, json_option, one_called, settings_options, values_of
from headwater.cli.server import Server

KINDS: Final = {"destination": "DESTINATION", "insert": "INSERT_DESTINATION", "source": "SOURCE"}
"""Segment's `resourceType` by the word for it on the command line."""

TYPES: Final = {"STRING": "string", "BOOLEAN": "boolean", "ARRAY": "list", "TEXT_MAP": "map"}
"""What a setting's value is called, by its type."""

type_option = click.option("--type", "type_", type=click.Choice(list(KINDS)), help="Where it stands.")
file_option = click.option("--file", "file", metavar="FILE", help="Its code; - is standard input.")


def find(at: Server, key: str) -> Thing:
    """Return the function whose id or name is `key`, with its newest code.

    Raises:
        ClickException: there is none, or more than one.
    """
    found = one_called(
        at.pages("/functions", "functions"), key, "function", "headwater functions list", ("id", "displayName")
    )
    whole: Thing = at.call("GET", path_of(found))["function"]
    return whole


def path_of(function: Thing) -> str:
    """Return where the API has a function."""
    return f"/functions/{server.segment(function['id'])}"


def instances(at: Server, function: Thing) -> list[Thing]:
    """Return where a function stands before destinations."""
    return at.pages("/insert-function-instances", "instances", {"functionId": function["id"]})


@click.command()
@click.argument("function", required=False, metavar="[FUNCTION]")
@type_option
@file_option
@inputs.event_option
@settings_options
@json_option
@server.options
def test(
    at: Server,
    function: str | None,
    *,
    type_: str | None,
    file: str | None,
    event: str,
    given: Given,
    json_: bool,
) -> None:
    """Run a function once with one event: how it ended, what it returned and what it wrote. Its `fetch` is real.

    With --file, this code runs instead of the newest. A source function gets a request:
    {"url", "headers", "body"}. The command fails when the function did.

    \b
    Example:
      headwater functions test Clean --event order.json --set token=abc
      headwater functions test --type insert --file clean.js --event track
      headwater functions test Orders --event request.json
    """
    body = _run(at, function, type_, file, given)
    if body["resourceType"] == KINDS["source"] and event in inputs.SAMPLES:
        raise click.UsageError('A source function gets a request: --event FILE with {"url", "headers", "body"}.')
    ended = at.call("POST", "/functions/test", {**body, "event": inputs.event(event)}, is_long=True)
    if json_:
        printing.as_json(ended)
    else:
        tries.show_run(ended)
    if ended["kind"] in {"failed", "retry"}:
        raise click.exceptions.Exit(1)


def _run(at: Server, function: str | None, type_: str | None, file: str | None, given: Given) -> Thing:
    """Return what is run: a function that is kept, or code from a file, or both."""
    if function is None:
        if type_ is None or file is None:
            raise click.UsageError("Name a function, or --type and --file.")
        settings = dict(given.pairs())
        return {"code": inputs.text(file, "--file"), "resourceType": KINDS[type_], "settings": settings}
    if type_ is not None:
        raise click.UsageError("--type goes with --file alone; a function has a type.")
    found = find(at, function)
    code = found["code"] if file is None else inputs.text(file, "--file")
    return {"code": code, "resourceType": found["resourceType"], "settings": _settings(found, given)}


@click.command()
@click.argument("function")
@click.argument("destination")
@click.option("--name", help="What people see (default: the function's name).")
@click.option("--disabled", is_flag=True, help="Let it stand there, but do not run it yet.")
@settings_options
@json_option
@server.options
def attach(
    at: Server,
    function: str,
    destination: str,
    *,
    name: str | None,
    disabled: bool,
    given: Given,
    json_: bool,
) -> None:
    """Put an insert function before a destination, behind those that stand there.

    \b
    Example:
      headwater functions attach Clean "My hook" --set-env token=CLEAN_TOKEN
    """
    found, place = find(at, function), DESTINATIONS.find(at, destination)
    body = {"functionId": found["id"], "integrationId": place["id"], "name": name or found["displayName"]}
    body |= {"settings": _settings(found, given), "enabled": not disabled}
    made = at.call("POST", "/insert-function-instances", body)["insertFunctionInstance"]
    if json_:
        printing.as_json(made)
    else:
        click.echo(f"{printing.text_of(made['name'])} stands before {printing.text_of(place['name'])} now.")


@click.command()
@click.argument("function")
@click.argument("destination")
@click.option("--name", help="The one that was attached under this name.")
@json_option
@server.options
def detach(at: Server, function: str, destination: str, *, name: str | None, json_: bool) -> None:
    """Take an insert function away from before a destination; its settings there are forgotten.

    \b
    Example:
      headwater functions detach Clean "My hook"
    """
    place = DESTINATIONS.find(at, destination)
    there = [each for each in instances(at, find(at, function)) if each["integrationId"] == place["id"]]
    named = [each for each in there if name in {None, each["name"], each["id"]}]
    if not named:
        raise click.ClickException("It does not stand before this destination; `headwater functions show` tells where.")
    if len(named) > 1:
        names = ", ".join(f"{printing.text_of(each['name'])} ({each['id']})" for each in named)
        raise click.ClickException(f"It stands there {len(named)} times; name one with --name: {names}.")
    at.call("DELETE", f"/insert-function-instances/{server.segment(named[0]['id'])}")
    if json_:
        printing.as_json(named[0])
    else:
        click.echo(f"{printing.text_of(named[0]['name'])} no longer stands before {printing.text_of(place['name'])}.")


def _settings(function: Thing, given: Given) -> Thing:
    return values_of(given.pairs(), {each["name"]: TYPES[each["type"]] for each in function["settings"]})


COMMANDS: Final = (test, attach, detach)
