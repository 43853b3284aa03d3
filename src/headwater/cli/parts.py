"""What the filters and the mappings of a destination have in common on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from headwater.cli import printing, server
from headwater.cli.destinations import FAMILY as DESTINATIONS
from headwater.cli.family import Thing, json_option, one_called
from headwater.cli.server import Server


@dataclass(frozen=True)
class Part:
    """One of the two.

    Attributes:
        word: `filter` or `mapping`.
        path: of the API, with `{}` for the destination's id.
        many, one, made: members of the API's answers: a list, a single one, a new one.
        label: the member by which people call it.
        wrapped: makes the body of a change.
        columns: of the list, as (head, value of a part).
        details: further lines of `show`.
    """

    word: str
    path: str
    many: str
    one: str
    made: str
    label: str
    wrapped: Callable[[Thing], Thing]
    columns: Sequence[tuple[str, Callable[[Thing], Any]]]
    details: Callable[[Thing], list[tuple[str, Any]]]

    def path_of(self, destination: Thing, part: Thing | None = None) -> str:
        """Return where the API has all of a destination's, or one."""
        many = self.path.format(server.segment(destination["id"]))
        return many if part is None else f"{many}/{server.segment(part['id'])}"

    def all(self, at: Server, destination: Thing) -> list[Thing]:
        """Return all of a destination's."""
        return at.pages(self.path_of(destination), self.many)

    def find(self, at: Server, destination: Thing, key: str) -> Thing:
        """Return the one whose id or title is `key`.

        Raises:
            ClickException: there is none, or more than one.
        """
        lists = f"headwater {self.word}s list {destination['id']}"
        return one_called(self.all(at, destination), key, self.word, lists, ("id", self.label))

    def create(self, at: Server, destination: Thing, body: Thing) -> Thing:
        """Add one and return it."""
        made: Thing = at.call("POST", self.path_of(destination), body)[self.made]
        return made

    def update(self, at: Server, destination: Thing, part: Thing, change: Thing) -> Thing:
        """Change one and return it."""
        changed: Thing = at.call("PATCH", self.path_of(destination, part), self.wrapped(change))[self.one]
        return changed

    def show(self, part: Thing, *, json_: bool) -> None:
        """Print one."""
        if json_:
            printing.as_json(part)
        else:
            printing.facts([*((head, value(part)) for head, value in self.columns), *self.details(part)])


def add_shared(group: click.Group, kind: Part) -> None:
    """Give a command group `list`, `show`, `enable`, `disable` and `delete`."""
    word = kind.word

    @click.argument("destination")
    @json_option
    @server.options
    def list_(at: Server, destination: str, *, json_: bool) -> None:
        parts = kind.all(at, DESTINATIONS.find(at, destination))
        if json_:
            printing.as_json(parts)
            return
        rows = [[value(part) for _, value in kind.columns] for part in parts]
        empty = f"This destination has no {word}s; `create` makes one."
        printing.table([head for head, _ in kind.columns], rows, empty=empty)

    @click.argument("destination")
    @click.argument("key", metavar=word.upper())
    @json_option
    @server.options
    def show(at: Server, destination: str, key: str, *, json_: bool) -> None:
        kind.show(kind.find(at, DESTINATIONS.find(at, destination), key), json_=json_)

    @click.argument("destination")
    @click.argument("key", metavar=word.upper())
    @json_option
    @server.options
    def delete(at: Server, destination: str, key: str, *, json_: bool) -> None:
        place = DESTINATIONS.find(at, destination)
        part = kind.find(at, place, key)
        at.call("DELETE", kind.path_of(place, part))
        if json_:
            printing.as_json(part)
        else:
            click.echo(f"Deleted {word} {printing.text_of(part[kind.label])}.")

    add(group, "list", f"List a destination's {word}s.", f'headwater {word}s list "My hook"', list_)
    add(group, "show", f"Show one {word}, by id or name.", f'headwater {word}s show "My hook" "No tests"', show)
    add(group, "delete", f"Delete one {word}, by id or name.", f'headwater {word}s delete "My hook" "No tests"', delete)
    for name, is_enabled in (("enable", True), ("disable", False)):
        _add_switch(group, kind, name, is_enabled=is_enabled)


def _add_switch(group: click.Group, kind: Part, name: str, *, is_enabled: bool) -> None:
    word = kind.word

    @click.argument("destination")
    @click.argument("key", metavar=word.upper())
    @json_option
    @server.options
    def switch(at: Server, destination: str, key: str, *, json_: bool) -> None:
        place = DESTINATIONS.find(at, destination)
        part = kind.update(at, place, kind.find(at, place, key), {"enabled": is_enabled})
        if json_:
            printing.as_json(part)
        else:
            click.echo(f"{name.capitalize()}d {word} {printing.text_of(part[kind.label])}.")

    line = f"{name.capitalize()} a {word}, by id or name."
    add(group, name, line, f'headwater {word}s {name} "My hook" "No tests"', switch)


def add(group: click.Group, name: str, line: str, example: str, body: Callable[..., None]) -> None:
    """Give a command group one command with an example in its help."""
    group.command(name, help=f"{line}\n\n\b\nExample:\n  {example}")(body)


def previewed(found: Thing, away: str, *, json_: bool) -> None:
    """Print what a preview left of an event; `away` is the sentence for nothing."""
    if json_:
        printing.as_json(found)
    elif found["result"] is None:
        click.echo(away, err=True)
    else:
        printing.as_json(found["result"])
