"""The document as a file: YAML, what belongs to a destination inside it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
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


_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "any": lambda value: isinstance(value, str | dict),
    "flag": lambda value: isinstance(value, bool),
    "mapping": lambda value: isinstance(value, dict) and all(isinstance(name, str) for name in value),
    "mappings": lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "texts": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
}
_TOLD: Final = {
    "any": "text, or {env: VARIABLE}",
    "flag": "true or false",
    "mapping": "a mapping of names to values",
    "mappings": "a list of mappings",
    "number": "a number",
    "text": "text; put quotes around what looks like a number, a date or yes and no",
    "texts": "a list of texts",
}


_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+")
"""What YAML 1.2 reads as a number and this library, which follows YAML 1.1, does not always quote."""


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as it is read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    has_odd = not text.replace("\n", "").isprintable()  # the library lets line breaks of other kinds through as blanks
    style = '"' if has_odd or _NUMBER.fullmatch(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def written(document: Document, families: Sequence[Family]) -> str:
    """Return the document as YAML; the same configuration gives the same text."""
    told: dict[str, Any] = {"version": VERSION}
    for family in families:
        things = [dict(item) for item in document[family.section].values()]
        if not family.keys:
            told[family.section] = things[0]
        elif not family.parent:
            told[family.section] = things
    for family in families:
        if family.parent:
            _put_inside(told[family.parent], family, document[family.section])
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _put_inside(parents: Sequence[Item], family: Family, items: Mapping[Key, Item]) -> None:
    by_name = {(parent["source"], parent["name"]): parent for parent in parents}
    for (source, destination, *_), item in items.items():
        inner = {name: value for name, value in item.items() if name not in {"source", "destination"}}
        by_name[source, destination].setdefault(family.section, []).append(inner)


def read(path: str, families: Sequence[Family]) -> Document:
    """Return a file's sections; a section that it does not have is not in the answer.

    Raises:
        ClickException: it cannot be read, is no such document, names a thing twice, or has members that nothing takes.
    """
    told = _parsed(path)
    sections = {family.section for family in families if not family.parent}
    if unknown := told.keys() - sections - {"version"}:
        name = min(map(str, unknown))
        raise click.ClickException(f"{path}: unknown section {name!r}; known are {', '.join(sorted(sections))}.")
    document: Document = {}
    for family in families:
        if family.parent:
            continue
        if family.section in told:
            things = told[family.section]
            document[family.section] = _things(path, family, things if family.keys else [things])
    for family in families:
        if family.parent and family.parent in document:
            document[family.section] = _inner(path, family, document[family.parent])
    for family in families:
        for key, item in document.get(family.section, {}).items():
            _check(path, family, key, item)
    return document


def _check(path: str, family: Family, key: Key, item: Item) -> None:
    """Return when a thing has only members that are taken, each of its kind."""
    for name, value in item.items():
        if name in family.keys:
            continue
        kind = family.takes.get(str(name), "")
        if not kind:
            told = f"has no member {str(name)!r}; known are {', '.join((*family.keys, *family.takes))}"
            raise click.ClickException(f"{path}: the {family.called(key)} {told}.")
        is_null = kind.endswith("?") and value is None
        if not is_null and not _KINDS[kind.removesuffix("?")](value):
            told = _TOLD[kind.removesuffix("?")]
            raise click.ClickException(f"{path}: {name} of the {family.called(key)} is {told}.")


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
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in names:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            names.add(str(key.value))
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
            is_there = item.get(missing[0]) is not None
            told = f"a {missing[0]} that is no text; put quotes around it" if is_there else f"no {missing[0]}"
            raise click.ClickException(f"{path}: {family.section} number {number} has {told}.")
        key = family.key(item)
        if key in found:
            raise click.ClickException(f"{path}: the {family.called(key)} is there twice.")
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
