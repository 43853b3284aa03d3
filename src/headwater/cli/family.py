"""What sources, destinations and warehouses have in common on the command line."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import click

from headwater.cli import printing, server
from headwater.cli.server import Server

json_option = click.option("--json", "json_", is_flag=True, help="Print JSON.")


class Given(NamedTuple):
    """Settings as the command line has them: `NAME=VALUE` and `NAME=VARIABLE`."""

    values: tuple[str, ...]
    variables: tuple[str, ...]

    def pairs(self) -> list[tuple[str, str]]:
        """Return all of them as (name, text), those of variables with what the variables hold.

        Raises:
            UsageError: no `=`, or a variable that is not set.
        """
        found = [pair(each) for each in self.values]
        for name, variable in map(pair, self.variables):
            if variable not in os.environ:
                raise click.UsageError(f"--set-env {name}: the variable {variable} is not set")
            found.append((name, os.environ[variable]))
        return found


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--set` and `--set-env`; it gets both as `given`."""

    @click.option(
        "--set",
        "values",
        multiple=True,
        metavar="NAME=VALUE",
        help="A setting; `catalog TYPE`, of a function `show`, lists them.",
    )
    @click.option("--set-env", "variables", multiple=True, metavar="NAME=VARIABLE", help="For secrets.")
    @functools.wraps(command)
    def packed(*args: Any, values: tuple[str, ...], variables: tuple[str, ...], **kwargs: Any) -> None:
        command(*args, given=Given(values, variables), **kwargs)

    return packed


Thing = dict[str, Any]


def _no_more(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def packed(*args: Any, **kwargs: Any) -> None:
        command(*args, more={}, **kwargs)

    return packed


@dataclass(frozen=True)
class Family:
    """One of the three.

    Attributes:
        word: `source`, `destination` or `warehouse`.
        columns: of the list, as (head, value of a thing).
        details: further lines of `show`.
        more: gives `update` further options; it gets what they change in the request's body as `more`.
    """

    word: str
    columns: Sequence[tuple[str, Callable[[Thing], Any]]]
    details: Sequence[tuple[str, Callable[[Thing], Any]]]
    more: Callable[[Callable[..., None]], Callable[..., None]] = _no_more

    def all(self, at: Server) -> list[Thing]:
        """Return all of them."""
        return at.pages(f"/{self.word}s", f"{self.word}s")

    def find(self, at: Server, key: str) -> Thing:
        """Return the one whose id, slug or name is `key`.

        Raises:
            ClickException: there is none, or more than one.
        """
        return one_called(self.all(at), key, self.word, f"headwater {self.word}s list", ("id", "slug", "name"))

    def show(self, thing: Thing, *, json_: bool) -> None:
        """Print one."""
        if json_:
            printing.as_json(thing)
            return
        settings = [(f"setting {name}", value) for name, value in thing["settings"].items() if name != "name"]
        printing.facts([*((head, value(thing)) for head, value in (*self.columns, *self.details)), *settings])

    def settings(self, at: Server, type_: str, given: Given) -> dict[str, Any]:
        """Return `--set` and `--set-env` as JSON values, by the types of the catalog.

        Raises:
            UsageError: no `=`, an unknown name or variable, or a value of another type.
        """
        pairs = given.pairs()
        if not pairs:
            return {}
        entry = at.call("GET", f"/catalog/{self.word}s/{server.segment(type_)}")[f"{self.word}Metadata"]
        return values_of(pairs, {option["name"]: option["type"] for option in entry["options"]})


def one_called(things: Sequence[Thing], key: str, word: str, lists: str, members: Sequence[str]) -> Thing:
    """Return the one of which a member is `key`, the first member that somebody has deciding.

    Args:
        things: among which it is looked for.
        key: what was typed.
        word: what such a thing is called.
        lists: the command that shows them.
        members: by which it can be called.

    Raises:
        ClickException: there is none, or more than one.
    """
    for member in members:
        found = [thing for thing in things if thing.get(member) == key]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(thing["id"] for thing in found)
            raise click.ClickException(f"{len(found)} {word}s are called {key!r}; name one by its id: {ids}.")
    raise click.ClickException(f"There is no {word} {key!r}; `{lists}` shows them.")


def values_of(pairs: Sequence[tuple[str, str]], types: Mapping[str, str]) -> dict[str, Any]:
    """Return settings as JSON values, by the types of what takes them.

    Raises:
        UsageError: an unknown name, or a value of another type.
    """
    return {name: _value(name, text, types) for name, text in pairs}


def pair(text: str) -> tuple[str, str]:
    """Return name and value of `NAME=VALUE`.

    Raises:
        UsageError: it is not of this form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text[:40]!r} is not of the form NAME=VALUE")
    return name, value


def _value(name: str, text: str, types: Mapping[str, str]) -> Any:
    if name not in types:
        raise click.UsageError(f"There is no setting {name!r}; known are: {', '.join(types) or 'none'}")
    if types[name] == "string":
        return text
    words = {"yes": True, "no": False}
    if types[name] == "boolean" and text in words:
        return words[text]
    try:
        return json.loads(text)
    except ValueError:
        raise click.UsageError(f"{name} is a {types[name]}: write it as JSON") from None


def add_shared(group: click.Group, family: Family) -> None:
    """Give a command group `catalog`, `list`, `show`, `update`, `enable`, `disable` and `delete`."""
    word = family.word
    _add_catalog(group, word)

    @server.options
    def list_(at: Server, json_: bool) -> None:  # noqa: FBT001 - click hands flags over
        things = family.all(at)
        if json_:
            printing.as_json(things)
            return
        rows = [[value(thing) for _, value in family.columns] for thing in things]
        printing.table([head for head, _ in family.columns], rows, empty=f"There are no {word}s; `create` makes one.")

    @server.options
    def show(at: Server, key: str, json_: bool) -> None:  # noqa: FBT001
        family.show(family.find(at, key), json_=json_)

    @server.options
    def delete(at: Server, key: str, json_: bool) -> None:  # noqa: FBT001
        thing = family.find(at, key)
        at.call("DELETE", f"/{word}s/{server.segment(thing['id'])}")
        if json_:
            printing.as_json(thing)
        else:
            click.echo(f"Deleted {word} {printing.text_of(thing['name'])}.")

    _add(group, "list", f"List the {word}s.", f"headwater {word}s list", json_option(list_))
    for name, body, line in (("show", json_option(show), "Show one"), ("delete", json_option(delete), "Delete one")):
        with_key = click.argument("key", metavar=word.upper())(body)
        _add(group, name, f"{line} {word}, by id or name.", f"headwater {word}s {name} my-{word}", with_key)
    _add_update(group, family)
    for name, is_enabled in (("enable", True), ("disable", False)):
        _add_switch(group, family, name, is_enabled=is_enabled)


def _add_update(group: click.Group, family: Family) -> None:
    word = family.word

    @click.argument("key", metavar=word.upper())
    @click.option("--name", help="What people see.")
    @settings_options
    @family.more
    @json_option
    @server.options
    def update(at: Server, key: str, name: str | None, *, given: Given, json_: bool, more: Thing) -> None:
        thing = family.find(at, key)
        settings = family.settings(at, thing["metadata"]["slug"], given)
        if name is None and not settings and not more:
            raise click.UsageError(f"Nothing to change; `headwater {word}s update --help` lists what can be.")
        body = ({} if name is None else {"name": name}) | ({"settings": settings} if settings else {}) | more
        changed = at.call("PATCH", f"/{word}s/{server.segment(thing['id'])}", body)[word]
        family.show(changed, json_=json_)

    line = f"Change name or settings of a {word}; settings that are not named stay."
    _add(group, "update", line, f'headwater {word}s update my-{word} --name "A better name"', update)


def _add_switch(group: click.Group, family: Family, name: str, *, is_enabled: bool) -> None:
    word = family.word

    @click.argument("key", metavar=word.upper())
    @json_option
    @server.options
    def switch(at: Server, key: str, *, json_: bool) -> None:
        thing = family.find(at, key)
        changed = at.call("PATCH", f"/{word}s/{server.segment(thing['id'])}", {"enabled": is_enabled})[word]
        if json_:
            printing.as_json(changed)
        else:
            click.echo(f"{name.capitalize()}d {word} {printing.text_of(thing['name'])}.")

    line = f"{name.capitalize()} a {word}, by id or name."
    _add(group, name, line, f"headwater {word}s {name} my-{word}", switch)


def _add_catalog(group: click.Group, word: str) -> None:
    @click.argument("type_", metavar="[TYPE]", required=False)
    @json_option
    @server.options
    def catalog(at: Server, type_: str | None, json_: bool) -> None:  # noqa: FBT001
        if type_ is None:
            _print_types(at.pages(f"/catalog/{word}s", f"{word}sCatalog"), json_=json_)
        else:
            entry = at.call("GET", f"/catalog/{word}s/{server.segment(type_)}")[f"{word}Metadata"]
            _print_type(entry, json_=json_)

    line = f"List the types of {word} there are, or one with its settings."
    _add(group, "catalog", line, f"headwater {word}s catalog", catalog)


def _print_types(entries: list[Thing], *, json_: bool) -> None:
    if json_:
        printing.as_json(entries)
        return
    rows = [
        (each["slug"], each["name"], " ".join(filter(None, (each["description"], _why_not(each))))) for each in entries
    ]
    printing.table(("type", "name", "description"), rows, empty="The catalog is empty.", whole=True)


def _why_not(entry: Thing) -> str | None:
    """Return why something cannot be used here as things are, None when it can."""
    return entry.get("unavailableReason") or entry.get("missing") or None


def _print_type(entry: Thing, *, json_: bool) -> None:
    if json_:
        printing.as_json(entry)
        return
    told = [("type", entry["slug"]), ("name", entry["name"]), ("description", entry["description"])]
    printing.facts([*told, ("not yet", _why_not(entry)), *(("note", note) for note in entry.get("notes", ()))])
    members = ("name", "type", "required", "secret", "description")
    rows = [[_told(option, name) for name in members] for option in entry["options"]]
    printing.table(("setting", *members[1:]), rows, empty="There is nothing to set.", whole=True)


def _told(option: Thing, name: str) -> Any:
    """Return what stands in a column; the description also tells the choices."""
    choices = f" One of: {', '.join(option['choices'])}." if name == "description" and "choices" in option else ""
    return f"{option[name]}{choices}" if choices else option[name]


def _add(group: click.Group, name: str, line: str, example: str, body: Callable[..., None]) -> None:
    group.command(name, help=f"{line}\n\n\b\nExample:\n  {example}")(body)
