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
from headwater.cli.configuration.family import LINK, MASKED, REFERENCE, Family, Item, Key, World, is_reference
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
        yield f"{sign} {self.family.word} {text_of(' / '.join(filter(None, self.key)) or 'everything')}"
        for member in self.members:
            yield from _differences(member, self.old.get(member), self.new[member])

    def as_json(self) -> dict[str, Any]:
        """Return the change for scripts."""
        members = {each: {"from": self.old.get(each), "to": self.new[each]} for each in self.members}
        return {"deed": self.deed, "kind": self.family.section, "key": list(self.key), "members": members}


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict) and not is_reference(new):
        for member in sorted({*old, *new}, key=str):
            if not _same(old.get(member), new.get(member)):
                yield from _differences(f"{name}.{member}", old.get(member), new.get(member))
        return
    yield f"    {name}: {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    if is_reference(value):
        return f"(from {value[REFERENCE]})"
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
                made.append(Change(Deed.CREATE, family, key, {}, new))
                continue
            old = there[key]
            if "type" in old and new.get("type", old["type"]) != old["type"]:
                told = f"The {family.word} {' / '.join(key)} is a {old['type']}, not a {new['type']}: delete it first."
                raise click.ClickException(told)
            members = tuple(name for name in new if name not in fixed and _differs(name, old, new, renew=renew))
            if members:
                made.append(Change(Deed.UPDATE, family, key, old, new, members))
    gone = [
        Change(Deed.DELETE, family, key, old, {})
        for family in reversed(families)
        for key, old in present[family.section].items()
        if prune and key not in wanted.get(family.section, {key: {}}) and _stands_alone(family, key)
    ]
    return made + _without_children(gone)


def _differs(name: str, old: Item, new: Item, *, renew: bool) -> bool:
    return not _same(old.get(name), new[name]) or (renew and _secret(new[name]))


def _stands_alone(family: Family, key: Key) -> bool:
    """Whether it can be deleted: the alert rule about everything cannot."""
    return family.section != "alertRules" or bool(key[-1])


def _without_children(gone: Sequence[Change]) -> list[Change]:
    """Leave out what goes with its source or destination anyway."""
    places = {each.key for each in gone if each.family.section in {"sources", "destinations"}}
    return [each for each in gone if not any(each.key[:length] in places for length in range(1, len(each.key)))]


def _same(old: Any, new: Any) -> bool:
    """Tell whether two values are alike; one secret is like another, because nobody can compare them."""
    if is_reference(old) and is_reference(new):
        return True
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_same(old.get(name), value) for name, value in new.items())
    return bool(old == new)


def _secret(value: Any) -> bool:
    return is_reference(value) or (isinstance(value, dict) and any(_secret(each) for each in value.values()))


def missing(changes: Sequence[Change], *, renew: bool) -> list[str]:
    """Return the variables that have to be set and are not: secrets of what is made, or renewed."""
    wanted = [
        name
        for change in changes
        if change.deed is Deed.CREATE or (renew and change.deed is Deed.UPDATE)
        for name in _names(change.new)
    ]
    return [name for name in dict.fromkeys(wanted) if name not in os.environ]


def _names(value: Any) -> Iterator[str]:
    if is_reference(value):
        yield str(value[REFERENCE])
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _names(each)


def apply(world: World, change: Change, *, renew: bool) -> None:
    """Do one change."""
    keep = change.deed is Deed.UPDATE and not renew
    item = _resolved(world, change.new, keep=keep)
    if change.deed is Deed.CREATE:
        world.ids[change.family.section][change.key] = change.family.create(world, item)
    elif change.deed is Deed.UPDATE:
        change.family.update(world, change.key, item, change.members)
    else:
        change.family.delete(world, change.key)
        world.ids[change.family.section].pop(change.key, None)


def _resolved(world: World, value: Any, *, keep: bool) -> Any:
    """Return a value with secrets and functions in the places of their names."""
    if is_reference(value):
        name = str(value[REFERENCE])
        if keep and name not in os.environ:
            return MASKED
        return os.environ[name]
    if isinstance(value, dict):
        if value.keys() == {LINK} and isinstance(value[LINK], dict):
            return world.id_of("functions", (value[LINK]["kind"], value[LINK]["name"]))
        return {name: _resolved(world, each, keep=keep) for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(world, each, keep=keep) for each in value]
    return value
