"""What of the log is not loaded and since when, so that it can be loaded once somebody wants it again.

A scope is a source, a table of it, or a column of that. While it stays out, the journal holds the sequence from which
it did; when it is selected again, everything between that sequence and the present one is to be reloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from headwater.loading.target import Target
from headwater.sqlite import Connection


class Scope(NamedTuple):
    """A source; a table of it, if `collection` is one; a column of that, if `property` is one."""

    source_id: str
    collection: str = ""
    property: str = ""


class Comeback(NamedTuple):
    """What is wanted again of a source: `collections` from `first` on; all of it when there are none."""

    source_id: str
    collections: frozenset[str]
    first: int


def left_out(target: Target) -> frozenset[Scope]:
    """Return what a configuration leaves out."""
    sources = {Scope(source_id) for source_id, schema in target.sources.items() if not schema}
    return frozenset(sources | {Scope(each.source_id, each.collection, each.property) for each in target.excluded})


def wanted_again(noted: Mapping[Scope, int], target: Target) -> dict[Scope, int]:
    """Return the noted scopes that a configuration loads; those of a source that is not connected wait for it."""
    out = left_out(target)
    return {scope: first for scope, first in noted.items() if target.sources.get(scope.source_id) and scope not in out}


def comebacks(again: Mapping[Scope, int]) -> list[Comeback]:
    """Return what to reload for these scopes: once for a whole source, once for all tables of it."""
    whole = [Comeback(scope.source_id, frozenset(), first) for scope, first in again.items() if not scope.collection]
    parts: dict[str, Comeback] = {}
    for scope, first in again.items():
        if scope.collection:
            before = parts.get(scope.source_id, Comeback(scope.source_id, frozenset(), first))
            collections = before.collections | {scope.collection}
            parts[scope.source_id] = Comeback(scope.source_id, collections, min(first, before.first))
    return [*whole, *parts.values()]


def noted(connection: Connection, warehouse_id: str) -> dict[Scope, int]:
    """Return what stays out and from where on."""
    rows = connection.execute(
        "select source_id, collection, property, first from left_out where warehouse_id = ?", (warehouse_id,)
    ).fetchall()
    return {Scope(*row[:3]): int(row[3]) for row in rows}


def note(connection: Connection, warehouse_id: str, scopes: Iterable[Scope], first: int) -> None:
    """Note that these stay out from a sequence on; one that did already keeps its own."""
    connection.executemany(
        "insert or ignore into left_out values (?, ?, ?, ?, ?)",
        [(warehouse_id, *scope, first) for scope in scopes],
    )


def forget(connection: Connection, warehouse_id: str, scopes: Iterable[Scope]) -> None:
    """Forget scopes: they are loaded again."""
    connection.executemany(
        "delete from left_out where warehouse_id = ? and source_id = ? and collection = ? and property = ?",
        [(warehouse_id, *scope) for scope in scopes],
    )


def lower(connection: Connection, warehouse_id: str, first: int) -> None:
    """Let everything stay out from this sequence on at the latest: the warehouse stands there again."""
    connection.execute(
        "update left_out set first = min(first, ?) where warehouse_id = ?",
        (first, warehouse_id),
    )
