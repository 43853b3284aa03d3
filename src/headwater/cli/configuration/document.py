"""The document as a file: YAML, what belongs to a destination inside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import yaml

from headwater.cli.configuration.family import Family, Item, Key
from headwater.limits import MIB

VERSION: Final = 1
_BYTES_MAX: Final = 16 * MIB  # ours: thousands of sources with long functions

Document = dict[str, dict[Key, Item]]
"""Every section, flat: things by what they are called."""


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as it is read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def written(workspace: Item, document: Document, families: Sequence[Family]) -> str:
    """Return the document as YAML; the same configuration gives the same text."""
    told: dict[str, Any] = {"version": VERSION, "workspace": workspace}
    for family in families:
        if not family.parent:
            told[family.section] = [dict(item) for item in document[family.section].values()]
    for family in families:
        if family.parent:
            _put_inside(told[family.parent], family, document[family.section])
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _put_inside(parents: Sequence[Item], family: Family, items: Mapping[Key, Item]) -> None:
    for (source, destination, *_), item in items.items():
        inner = {name: value for name, value in item.items() if name not in {"source", "destination"}}
        for parent in parents:
            if (parent["source"], parent["name"]) == (source, destination):
                parent.setdefault(family.section, []).append(inner)


def read(path: str, families: Sequence[Family]) -> tuple[Item, Document]:
    """Return a file's workspace and sections; a section that it does not have is not in the answer.

    Raises:
        ClickException: it cannot be read, is no such document, or names a thing twice.
    """
    told = _parsed(path)
    sections = {family.section for family in families if not family.parent}
    if unknown := told.keys() - sections - {"version", "workspace"}:
        known = ", ".join(("workspace", *sorted(sections)))
        raise click.ClickException(f"{path}: unknown section {min(unknown)!r}; known are {known}.")
    document: Document = {}
    for family in families:
        if family.parent:
            continue
        if family.section in told:
            document[family.section] = _things(path, family, told[family.section])
    for family in families:
        if family.parent and family.parent in document:
            document[family.section] = _inner(path, family, document[family.parent])
    workspace = told.get("workspace") or {}
    if not isinstance(workspace, dict):
        raise click.ClickException(f"{path}: workspace is a mapping with name and region.")
    return workspace, document


def _parsed(path: str) -> dict[str, Any]:
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(_BYTES_MAX + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from None
    if len(raw) > _BYTES_MAX:
        raise click.ClickException(f"{path} is larger than {_BYTES_MAX // MIB} MB.")
    try:
        told = yaml.load(raw, Loader=_Loader)  # noqa: S506 - a SafeLoader without aliases
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = f", line {where.line + 1}" if where else ""
        raise click.ClickException(f"{path} is no YAML{place}: {getattr(error, 'problem', None) or error}.") from None
    if not isinstance(told, dict) or told.get("version") != VERSION:
        raise click.ClickException(f"{path} is no configuration: it begins with `version: {VERSION}`.")
    return told


class _Loader(yaml.SafeLoader):
    """Reads plain values: no objects, no aliases (which a small file could multiply), no member twice, no dates."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(
                None,
                None,
                "aliases are not taken",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as the library has it
        """Refuse a member that is there twice."""
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _things(path: str, family: Family, things: Any) -> dict[Key, Item]:
    if not isinstance(things, list) or not all(isinstance(each, dict) for each in things):
        raise click.ClickException(f"{path}: {family.section} is a list of mappings.")
    found: dict[Key, Item] = {}
    for number, item in enumerate(things, 1):
        if missing := [name for name in family.keys if not isinstance(item.get(name), str)]:
            raise click.ClickException(f"{path}: {family.section} number {number} has no {missing[0]}.")
        key = family.key(item)
        if key in found:
            raise click.ClickException(f"{path}: the {family.word} {' / '.join(key)} is there twice.")
        found[key] = item
    return found


def _inner(path: str, family: Family, parents: Mapping[Key, Item]) -> dict[Key, Item]:
    things = []
    for (source, name), parent in parents.items():
        inner = parent.pop(family.section, [])
        if not isinstance(inner, list) or not all(isinstance(each, dict) for each in inner):
            raise click.ClickException(f"{path}: {family.section} of {name} is a list of mappings.")
        things += [{"source": source, "destination": name, **each} for each in inner]
    return _things(path, family, things)
