"""What has to change so that a server is as the document says, told first and then done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import click

from headwater.cli.configuration.document import Document
from headwater.cli.configuration.family import (
    LINK,
    MASKED,
    REFERENCE,
    Family,
    Item,
    Key,
    World,
    is_link,
    is_reference,
    same,
)
from headwater.cli.printing import text_of

_SHOWN_CHARS: Final = 60


class Deed(StrEnum):
    """What happens to a thing."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is made, changed or deleted.

    Attributes:
        members: those that change, for an update.
        old, new: the whole thing; empty where there is none.
    """

    deed: Deed
    family: Family
    key: Key
    old: Item
    new: Item
    members: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the change as people read it; a secret is never in it."""
        sign = {Deed.CREATE: "+", Deed.UPDATE: "~", Deed.DELETE: "-"}[self.deed]
        yield f"{sign} {text_of(self.family.called(self.key), None)}"
        for member in self.members:
            has_secrets = member in self.family.sealed
            for name, old, new in _differences(
                member, self.old.get(member), self._shown(member), has_secrets=has_secrets
            ):
                yield f"    {name}: {_short(old, has_secrets=has_secrets)} → {_short(new, has_secrets=has_secrets)}"

    def _shown(self, member: str) -> Any:
        """Return what a member shall be, as it may be printed."""
        new = self.new[member]
        return _veiled(self.old.get(member), new) if member in self.family.sealed else new

    def as_json(self) -> dict[str, Any]:
        """Return the change for scripts."""
        members = {each: {"from": self.old.get(each), "to": self._shown(each)} for each in self.members}
        return {"deed": self.deed, "kind": self.family.section, "key": list(self.key), "members": members}


def _veiled(old: Any, new: Any) -> Any:
    """Return a member without secrets that a file has in so many words.

    A secret that is stored is known as one; where nothing is stored yet, any text may be one.
    """
    if is_reference(new) or is_link(new):
        return new
    if isinstance(old, dict) and isinstance(new, dict) and not is_reference(old):
        return {name: _veiled(old.get(name), value) for name, value in new.items()}
    return MASKED if is_reference(old) or (not old and isinstance(new, str)) else new


def _differences(name: str, old: Any, new: Any, *, has_secrets: bool) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs: its place, what is there, what shall be."""
    if isinstance(old, dict) and isinstance(new, dict) and not (has_secrets and is_reference(new)):
        for member in new:
            if not same(old.get(member), new[member], has_secrets=has_secrets):
                yield from _differences(f"{name}.{member}", old.get(member), new[member], has_secrets=has_secrets)
        return
    yield name, old, new


def _short(value: Any, *, has_secrets: bool) -> str:
    if has_secrets and is_reference(value):
        return f"(from {text_of(value[REFERENCE])})"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def compared(
    present: Document, wanted: Document, families: Sequence[Family], *, prune: bool, renew: bool
) -> list[Change]:
    """Return what has to be done, in an order in which it can be.

    Args:
        present: what the server has.
        wanted: what the file says; a section or a member that it leaves out stays as it is.
        families: those that others rest on come first.
        prune: delete what the file does not name, in the sections that it has.
        renew: send secrets of things that are there, too.
    """
    made: list[Change] = []
    for family in families:
        there, fixed = present[family.section], {*family.keys, "type"}
        for key, new in wanted.get(family.section, {}).items():
            if key not in there:
                if absent := [name for name in family.needs if name not in new]:
                    raise click.ClickException(f"The {family.called(key)} is new, and has no {absent[0]}.")
                made.append(Change(Deed.CREATE, family, key, {}, new))
                continue
            old = there[key]
            if "type" in old and new.get("type", old["type"]) != old["type"]:
                told = f"The {family.called(key)} is a {old['type']}, not a {new['type']}: delete it first."
                raise click.ClickException(told)
            members = tuple(name for name in new if name not in fixed and _differs(family, name, old, new, renew=renew))
            if members:
                made.append(Change(Deed.UPDATE, family, key, old, new, members))
    gone = [
        Change(Deed.DELETE, family, key, old, {})
        for family in reversed(families)
        for key, old in present[family.section].items()
        if prune and key not in wanted.get(family.section, {key: {}}) and family.can_go(key)
    ]
    return made + _without_children(gone)


def _differs(family: Family, name: str, old: Item, new: Item, *, renew: bool) -> bool:
    is_renewed = renew and name in family.sealed and any(_names(new[name]))
    return is_renewed or not family.alike(name, old.get(name), new[name])


def _without_children(gone: Sequence[Change]) -> list[Change]:
    """Leave out what goes with its source or destination anyway."""
    places = {(each.family.section, each.key) for each in gone}
    return [each for each in gone if not (each.family.goes and _parents(each) & places)]


def _parents(change: Change) -> set[tuple[str, Key]]:
    """Return the source and the destination that a thing goes with, as section and key."""
    inner = {(change.family.parent, change.key[:2])} if change.family.parent else set()
    return {("sources", change.key[:1]), *inner}


def missing(changes: Sequence[Change], *, renew: bool) -> list[str]:
    """Return the variables that have to be set and are not: secrets of what is made, or renewed."""
    wanted = [
        name
        for change in changes
        if change.deed is Deed.CREATE or (renew and change.deed is Deed.UPDATE)
        for member in change.family.sealed
        for name in _names(change.new.get(member))
    ]
    return [name for name in dict.fromkeys(wanted) if name not in os.environ]


def _names(value: Any) -> Iterator[str]:
    """Yield the variables that a member names: itself, or in its own members."""
    if is_reference(value):
        yield value[REFERENCE]
    elif isinstance(value, dict):
        yield from (each[REFERENCE] for each in value.values() if is_reference(each))


def apply(world: World, change: Change, *, renew: bool) -> None:
    """Do one change."""
    keep = change.deed is Deed.UPDATE and not renew
    sealed = change.family.sealed
    item = {name: _resolved(world, value, keep=keep) if name in sealed else value for name, value in change.new.items()}
    if change.deed is Deed.CREATE:
        world.note(change.family, change.key, change.family.create(world, item))
    elif change.deed is Deed.UPDATE:
        change.family.update(world, change.key, item, change.members)
    else:
        change.family.delete(world, change.key)
        world.forget(change.family, change.key)


def _resolved(world: World, value: Any, *, keep: bool) -> Any:
    """Return a member with secrets and functions in the places of their names."""
    if isinstance(value, dict) and not is_reference(value):
        return {name: _opened(world, each, keep=keep) for name, each in value.items()}
    return _opened(world, value, keep=keep)


def _opened(world: World, value: Any, *, keep: bool) -> Any:
    if is_reference(value):
        return MASKED if keep and value[REFERENCE] not in os.environ else os.environ[value[REFERENCE]]
    if is_link(value):
        return world.id_of("functions", (str(value[LINK]["kind"]), str(value[LINK]["name"])))
    return value
