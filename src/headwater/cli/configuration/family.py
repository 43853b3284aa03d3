"""What every kind of thing in the document has in common."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from headwater.cli.server import Server, segment

MASKED: Final = "••••••••"
"""How the API shows a secret."""

REFERENCE: Final = "env"
"""The member of `{env: NAME}`, which stands for a secret: the variable that holds it."""

LINK: Final = "ref"
"""The member of `{ref: {kind: …, name: …}}`, which stands for the id of a function."""

_NO_NAME: Final = re.compile(r"[^A-Z0-9]+")

Item = dict[str, Any]
"""One thing as the document has it; what belongs to it (filters of a destination) is not in it."""

Key = tuple[str, ...]
"""What a thing is called: a source by its slug, a destination by its source and name."""


@dataclass(slots=True)
class World:
    """One workspace on one server, and the ids of what it has: `{section: {key: id}}`."""

    at: Server
    ids: dict[str, dict[Key, str]] = field(default_factory=dict)

    def id_of(self, section: str, key: Key) -> str:
        """Return the id of a thing that there is.

        Raises:
            KeyError: there is none.
        """
        return self.ids[section][key]

    def key_of(self, section: str, identity: str) -> Key | None:
        """Return what a thing is called, None where nothing has this id."""
        return next((key for key, each in self.ids.get(section, {}).items() if each == identity), None)

    def path(self, pattern: str, *ids: str) -> str:
        """Return an address of the API with ids in the places of `{}`."""
        return pattern.format(*map(segment, ids))


class Family(ABC):
    """One section of the document.

    Attributes:
        section: its name in the document.
        word: what people call one of its things.
        keys: the members by which a thing is known.
        parent: the section whose things hold these, "" at the top.
    """

    section: ClassVar[str]
    word: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]
    parent: ClassVar[str] = ""

    @abstractmethod
    def read(self, world: World) -> dict[Key, Item]:
        """Return what there is, in order, and note the ids."""

    @abstractmethod
    def create(self, world: World, item: Item) -> str:
        """Make one and return its id; references are resolved."""

    @abstractmethod
    def update(self, world: World, key: Key, item: Item, changed: Sequence[str]) -> None:
        """Change the members that are named; references are resolved, or masked where they stay."""

    @abstractmethod
    def delete(self, world: World, key: Key) -> None:
        """Delete one."""

    def key(self, item: Item) -> Key:
        """Return what a thing is called."""
        return tuple(str(item[name]) for name in self.keys)


def referred(settings: Mapping[str, Any], word: str, *names: str) -> dict[str, Any]:
    """Return settings with `{env: …}` for each secret: a name that tells whose it is."""
    return {
        name: {REFERENCE: variable(word, *names, name)} if value == MASKED else value
        for name, value in settings.items()
    }


def linked(world: World, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with `{ref: {kind, name}}` for the id of a function, which is another on each server."""
    names = {identity: key for key, identity in world.ids.get("functions", {}).items()}
    return {
        name: {LINK: dict(zip(("kind", "name"), names[value], strict=True))}
        if isinstance(value, str) and value in names
        else value
        for name, value in settings.items()
    }


def variable(*words: str) -> str:
    """Return the name of an environment variable for a secret."""
    return "HEADWATER_" + "_".join(_NO_NAME.sub("_", word.upper()).strip("_") for word in words)


def is_reference(value: Any) -> bool:
    """Tell whether a value stands for a secret."""
    return isinstance(value, dict) and value.keys() == {REFERENCE}


def only(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the members of these names that are there."""
    return {name: item[name] for name in names if name in item}
