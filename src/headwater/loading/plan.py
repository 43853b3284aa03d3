"""From the shapes of a batch to tables and columns: names, types, winners and what goes to `_overflow`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.limits import COLUMNS_MAX, TABLES_MAX
from headwater.loading.columns import Column, Value
from headwater.loading.rules import OURS, Rules
from headwater.loading.shapes import NO_OBJECT, Kind, Leaf, Path, column_type, leaf_set, leaves, value_at
from headwater.loading.tables import CONTEXT, OVERFLOW_TABLE, Route, route
from headwater.spec.event import Call
from headwater.spec.names import pointer, quote_text
from headwater.warehouses.contract import Columns, ColumnType

CONTEXT_COLUMNS_MAX: Final = 100  # ours, a schema: context is the same few fields in every event
BODY_COLUMNS_MAX: Final = COLUMNS_MAX - CONTEXT_COLUMNS_MAX - 1  # one is for `_overflow`
SPELLINGS_MAX: Final = 8  # ours: names of a sender that become one column of ours
_WIDTH: Final = {kind: width for width, kind in enumerate(("boolean", "timestamp", "bigint", "double", "varchar"))}


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of one kind of call whose document has the same structure.

    Attributes:
        row: the first of them.
    """

    call: str
    event: str
    structure: str
    count: int
    row: int


@dataclass(frozen=True, slots=True)
class Extraction:
    """How a JSON document becomes columns.

    Attributes:
        pointers: what to extract, once per document.
        columns: made of the extracted texts.
        added: the columns that are new.
        spilled: the structures of which something has no column: the whole document goes to `_overflow`.
        hidden: the paths of what is excluded: in no column, and in no document that is kept.
    """

    pointers: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    added: Columns = field(default_factory=dict)
    spilled: frozenset[str] = frozenset()
    hidden: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Document:
    """One of the two JSON columns that are flattened.

    Attributes:
        name: its column in staging.
        label: what its members are called in `_overflow`: `properties`, `traits` or `context`.
        texts: the column with the extracted texts; each stands alone as well, under this name and its number.
    """

    name: str
    label: str
    texts: str


CONTEXT_DOCUMENT: Final = Document("context", "context", "context_texts")

Documents = Callable[[set[int]], Mapping[int, Any]]
"""Gives the decoded documents of some rows."""


@dataclass(frozen=True, slots=True)
class Space:
    """The columns that a document may become.

    Attributes:
        name_of: the column of a path; None for a path that has none by the rules.
        known: columns that exist, with their types.
        decided: types of new columns that are known already, because the first value's did not do for all.
        columns_max: how many columns of this kind there may be; None: any number.
        excluded: columns that are not filled.
    """

    name_of: Callable[[Path], str | None]
    known: Columns
    decided: Columns = field(default_factory=dict)
    columns_max: int | None = None
    excluded: frozenset[str] = frozenset()
    rules: Rules = OURS


@dataclass(slots=True)
class _Found:
    """What a batch says of one column: the kinds at each path, and its first value."""

    first: tuple[int, Path, Kind] | None = None
    kinds: dict[Path, set[Kind]] = field(default_factory=dict)

    def add(self, leaf: Leaf, row: int) -> None:
        """Note one more leaf; rows come in log order."""
        self.kinds.setdefault(leaf.path, set()).add(leaf.kind)
        # An empty object says nothing of a type, so it counts only until something else is there.
        if leaf.kind is not Kind.OBJECT and (self.first is None or self.first[2] is Kind.ANY is not leaf.kind):
            self.first = (row, leaf.path, leaf.kind)


def routes_of(
    calls: Iterable[tuple[str, str]],
    tables: Iterable[str],
    excluded: frozenset[str] = frozenset(),
    rules: Rules = OURS,
    engine: str = "",
) -> list[Route]:
    """Return where each kind of call goes; events beyond the last allowed table share one.

    Args:
        calls: type and event, in the order of their first rows.
        tables: what the schema has already.
        excluded: tables that are not loaded: they take no other's place, and do not end in the shared one.
        rules: whether there is a last allowed table.
        engine: the warehouse's type.
    """
    known = set(tables)
    routes = []
    for call, event in calls:
        wanted = route(call, event, engine)
        if wanted.table not in excluded:
            if wanted.table not in known and len(known) >= TABLES_MAX and rules.caps and call == Call.TRACK:
                wanted = Route(call, event, OVERFLOW_TABLE, wanted.slug)
            known.add(wanted.table)
        routes.append(wanted)
    return routes


def extraction(shapes: Sequence[Shape], document: Document, space: Space, documents: Documents) -> Extraction:
    """Return how the documents of these shapes become columns.

    Args:
        shapes: in the order of their first rows.
        document: which JSON column they are of.
        space: the columns that there may be.
        documents: for the values that decide the types of new columns.
    """
    found, hidden = _found(shapes, space)
    known = {**space.known, **space.decided}
    rows = {column.first[0] for name, column in found.items() if column.first and name not in known}
    firsts = documents(rows) if rows else {}
    added: dict[str, ColumnType] = {}
    without: set[Path] = set()
    columns: list[Column] = []
    pointers: list[str] = []
    for name, column in found.items():
        if column.first is None:
            continue
        kind = known.get(name) or _first_type(column.first, firsts)
        if kind is None:
            continue
        paths = _ranked(name, column.kinds)
        if name not in space.known:
            if space.columns_max is not None and len(space.known) + len(added) >= space.columns_max:
                without.update(paths)
                continue
            added[name] = kind
        without.update(paths[SPELLINGS_MAX:])
        values = []
        for path in paths[:SPELLINGS_MAX]:
            pointers.append(pointer(path))
            values.append(_value(document, path, len(pointers), column.kinds[path]))
        columns.append(Column(name, kind, tuple(values), space.rules))
    return Extraction(tuple(pointers), tuple(columns), added, _spilled(shapes, without), frozenset(hidden))


def context_types(schema: Mapping[str, Columns]) -> dict[str, ColumnType]:
    """Return the context columns of a schema; a context field has one type in all its tables.

    Where one of them could not be widened as the others were, it is the narrower type, which the others take as well.
    """
    types: dict[str, ColumnType] = {}
    for columns in schema.values():
        for name, kind in columns.items():
            if name.startswith(CONTEXT) and (name not in types or _WIDTH[kind] < _WIDTH[types[name]]):
                types[name] = kind
    return types


def _found(shapes: Sequence[Shape], space: Space) -> tuple[dict[str, _Found], set[Path]]:
    """Return what the shapes say of each column, in the order of first appearance, and what is excluded."""
    found: dict[str, _Found] = {}
    hidden: set[Path] = set()
    seen: set[Leaf] = set()
    for shape in shapes:  # thousands where properties are optional, but few with a leaf that none before had
        if seen.issuperset(leaf_set(shape.structure)):
            continue
        for leaf in leaves(shape.structure):
            name = space.name_of(leaf.path)
            if name in space.excluded:
                hidden.add(leaf.path)
            elif name is not None:
                found.setdefault(name, _Found()).add(leaf, shape.row)
        seen |= leaf_set(shape.structure)
    return found, hidden


def _first_type(seen: tuple[int, Path, Kind], documents: Mapping[int, Any]) -> ColumnType | None:
    """Return the type that a column's first value asks for."""
    row, path, kind = seen
    return column_type(kind, value_at(documents.get(row), path))


def _ranked(name: str, kinds: Mapping[Path, set[Kind]]) -> list[Path]:
    """Return the paths of one column: the spelling that is the column's own name first, then by alphabet."""
    paths = [path for path, seen in kinds.items() if seen != {Kind.OBJECT}]
    return sorted(paths, key=lambda path: (path != (name,), path))


def _value(document: Document, path: Path, position: int, kinds: set[Kind]) -> Value:
    """Return one value of a column, the `position`-th extracted text of its document."""
    return Value(
        text=f"{document.texts}_{position}",
        json=f"json_extract({document.name}, {quote_text(pointer(path))})",
        label=".".join((document.label, *path)),
        kinds=frozenset(kinds),
    )


def _spilled(shapes: Sequence[Shape], without: set[Path]) -> frozenset[str]:
    """Return the structures that have a path without a column, or no members at all."""
    return frozenset(
        shape.structure
        for shape in shapes
        if shape.structure == NO_OBJECT or (without and any(leaf.path in without for leaf in leaves(shape.structure)))
    )
