"""From frames of one schema to typed tables, and the columns that the warehouse needs before it takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Final

import duckdb

from headwater.loading import plan, tables
from headwater.loading.columns import OVERFLOW, Column, Value, moment, overflow
from headwater.loading.plan import CONTEXT_DOCUMENT, Document, Extraction, Shape
from headwater.loading.rules import OURS, Rules
from headwater.loading.selection import Excluded
from headwater.loading.shapes import STRUCTURE, leaves
from headwater.loading.staging import Staging
from headwater.loading.tables import TRACKS, Route
from headwater.spec.event import Call, Frame
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import SEQ, Columns, ColumnType, Staged, Table

_MOMENTS: Final = ("received_at", "sent_at", "original_timestamp", "timestamp")
_NOTICES_MAX: Final = 20  # ours, a table: the kinds of misfit that are named one by one


@dataclass(frozen=True, slots=True)
class Misfit:
    """Values of one name that are in `_overflow` (or, by the rules, nowhere) instead of in their column.

    Attributes:
        label: the name its sender used, such as `properties.amount`; `properties` alone is the whole document.
        column: where they would be; "" for a whole document.
        type: what that column takes.
        rows: how many rows of this batch have one.
    """

    table: Table
    label: str
    column: str
    type: ColumnType
    rows: int


@dataclass(slots=True)
class Built:
    """What one schema's part of a batch became.

    Attributes:
        staged: tables with at least one row.
        added: columns that the warehouse has to make before it takes them.
        notices: sentences for people: what did not fit and where it is.
        misfits: the same for machines; of every table, `tracks` left out, since its rows stand in others too.
        wider: existing columns that would take their misfits with these types; only under `Conflicts.WIDEN`. After
            `Warehouse.widen` this schema is built anew with what `Warehouse.columns` says then, once.
        filtered: events that their sender kept out of this warehouse by `integrations.Warehouses`.
    """

    staged: list[Staged] = field(default_factory=list)
    added: dict[Table, Columns] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    wider: dict[Table, dict[str, ColumnType]] = field(default_factory=dict)
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class _Source:
    """What the tables of one schema are built from.

    Attributes:
        prefix: makes the names of staged relations unique in a batch.
        known: the schema's tables as the warehouse has them.
    """

    staging: Staging
    schema: str
    prefix: str
    known: Mapping[str, Columns]
    loaded_at: datetime
    rules: Rules
    excluded: frozenset[Excluded]
    engine: str


def build(  # noqa: PLR0913, PLR0917 - all that decides what a batch becomes, each a value of its own
    staging: Staging,
    schema: str,
    prefix: str,
    frames: Sequence[Frame],
    known: Mapping[Table, Columns],
    at: datetime,
    rules: Rules = OURS,
    excluded: frozenset[Excluded] = frozenset(),
    *,
    warehouse_id: str = "",
    engine: str = "",
) -> Built:
    """Return the frames' events as tables of `schema`.

    Args:
        staging: where they are built.
        schema: the source's.
        prefix: makes the names of staged relations unique in a batch.
        frames: of this schema, in log order.
        known: the warehouse's tables, of all schemas.
        at: when the rows are loaded, UTC.
        rules: what becomes of what does not fit; by default it is kept.
        excluded: what stays out, of this schema's source.
        warehouse_id: for the events that name the warehouses they are for.
        engine: the warehouse's type, for the names that it alone refuses.
    """
    there = {table.name: columns for table, columns in known.items() if table.schema == schema}
    source = _Source(staging, schema, prefix, there, at, rules, excluded, engine)
    read = staging.read(frames, warehouse_id)
    built = Built(filtered=read.filtered)
    if read.unreadable:
        built.notices.append(f"{schema}: {read.unreadable} stored lines are no JSON and were left out.")
    if not read.rows:
        return built
    bodies, contexts = staging.shapes("body"), staging.shapes("context")
    routes = plan.routes_of(dict.fromkeys((shape.call, shape.event) for shape in bodies), source.known)
    context = _context(source, contexts)
    context = _stage(source, routes, contexts, context, built)
    used = _context_columns(routes, contexts, context)
    _track(source, bodies, used, context, built)
    for name in dict.fromkeys(route.table for route in routes):
        mine = {(route.type, route.event) for route in routes if route.table == name}
        shapes = [shape for shape in bodies if (shape.call, shape.event) in mine]
        _table(source, name, shapes, used[name], built)
    staging.drop("raw", "stage")
    return built


def _context(source: _Source, shapes: Sequence[Shape]) -> Extraction:
    """Return how `context` becomes columns; one type a field in the whole schema."""
    known = plan.context_types(source.known)
    documents = partial(source.staging.documents, "context")
    return plan.extraction(shapes, CONTEXT_DOCUMENT, tables.context_column, known, plan.CONTEXT_COLUMNS_MAX, documents)


def _stage(
    source: _Source, routes: Sequence[Route], shapes: Sequence[Shape], context: Extraction, built: Built
) -> Extraction:
    """Make `stage`: each call with its table, its typed common columns and context. Return what could be extracted."""
    staging = source.staging
    numbers = {name: number for number, name in enumerate(dict.fromkeys(route.table for route in routes))}
    rows = [(route.type, route.event, numbers[route.table], route.slug) for route in routes]
    staging.fill("route", "call, name, place, slug", rows)
    try:
        staging.connection.execute(_stage_sql(staging, source, context))
    except duckdb.Error as error:
        built.notices.append(f"{source.schema}: context was kept as JSON in {OVERFLOW} ({_reason(error)}).")
        context = Extraction(spilled=frozenset(shape.structure for shape in shapes))
        staging.connection.execute(_stage_sql(staging, source, context))
    return context


def _stage_sql(staging: Staging, source: _Source, context: Extraction) -> str:
    """Return the statement that makes `stage`."""
    misfits = [misfit for column in context.columns for misfit in column.misfits()]
    for name in _MOMENTS:
        value = Value(name, f"to_json({name})", name, frozenset())
        misfits.append((value, f"({name} is not null and {moment(name)} is null)"))
    misfits += _spill(staging, CONTEXT_DOCUMENT, context, "spilled_context")
    moments = "".join(f", {moment(name)} as {name}" for name in _MOMENTS)
    columns = "".join(f", {column.select()}" for column in context.columns)
    one = _count(source, "select count(*) from stretch") == 1  # an ASOF join sorts: not for the common case
    stretches = "cross join stretch" if one else "asof join stretch on raw.rowid >= stretch.first_row"
    return f"""create or replace temp table stage as
        select seq, place, slug, call, id, anonymous_id, user_id, group_id, previous_id, name, category,
        event as event_text{moments}{columns}, {overflow(misfits)} as common_overflow, body
        from (
            select raw.*, route.call, route.place, route.slug, {_texts(CONTEXT_DOCUMENT, context)},
            raw.rowid - stretch.first_row + stretch.first_seq as seq
            from raw {stretches} join route on raw.type = route.call and coalesce(raw.event, '') = route.name
        )"""


def _texts(document: Document, extraction: Extraction) -> str:
    """Return SQL that parses a document once and gives the texts of all its columns."""
    if not extraction.pointers:
        return f"[]::varchar[] as {document.texts}"
    pointers = ", ".join(quote_text(pointer) for pointer in extraction.pointers)
    return f"json_extract_string({document.name}, [{pointers}]) as {document.texts}"


def _spill(staging: Staging, document: Document, extraction: Extraction, table: str) -> list[tuple[Value, str]]:
    """Return the whole document as a misfit of the rows that have something without a column."""
    if not extraction.spilled:
        return []
    staging.fill(table, "structure", [(structure,) for structure in sorted(extraction.spilled)])
    value = Value(document.name, document.name, document.label, frozenset())
    return [(value, f"(({STRUCTURE.format(document=document.name)}) in (select structure from {table}))")]


def _context_columns(
    routes: Sequence[Route], shapes: Sequence[Shape], context: Extraction
) -> dict[str, dict[str, ColumnType]]:
    """Return the context columns that each table has in this batch: a null creates no column."""
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


def _track(
    source: _Source,
    bodies: Sequence[Shape],
    used: Mapping[str, Columns],
    context: Extraction,
    built: Built,
) -> None:
    """Add `tracks`: every track call, without its properties."""
    rows = sum(shape.count for shape in bodies if shape.call == Call.TRACK)
    if not rows:
        return
    columns = {**tables.common_columns(TRACKS), **used[TRACKS]}
    if context.columns or context.spilled:
        misfits = _count(source, f"select count(common_overflow) from stage where call = '{Call.TRACK}'")
        if misfits:
            columns[OVERFLOW] = ColumnType.VARCHAR
    relation = f"{source.prefix}_tracks"
    selected = ", ".join((*(_common(source, name) for name in columns), f"seq as {SEQ}"))
    source.staging.connection.execute(
        f"create or replace temp table {relation} as select {selected} from stage where call = '{Call.TRACK}'"
    )
    _add(source, built, Staged(Table(source.schema, TRACKS), columns, relation, rows))


def _table(source: _Source, name: str, shapes: Sequence[Shape], context: Columns, built: Built) -> None:
    """Add one table with its properties or traits; when that fails, the same rows with all of them in `_overflow`."""
    place = _count(source, f"select min(place) from route where {_is_route(shapes[0])}")
    document = Document("body", "traits" if name in {"identifies", "groups"} else "properties", "body_texts")
    relation = quote_ident(f"{source.prefix}_{place}")
    common = {**tables.common_columns(name), **context}
    rows = sum(shape.count for shape in shapes)
    body = _body(source, name, document, shapes)
    try:
        source.staging.connection.execute(_table_sql(source, place, document, common, body, relation))
    except duckdb.Error as error:
        built.notices.append(f"{source.schema}.{name}: {document.label} were kept as JSON ({_reason(error)}).")
        body = Extraction(spilled=frozenset(shape.structure for shape in shapes))
        source.staging.connection.execute(_table_sql(source, place, document, common, body, relation))
    columns = {**common, **{column.name: column.type for column in body.columns}}
    if misfits := _count(source, f"select count({OVERFLOW}) from {relation}"):
        columns[OVERFLOW] = ColumnType.VARCHAR
        built.notices.append(_notice(source, name, relation, misfits))
    _add(source, built, Staged(Table(source.schema, name), columns, relation, rows))


def _body(source: _Source, name: str, document: Document, shapes: Sequence[Shape]) -> Extraction:
    """Return how properties or traits become columns of a table."""
    if name == tables.OVERFLOW_TABLE:
        return Extraction(spilled=frozenset(shape.structure for shape in shapes))
    known = {column: kind for column, kind in source.known.get(name, {}).items() if not _is_ours(name, column)}
    documents = partial(source.staging.documents, "body")
    found = plan.extraction(
        shapes, document, partial(tables.body_column, name), known, plan.BODY_COLUMNS_MAX, documents
    )
    return _with_shared(name, found)


def _with_shared(name: str, found: Extraction) -> Extraction:
    """Return the extraction with the columns that the call itself may give; its own value wins."""
    columns = {column.name: column for column in found.columns}
    for shared in tables.SHARED.get(name, ()):
        own = Value(quote_ident(shared), f"to_json({shared})", shared, frozenset())
        values = columns[shared].values if shared in columns else ()
        columns[shared] = Column(shared, ColumnType.VARCHAR, (own, *values))
    return Extraction(found.pointers, tuple(columns.values()), found.added, found.spilled)


def _table_sql(
    source: _Source, place: int, document: Document, common: Columns, body: Extraction, relation: str
) -> str:
    """Return the statement that makes one typed table."""
    misfits = [misfit for column in body.columns for misfit in column.misfits()]
    misfits += _spill(source.staging, document, body, f"spilled_{place}")
    selected = [_common(source, name) for name in common]
    selected += [column.select() for column in body.columns]
    texts = f"(select *, {_texts(document, body)} from stage where place = {place})"
    if not misfits:
        listed = ", ".join((*selected, f"common_overflow as {OVERFLOW}", f"seq as {SEQ}"))
        return f"create or replace temp table {relation} as select {listed} from {texts}"
    listed = ", ".join((*selected, "common_overflow", f"{overflow(misfits)} as {OVERFLOW}", f"seq as {SEQ}"))
    both = f"coalesce(json_merge_patch(common_overflow, {OVERFLOW})::varchar, common_overflow, {OVERFLOW})"
    return f"""create or replace temp table {relation} as
        select * exclude (common_overflow) replace ({both} as {OVERFLOW}) from (select {listed} from {texts})"""


def _common(source: _Source, name: str) -> str:
    """Return a column that every row has, for a SELECT from `stage`."""
    if name == "uuid_ts":
        return f"timestamp '{source.loaded_at:%Y-%m-%d %H:%M:%S.%f}' as uuid_ts"
    if name == "event":
        return "slug as event"
    return f"common_overflow as {OVERFLOW}" if name == OVERFLOW else quote_ident(name)


def _is_ours(table: str, column: str) -> bool:
    """Return whether a column is none of properties or traits."""
    return column in tables.common_columns(table) or column.startswith(tables.CONTEXT) or column == OVERFLOW


def _is_route(shape: Shape) -> str:
    """Return the SQL condition for the route of a shape."""
    return f"call = {quote_text(shape.call)} and name = {quote_text(shape.event)}"


def _count(source: _Source, sql: str) -> int:
    """Return the one number that a statement gives."""
    row = source.staging.connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0


def _add(source: _Source, built: Built, staged: Staged) -> None:
    """Note a table and the columns that the warehouse does not have yet."""
    known = source.known.get(staged.table.name, {})
    if added := {name: kind for name, kind in staged.columns.items() if name not in known}:
        built.added[staged.table] = added
    built.staged.append(staged)


def _notice(source: _Source, name: str, relation: str, rows: int) -> str:
    """Return the sentence that says which values of a table did not fit."""
    labels = source.staging.connection.execute(
        f"select label, count(*) from (select unnest(json_keys({OVERFLOW})) as label from {relation}) "
        f"group by label order by 2 desc, 1 limit {_NOTICES_MAX}"
    ).fetchall()
    named = ", ".join(f"{label} ({count})" for label, count in labels)
    return f"{source.schema}.{name}: {rows} rows have values in {OVERFLOW} that fit no column: {named}."


def _reason(error: duckdb.Error) -> str:
    """Return what kind of failure it was; the message itself may hold values."""
    return type(error).__name__


def relations(built: Sequence[Built]) -> Iterator[str]:
    """Yield the staged relations that can be dropped after a load."""
    for part in built:
        for staged in part.staged:
            yield staged.relation
