r"""Dotted paths into an event, such as `properties.address.city`: read, set and removed on a copy.

A `\` takes the next character as it is: `properties.a\.b` is the member `a.b` of `properties`. A path that meets a
list goes on in each of its elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.spec.event import Body

Names = tuple[str, ...]
"""A path as the names on the way."""

DEPTH_MAX: Final = 32  # ours: names in one path


def names_of(path: str) -> Names:
    r"""Return the names of a dotted path.

    Raises:
        ValueError: an empty name, a `\` at the end, or more than DEPTH_MAX names; the message is a sentence.
    """
    names, name, characters = [], "", iter(path)
    for character in characters:
        if character == ".":
            names.append(name)
            name = ""
        elif character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise ValueError("A path cannot end with a backslash: it takes the character after it as it is.")
            name += escaped
        else:
            name += character
    names.append(name)
    if not all(names):
        raise ValueError("A path names each level, apart by one dot, such as `properties.plan`.")
    if len(names) > DEPTH_MAX:
        raise ValueError(f"A path has at most {DEPTH_MAX} levels.")
    return tuple(names)


def read(body: Any, names: Sequence[str]) -> Any:
    """Return what stands at the path, None when nothing does; through a list, the list of what its elements have."""
    for place, name in enumerate(names):
        if isinstance(body, list):
            found = (read(each, names[place:]) for each in body)
            return [each for each in found if each is not None]
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body


def changed(body: Body, names: Names, value: Any) -> Body:
    """Return a copy in which the path holds the value; what is no object on the way makes room for one."""
    first, *rest = names
    if not rest:
        return {**body, first: value}
    inner = body.get(first)
    return {**body, first: changed(inner if isinstance(inner, dict) else {}, tuple(rest), value)}


def without(body: Any, names: Names) -> Any:
    """Return a copy that has nothing at the path, in every element of the lists on the way; else the thing itself."""
    if isinstance(body, list):
        return [without(each, names) for each in body]
    first, rest = names[0], names[1:]
    if not isinstance(body, dict) or first not in body:
        return body
    if not rest:
        return {name: value for name, value in body.items() if name != first}
    return {**body, first: without(body[first], rest)}


def only(body: Any, paths: Sequence[Names]) -> Any:
    """Return a copy that has nothing but what stands at the paths, in every element of the lists on the way."""
    if isinstance(body, list):
        return [only(each, paths) for each in body]
    if not isinstance(body, dict):
        return body
    kept = {}
    for name, value in body.items():
        inner = [path[1:] for path in paths if path[0] == name]
        if any(not path for path in inner):
            kept[name] = value
        elif inner and isinstance(value, dict | list):
            kept[name] = only(value, inner)
    return kept
