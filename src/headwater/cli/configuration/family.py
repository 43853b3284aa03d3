"""What every kind of thing in the document has in common."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import click

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
    """One workspace on one server, and the ids of what it has: `{section: {key: id}}`.

    Attributes:
        twins: things that are called as another of their section, which a document cannot tell apart.
        joins: whether new sources are loaded into every warehouse, because the document says nothing of warehouses.
    """

    at: Server
    ids: dict[str, dict[Key, str]] = field(default_factory=dict)
    twins: list[tuple[Family, Key]] = field(default_factory=list)
    joins: bool = True
    _keys: dict[str, dict[str, Key]] = field(default_factory=dict)
    _variables: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, family: Family, key: Key, identity: str) -> Key:
        """Remember what a thing is called, and return it."""
        ids = self.ids.setdefault(family.section, {})
        if key in ids:
            self.twins.append((family, key))
        ids[key] = identity
        self._keys.setdefault(family.section, {})[identity] = key
        return key

    def forget(self, family: Family, key: Key) -> None:
        """Forget a thing that is gone."""
        identity = self.ids[family.section].pop(key, "")
        self._keys[family.section].pop(identity, None)

    def id_of(self, section: str, key: Key) -> str:
        """Return the id of a thing that there is.

        Raises:
            ClickException: there is none.
        """
        try:
            return self.ids[section][key]
        except KeyError:
            raise click.ClickException(f"There is no {' / '.join(key)!r} among the {section}.") from None

    def key_of(self, section: str, identity: str) -> Key | None:
        """Return what a thing is called, None where nothing has this id."""
        return self._keys.get(section, {}).get(identity)

    def name_of(self, section: str, identity: str) -> str:
        """Return what a thing with a single name is called."""
        return (self.key_of(section, identity) or ("?",))[-1]

    def secret(self, *words: str) -> Item:
        """Return `{env: NAME}` for a secret: a name that tells whose it is, and that no other secret has."""
        base = "HEADWATER_" + "_".join(_NO_NAME.sub("_", word.upper()).strip("_") for word in words)
        name, number = base, 1
        while self._variables.setdefault(name, words) != words:  # "My hook" and "my-hook" are two
            number += 1
            name = f"{base}_{number}"
        return {REFERENCE: name}

    def path(self, pattern: str, *ids: str) -> str:
        """Return an address of the API with ids in the places of `{}`."""
        return pattern.format(*map(segment, ids))


class Family(ABC):
    """One section of the document.

    Attributes:
        section: its name in the document.
        word: what people call one of its things.
        keys: the members by which a thing is known.
        takes: the other members and what each is: text, texts, flag, number, mapping, mappings; `?` where null may be.
        needs: those without which none is made.
        parent: the section whose things hold these, "" at the top.
        goes: whether it goes with its source or destination, whose names its key begins with.
        sealed: members that are, or hold, `{env: …}` or `{ref: …}`.
        whole: members that are given as a whole: what is not in them is taken away.
        unordered: lists whose order says nothing.
    """

    section: ClassVar[str]
    word: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]
    takes: ClassVar[Mapping[str, str]]
    needs: ClassVar[tuple[str, ...]] = ()
    parent: ClassVar[str] = ""
    goes: ClassVar[bool] = False
    sealed: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[tuple[str, ...]] = ()
    unordered: ClassVar[tuple[str, ...]] = ()

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

    def called(self, key: Key) -> str:
        """Return a thing's kind and name for people."""
        return " ".join(filter(None, (self.word, " / ".join(filter(None, key)))))

    def can_go(self, key: Key) -> bool:
        """Tell whether one can be deleted."""
        del key
        return True

    def alike(self, name: str, old: Any, new: Any) -> bool:
        """Tell whether a member is as the document says."""
        if name in self.unordered and isinstance(old, list) and isinstance(new, list):
            return sorted(map(_text, old)) == sorted(map(_text, new))
        if name in self.whole:
            return bool(old == new)
        return same(old, new, has_secrets=name in self.sealed)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def same(old: Any, new: Any, *, has_secrets: bool = False) -> bool:
    """Tell whether what `new` names is so in `old`; one secret is like another, because nobody can compare them."""
    if has_secrets and is_reference(old) and is_reference(new):
        return True
    if isinstance(old, dict) and isinstance(new, dict):
        return all(same(old.get(name), value, has_secrets=has_secrets) for name, value in new.items())
    return bool(old == new) and isinstance(old, bool) is isinstance(new, bool)


def referred(world: World, settings: Mapping[str, Any], word: str, *names: str) -> dict[str, Any]:
    """Return settings with `{env: …}` for each secret."""
    return {name: world.secret(word, *names, name) if value == MASKED else value for name, value in settings.items()}


def linked(world: World, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with `{ref: {kind, name}}` for the id of a function, which is another on each server."""
    found = {}
    for name, value in settings.items():
        key = world.key_of("functions", value) if isinstance(value, str) else None
        found[name] = value if key is None else {LINK: dict(zip(("kind", "name"), key, strict=True))}
    return found


def is_reference(value: Any) -> bool:
    """Tell whether a value stands for a secret."""
    return isinstance(value, dict) and value.keys() == {REFERENCE} and isinstance(value[REFERENCE], str)


def is_link(value: Any) -> bool:
    """Tell whether a value stands for a function."""
    inner = value.get(LINK) if isinstance(value, dict) and len(value) == 1 else None
    return isinstance(inner, dict) and inner.keys() == {"kind", "name"}


def only(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the members of these names that are there."""
    return {name: item[name] for name in names if name in item}
