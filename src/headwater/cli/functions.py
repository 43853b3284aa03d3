"""`headwater functions`: JavaScript of one's own, as a source, before a destination or as a destination."""

from __future__ import annotations

from typing import Final

import click

from headwater.cli import function_use, inputs, printing, server
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import Thing, json_option
from headwater.cli.function_use import KINDS, TYPES, file_option, find, instances, path_of, type_option
from headwater.cli.server import Server

_SETTING: Final = "NAME[,required][,secret][,boolean|array|text_map]"

settings_option = click.option(
    "--setting", "settings", multiple=True, metavar="SETTING", help=f"A setting that it takes: {_SETTING}."
)
deploy_option = click.option("--deploy", "is_deployed", is_flag=True, help="Put this code into use at once.")


@click.group()
def command() -> None:
    """Write, test and use JavaScript of your own. FUNCTION is an id or a name.

    Code runs once it is deployed. An insert function stands before destinations: `attach`. A destination or source
    function is the setting `function` of a destination or source of the type function.

    \b
    Example:
      headwater functions create Clean --type insert --file clean.js --setting token,required,secret --deploy
      headwater functions test Clean --event track --set token=abc
      headwater functions attach Clean "My hook" --set-env token=CLEAN_TOKEN
    """


@command.command("list")
@type_option
@json_option
@server.options
def list_(at: Server, *, type_: str | None, json_: bool) -> None:
    """List the functions.

    \b
    Example:
      headwater functions list --type insert
    """
    found = [each for each in at.pages("/functions", "functions") if type_ is None or _kind(each) == type_]
    if json_:
        printing.as_json(found)
        return
    rows = [[value(each) for _, value in _COLUMNS] for each in found]
    printing.table([head for head, _ in _COLUMNS], rows, empty="There are no functions; `create` makes one.")


@command.command()
@click.argument("function")
@json_option
@server.options
def show(at: Server, function: str, *, json_: bool) -> None:
    """Show one with its settings, where it stands, and its newest code.

    \b
    Example:
      headwater functions show Clean
    """
    found = find(at, function)
    places = instances(at, found)
    if json_:
        printing.as_json({**found, "instances": places})
        return
    _facts(found)
    names = {each["id"]: each["name"] for each in DESTINATIONS.all(at)} if places else {}
    printing.facts(("stands before", names.get(each["integrationId"], each["integrationId"])) for each in places)
    click.echo()
    printing.lines(found["code"])


@command.command()
@click.argument("name")
@click.option("--type", "type_", type=click.Choice(list(KINDS)), required=True, help="Where it stands.")
@click.option("--file", "file", metavar="FILE", required=True, help="Its code; - is standard input.")
@click.option("--description", default="", help="What it is for.")
@settings_option
@deploy_option
@json_option
@server.options
def create(  # noqa: PLR0913 - one parameter an option
    at: Server,
    name: str,
    *,
    type_: str,
    file: str,
    description: str,
    settings: tuple[str, ...],
    is_deployed: bool,
    json_: bool,
) -> None:
    """Keep a new function; it runs nowhere until it is deployed.

    \b
    Example:
      headwater functions create Clean --type insert --file clean.js --setting token,required,secret --deploy
    """
    body: Thing = {"displayName": name, "resourceType": KINDS[type_], "code": inputs.text(file, "--file")}
    body |= {"description": description, "settings": [_definition(text) for text in settings]}
    made = at.call("POST", "/functions", body)["function"]
    _changed(at, made, is_deployed=is_deployed, json_=json_)


@command.command()
@click.argument("function")
@click.option("--name", help="What people see.")
@file_option
@click.option("--description", help="What it is for.")
@settings_option
@deploy_option
@json_option
@server.options
def update(  # noqa: PLR0913 - one parameter an option
    at: Server,
    function: str,
    *,
    name: str | None,
    file: str | None,
    description: str | None,
    settings: tuple[str, ...],
    is_deployed: bool,
    json_: bool,
) -> None:
    """Change a function; what is not named stays, --setting names all of them. New code runs once it is deployed.

    \b
    Example:
      headwater functions update Clean --file clean.js --deploy
    """
    code = None if file is None else inputs.text(file, "--file")
    definitions = [_definition(text) for text in settings] or None
    named = {"displayName": name, "code": code, "description": description, "settings": definitions}
    change = {member: value for member, value in named.items() if value is not None}
    if not change:
        raise click.UsageError("Nothing to change; use --name, --file, --description or --setting.")
    changed = at.call("PATCH", path_of(find(at, function)), change)["function"]
    _changed(at, changed, is_deployed=is_deployed, json_=json_)


@command.command()
@click.argument("function")
@json_option
@server.options
def deploy(at: Server, function: str, *, json_: bool) -> None:
    """Put the newest code into use, wherever the function stands.

    \b
    Example:
      headwater functions deploy Clean
    """
    _changed(at, find(at, function), is_deployed=True, json_=json_)


@command.command()
@click.argument("function")
@json_option
@server.options
def versions(at: Server, function: str, *, json_: bool) -> None:
    """List the states of the code that are kept, newest first.

    \b
    Example:
      headwater functions versions Clean
    """
    found = at.pages(f"{path_of(find(at, function))}/versions", "versions")
    if json_:
        printing.as_json(found)
        return
    rows = [[each[name] for name in ("number", "author", "createdAt", "isDeployed")] for each in found]
    printing.table(("number", "author", "created", "in use"), rows, empty="There are none.")


@command.command()
@click.argument("function")
@click.argument("number", type=int)
@deploy_option
@json_option
@server.options
def restore(at: Server, function: str, number: int, *, is_deployed: bool, json_: bool) -> None:
    """Make an earlier state of the code the newest again; it runs once it is deployed.

    \b
    Example:
      headwater functions restore Clean 3 --deploy
    """
    path = path_of(find(at, function))
    kept = {each["number"]: each["id"] for each in at.pages(f"{path}/versions", "versions")}
    if number not in kept:
        raise click.ClickException(f"There is no state {number}; `headwater functions versions` shows them.")
    at.call("POST", f"{path}/versions", {"versionId": kept[number]})
    _changed(at, at.call("GET", path)["function"], is_deployed=is_deployed, json_=json_)


@command.command()
@click.argument("function")
@json_option
@server.options
def delete(at: Server, function: str, *, json_: bool) -> None:
    """Delete a function that is used nowhere.

    \b
    Example:
      headwater functions delete Clean
    """
    found = find(at, function)
    at.call("DELETE", path_of(found))
    if json_:
        printing.as_json(found)
    else:
        click.echo(f"Deleted function {printing.text_of(found['displayName'])}.")


def _changed(at: Server, function: Thing, *, is_deployed: bool, json_: bool) -> None:
    """Print a function after a change, deployed where that is wanted."""
    if is_deployed:
        at.call("POST", f"{path_of(function)}/deploy", is_long=True)
        function = at.call("GET", path_of(function))["function"]
    if json_:
        printing.as_json(function)
    else:
        _facts(function)


def _facts(function: Thing) -> None:
    takes = ", ".join(each["name"] + (" (secret)" if each["sensitive"] else "") for each in function["settings"])
    shown = [(head, value(function)) for head, value in _COLUMNS]
    printing.facts([*shown, ("description", function["description"] or None), ("takes", takes or None)])


def _definition(text: str) -> Thing:
    """Return a setting as the API takes it, of `NAME[,required][,secret][,TYPE]`."""
    name, *words = (word.strip() for word in text.split(","))
    types = [word for word in words if word.upper() in TYPES]
    if not name or len(types) > 1 or set(words) - {"required", "secret", *types}:
        raise click.UsageError(f"--setting: {text[:40]!r} is not of the form {_SETTING}.")
    setting = {"name": name, "label": name, "type": types[0].upper() if types else "STRING"}
    return setting | {"required": "required" in words, "sensitive": "secret" in words}


def _kind(function: Thing) -> str:
    return next((name for name, kind in KINDS.items() if kind == function["resourceType"]), function["resourceType"])


def _used(function: Thing) -> str:
    if function["deployedAt"] is None:
        return "no"
    return "newest" if function["isLatestVersion"] else "earlier code"


_COLUMNS: Final = (
    ("id", lambda each: each["id"]),
    ("name", lambda each: each["displayName"]),
    ("type", _kind),
    ("in use", _used),
    ("created", lambda each: each["createdAt"]),
)

for each in function_use.COMMANDS:
    command.add_command(each)
