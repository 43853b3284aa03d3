"""The relation `stage`: each call of one schema with its table, its typed common columns and context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Final

import duckdb

from headwater.loading import misfits, plan, tables
from headwater.loading.columns import OVERFLOW, Column, Value, any_of, cut, fit, moment, overflow
from headwater.loading.plan import CONTEXT_DOCUMENT, Document, Extraction, Shape, Space
from headwater.loading.rules import Conflicts, Rules
from headwater.loading.shapes import STRUCTURE, Path, leaves
from headwater.loading.staging import Staging
from headwater.loading.tables import TRACKS, Route
from headwater.spec.event import Call
from headwater.spec.names import quote_text
from headwater.warehouses.contract import ID, Columns, ColumnType, Table

MOMENTS: Final = tuple(
    Column(name, ColumnType.TIMESTAMP, (Value(name, f"to_json({name})", name, frozenset()),))
    for name in ("received_at", "sent_at", "original_timestamp", "timestamp")
)
"""What each call says of times; `_overflow` keeps what is none."""

_NEEDED: Final = frozenset({ID, "received_at"})  # no row can do without


@dataclass(frozen=True, slots=True)
class Source:
    """What the tables of one schema are built from, and how.

    Attributes:
        known: the schema's tables as the warehouse has them.
        left_out: columns that are not filled, by table; "" among them: the whole table.
    """

    staging: Staging
    schema: str
    prefix: str
    known: Mapping[str, Columns]
    loaded_at: datetime
    rules: Rules
    left_out: Mapping[str, frozenset[str]]
    engine: str

    @property
    def not_loaded(self) -> frozenset[str]:
        """Tables that are left out."""
        return frozenset(table for table, columns in self.left_out.items() if "" in columns)

    def count(self, sql: str) -> int:
        """Return the one number that a statement gives."""
        row = self.staging.connection.execute(sql).fetchone()
        return int(row[0] or 0) if row else 0

    def hidden(self, table: str) -> frozenset[str]:
        """Return the columns of a table that are left out, without those that no row can do without."""
        return self.left_out.get(table, frozenset()) - _NEEDED


@dataclass(frozen=True, slots=True)
class Stage:
    """What there is in the relation `stage`.

    Attributes:
        places: the number of each table.
        shapes: of the contexts.
        context: what became of them.
        columns: the context columns that each table has in this batch: a null creates no column.
        misfits: whether any row has something in `common_overflow`.
        wider: context columns of the warehouse that want a wider type.
        notices: sentences for people.
    """

    places: Mapping[str, int]
    shapes: Sequence[Shape]
    context: Extraction
    columns: Mapping[str, Columns]
    misfits: bool
    wider: Mapping[Table, Columns]
    notices: tuple[str, ...]

    def paths(self, columns: frozenset[str]) -> frozenset[Path]:
        """Return what these context columns are made of."""
        if not any(name.startswith(tables.CONTEXT) for name in columns):
            return frozenset()
        found = {leaf.path for shape in self.shapes for leaf in leaves(shape.structure)}
        return frozenset(path for path in found if tables.context_column(path) in columns)


def make(source: Source, routes: Sequence[Route], shapes: Sequence[Shape]) -> Stage:
    """Make the relation.

    Args:
        source: what is built, and how.
        routes: where each kind of call goes.
        shapes: of the contexts.
    """
    staging = source.staging
    places = {name: number for number, name in enumerate(dict.fromkeys(route.table for route in routes))}
    longest = source.rules.string_chars_max
    rows = [(route.type, route.event, places[route.table], route.slug[:longest]) for route in routes]
    staging.fill("route", "call, name, place, slug", rows)
    wanted: Columns = {}
    notices: tuple[str, ...] = ()
    context = _context(source, shapes, {})
    try:
        missed = _staged(source, context)
        if missed and source.rules.conflicts is Conflicts.WIDEN:
            wanted = misfits.wider(staging.connection, "stage", "common_overflow", context.columns)
            decided = {name: kind for name, kind in wanted.items() if name in context.added}
            if decided:
                context = _context(source, shapes, decided)
                missed = _staged(source, context)
    except duckdb.Error as error:
        notices = (f"{source.schema}: context was kept as JSON in {OVERFLOW} ({type(error).__name__}).",)
        context = Extraction(spilled=frozenset(shape.structure for shape in shapes))
        missed = _staged(source, context)
    columns = _context_columns(routes, shapes, context)
    return Stage(places, shapes, context, columns, missed, _wider(source, wanted), notices)


def _wider(source: Source, wanted: Columns) -> dict[Table, Columns]:
    """Return the context columns of the warehouse that want a wider type, in all tables of the schema."""
    types = plan.context_types(source.known)
    wider: dict[Table, Columns] = {}
    for table, columns in source.known.items():
        narrow = {name: kind for name, kind in wanted.items() if name in columns and columns[name] is types[name]}
        if narrow:
            wider[Table(source.schema, table)] = narrow
    return wider


def _context(source: Source, shapes: Sequence[Shape], decided: Columns) -> Extraction:
    """Return how `context` becomes columns; one type a field in the whole schema."""
    space = Space(
        tables.context_column,
        plan.context_types(source.known),
        decided,
        plan.CONTEXT_COLUMNS_MAX if source.rules.caps else None,
        rules=source.rules,
    )
    return plan.extraction(shapes, CONTEXT_DOCUMENT, space, partial(source.staging.documents, "context"))


def _staged(source: Source, context: Extraction) -> bool:
    """Make the relation `stage`; return whether something of it is a misfit."""
    staging = source.staging
    fitting = fit(context.columns)
    misses = fitting.misfits + [
        (each.values[0], f"({each.name} is not null and is_{each.name} is null)") for each in MOMENTS
    ]
    misses += spill(staging, CONTEXT_DOCUMENT, context, "spilled_context")
    moments = "".join(f", {moment(each.name)} as is_{each.name}" for each in MOMENTS)
    selected = ", ".join((*(f"is_{each.name} as {each.name}" for each in MOMENTS), *fitting.selected))
    one = source.count("select count(*) from stretch") == 1  # an ASOF join sorts: not for the common case
    stretches = "cross join stretch" if one else "asof join stretch on raw.rowid >= stretch.first_row"
    create = f"""create or replace temp table stage as
        select seq, place, slug, call, id, anonymous_id, user_id, group_id, previous_id, name, category,
        {cut("event", source.rules)} as event_text, {selected}, body"""
    calls = f"""select raw.*, route.call, route.place, route.slug,
        raw.rowid - stretch.first_row + stretch.first_seq as seq
        from raw {stretches} join route on raw.type = route.call and coalesce(raw.event, '') = route.name"""
    rows = f"from (select *{moments}{fitting.columns} from ({texts(CONTEXT_DOCUMENT, context, calls)}))"
    staging.connection.execute(f"{create}, {' or '.join(any_of(misses))} as common_overflow {rows}")
    missed = source.count("select count_if(common_overflow) from stage") > 0
    if missed:  # seldom: to see that costs less than to keep it
        staging.connection.execute(f"{create}, {overflow(misses)} as common_overflow {rows}")
    return missed


def texts(document: Document, extraction: Extraction, rows: str) -> str:
    """Return the SELECT that adds the texts of all columns to these rows, from a document that is parsed once.

    Each gets a name of its own, because a column names its text many times, and an element of a list is looked up anew
    each time: by the rows, and, which is most of what a few events cost, by the planner.
    """
    if not extraction.pointers:
        return rows
    pointers = ", ".join(quote_text(pointer) for pointer in extraction.pointers)
    listed = f"select *, json_extract_string({document.name}, [{pointers}]) as {document.texts} from ({rows})"
    each = "".join(f", {document.texts}[{n}] as {document.texts}_{n}" for n in range(1, len(extraction.pointers) + 1))
    return f"select *{each} from ({listed})"


def spill(staging: Staging, document: Document, extraction: Extraction, table: str) -> list[tuple[Value, str]]:
    """Return the whole document, without what is excluded, as a misfit of the rows of which something has no column."""
    if not extraction.spilled:
        return []
    staging.fill(table, "structure", [(structure,) for structure in sorted(extraction.spilled)])
    kept = document.name
    if extraction.hidden:
        kept = f"json_merge_patch({document.name}, {quote_text(misfits.patch(extraction.hidden))})"
    value = Value(document.name, kept, document.label, frozenset())
    return [(value, f"(({STRUCTURE.format(document=document.name)}) in (select structure from {table}))")]


def _context_columns(
    routes: Sequence[Route], shapes: Sequence[Shape], context: Extraction
) -> dict[str, dict[str, ColumnType]]:
    """Return the context columns that each table has in this batch."""
    types = {column.name: column.type for column in context.columns}
    table_of = {(route.type, route.event): route.table for route in routes}
    names: dict[str, set[str]] = {name: set() for name in (TRACKS, *table_of.values())}
    for shape in shapes:
        found = _names(shape.structure)
        names[table_of[shape.call, shape.event]] |= found
        if shape.call == Call.TRACK:
            names[TRACKS] |= found
    return {table: {name: types[name] for name in types if name in found} for table, found in names.items()}


@lru_cache(maxsize=1_000)
def _names(structure: str) -> frozenset[str]:
    """Return the context columns of a shape."""
    return frozenset(tables.context_column(leaf.path) for leaf in leaves(structure))
