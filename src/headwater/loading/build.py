"""From frames of one schema to typed tables, and the columns that the warehouse needs before it takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import duckdb

from headwater.loading import misfits, plan, stage, tables
from headwater.loading.columns import OVERFLOW, Column, Value, any_of, fit, overflow
from headwater.loading.misfits import Misfit
from headwater.loading.plan import Document, Extraction, Shape, Space
from headwater.loading.rules import OURS, Conflicts, Rules
from headwater.loading.selection import Excluded
from headwater.loading.stage import Source, Stage
from headwater.loading.staging import Staging
from headwater.loading.tables import TRACKS
from headwater.spec.event import Call, Frame
from headwater.spec.names import quote_ident
from headwater.warehouses.contract import SEQ, Columns, ColumnType, Staged, Table

__all__ = ["Built", "Misfit", "build"]


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
        filtered: events that their sender kept out of this warehouse by `integrations.Warehouses`, or their source.
        suppressed: events of people who are suppressed.
    """

    staged: list[Staged] = field(default_factory=list)
    added: dict[Table, Columns] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    wider: dict[Table, dict[str, ColumnType]] = field(default_factory=dict)
    filtered: int = 0
    suppressed: int = 0


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
    source = Source(
        staging,
        schema,
        prefix,
        {table.name: columns for table, columns in known.items() if table.schema == schema},
        at,
        rules,
        _by_table(excluded),
        engine,
    )
    read = staging.read(frames, warehouse_id)
    built = Built(filtered=read.filtered, suppressed=read.suppressed)
    if read.unreadable:
        built.notices.append(f"{schema}: {read.unreadable} stored lines are no JSON and were left out.")
    if read.rows:
        _fill(source, built)
    staging.drop("raw", "stage")
    return built


def _by_table(excluded: frozenset[Excluded]) -> dict[str, frozenset[str]]:
    """Return what is excluded by table.

    Who excludes `order` means the column that is called `_order` because the word is reserved; no other is called so.
    """
    found: dict[str, set[str]] = {}
    for each in excluded:
        columns = {each.property, f"_{each.property}"} if each.property else {""}
        for table in (
            {each.collection} if tables.is_taken(each.collection) else {each.collection, f"_{each.collection}"}
        ):
            found.setdefault(table, set()).update(columns)
    return {table: frozenset(columns) for table, columns in found.items()}


def _fill(source: Source, built: Built) -> None:
    """Build the tables of what was read; at least one row."""
    bodies, contexts = source.staging.shapes("body"), source.staging.shapes("context")
    calls = dict.fromkeys((shape.call, shape.event) for shape in bodies)
    routes = plan.routes_of(calls, source.known, source.not_loaded, source.rules, source.engine)
    made = stage.make(source, routes, contexts)
    built.notices += made.notices
    built.wider.update({table: dict(columns) for table, columns in made.wider.items()})
    if TRACKS not in source.not_loaded:
        _track(source, bodies, made, built)
    table_of = {(route.type, route.event): route.table for route in routes}
    shapes: dict[str, list[Shape]] = {}
    for shape in bodies:
        shapes.setdefault(table_of[shape.call, shape.event], []).append(shape)
    for name, mine in shapes.items():
        if name not in source.not_loaded:
            _table(source, name, mine, made, built)


def _track(source: Source, bodies: Sequence[Shape], made: Stage, built: Built) -> None:
    """Add `tracks`: every track call, without its properties."""
    rows = sum(shape.count for shape in bodies if shape.call == Call.TRACK)
    if not rows:
        return
    common = _common(source, TRACKS, made)
    relation = quote_ident(f"{source.prefix}_tracks")
    kept = [f"common_overflow as {OVERFLOW}"] if made.misfits else []
    selected = ", ".join([*(given.sql for given in common), *kept, f"seq as {SEQ}"])
    source.staging.connection.execute(
        f"create or replace temp table {relation} as select {selected} from stage where call = '{Call.TRACK}'"
    )
    staged = Staged(Table(source.schema, TRACKS), {given.name: given.type for given in common}, relation, rows)
    if made.misfits:
        staged, _ = _finished(source, staged, (), made)  # each of these rows stands in another table too
    _add(source, staged, built)


@dataclass(frozen=True, slots=True)
class _Given:
    """A column of a table that is none of its properties or traits, and its SQL."""

    name: str
    type: ColumnType
    sql: str


def _common(source: Source, table: str, made: Stage) -> list[_Given]:
    """Return the columns of a table that come out of `stage` as they are; those that are left out are null."""
    hidden = source.hidden(table)
    known = source.known.get(table, {})
    common = []
    for name, kind in tables.common_columns(table).items():
        own = {"uuid_ts": f"timestamp '{source.loaded_at:%Y-%m-%d %H:%M:%S.%f}'", "event": "slug"}
        value = f"null::{kind}" if name in hidden else own.get(name, quote_ident(name))
        common.append(_Given(name, kind, f"{value} as {quote_ident(name)}"))
    for name, kind in made.columns[table].items():
        if name not in hidden:
            wanted = known.get(name, kind)  # wider where another table's could not be widened with it
            value = quote_ident(name) if wanted is kind else f"try_cast({quote_ident(name)} as {wanted})"
            common.append(_Given(name, wanted, f"{value} as {quote_ident(name)}"))
    return common


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one table is made.

    Attributes:
        place: its number in `route`.
        document: what its own columns are made of.
        relation: its quoted name in staging.
    """

    table: str
    place: int
    document: Document
    common: Sequence[_Given]
    shapes: Sequence[Shape]
    relation: str


def _table(source: Source, name: str, shapes: Sequence[Shape], made: Stage, built: Built) -> None:
    """Add one table with its properties or traits; when that fails, the same rows with all of them in `_overflow`."""
    place = made.places[name]
    document = Document("body", "traits" if name in {"identifies", "groups"} else "properties", "body_texts")
    relation = quote_ident(f"{source.prefix}_{place}")
    wanted = _Plan(name, place, document, _common(source, name, made), shapes, relation)
    body = _body(source, wanted, {})
    try:
        missed = _make(source, wanted, body, made)
        if missed and source.rules.conflicts is Conflicts.WIDEN:
            decided = _widened(source, wanted, body, built)
            if decided:
                body = _body(source, wanted, decided)
                missed = _make(source, wanted, body, made)
    except duckdb.Error as error:
        built.notices.append(f"{source.schema}.{name}: {document.label} were kept as JSON ({type(error).__name__}).")
        body = Extraction(spilled=frozenset(shape.structure for shape in shapes), hidden=body.hidden)
        missed = _make(source, wanted, body, made)
    columns = {given.name: given.type for given in wanted.common} | {each.name: each.type for each in body.columns}
    staged = Staged(Table(source.schema, name), columns, relation, sum(shape.count for shape in shapes))
    if missed:
        staged, found = _finished(source, staged, body.columns, made)
        built.misfits += found
        if found:
            built.notices.append(misfits.notice(found, missed, kept=source.rules.conflicts is not Conflicts.DROP))
    _add(source, staged, built)


def _body(source: Source, wanted: _Plan, decided: Columns) -> Extraction:
    """Return how properties or traits become columns of a table."""
    name, rules = wanted.table, source.rules
    if name == tables.OVERFLOW_TABLE:
        return Extraction(spilled=frozenset(shape.structure for shape in wanted.shapes))
    known = source.known.get(name, {})
    space = Space(
        partial(tables.body_column, name, engine=source.engine, reserved=rules.reserved),
        {column: kind for column, kind in known.items() if column != OVERFLOW and not tables.is_ours(name, column)},
        decided,
        plan.BODY_COLUMNS_MAX if rules.caps else None,
        source.hidden(name),
        rules,
    )
    found = plan.extraction(wanted.shapes, wanted.document, space, partial(source.staging.documents, "body"))
    return _with_shared(source, name, found)


def _with_shared(source: Source, name: str, found: Extraction) -> Extraction:
    """Return the extraction with the columns that the call itself may give; its own value wins."""
    columns = {column.name: column for column in found.columns}
    for shared in tables.SHARED.get(name, ()):
        if shared in source.hidden(name):
            continue
        own = Value(quote_ident(shared), f"to_json({shared})", shared, frozenset())
        values = columns[shared].values if shared in columns else ()
        columns[shared] = Column(shared, ColumnType.VARCHAR, (own, *values), source.rules)
    return replace(found, columns=tuple(columns.values()))


def _make(source: Source, wanted: _Plan, body: Extraction, made: Stage) -> int:
    """Make one typed table; return how many of its rows have something that fits no column.

    It has a column `_overflow` only when some do: usually none, and to see that costs less than to keep it.
    """
    fitting = fit(body.columns)
    missed = fitting.misfits + stage.spill(source.staging, wanted.document, body, f"spilled_{wanted.place}")
    listed = ", ".join([*(given.sql for given in wanted.common), *fitting.selected, f"seq as {SEQ}"])
    calls = f"select * from stage where place = {wanted.place}"
    rows = f"from (select *{fitting.columns} from ({stage.texts(wanted.document, body, calls)}))"
    conditions = any_of(missed) + (["common_overflow is not null"] if made.misfits else [])
    create = f"create or replace temp table {wanted.relation} as select {listed}"
    if not conditions:
        source.staging.connection.execute(f"{create} {rows}")
        return 0
    source.staging.connection.execute(f"{create}, {' or '.join(conditions)} as {OVERFLOW} {rows}")
    count = source.count(f"select count_if({OVERFLOW}) from {wanted.relation}")
    if count:
        kept = overflow(missed, "common_overflow" if made.misfits else "")
        source.staging.connection.execute(f"{create}, {kept} as {OVERFLOW} {rows}")
    else:
        source.staging.connection.execute(f"alter table {wanted.relation} drop column {OVERFLOW}")
    return count


def _widened(source: Source, wanted: _Plan, body: Extraction, built: Built) -> Columns:
    """Note which columns of the warehouse want a wider type; return the types of those that are new."""
    wider = misfits.wider(source.staging.connection, wanted.relation, OVERFLOW, body.columns)
    known = source.known.get(wanted.table, {})
    if there := {name: kind for name, kind in wider.items() if name in known}:
        built.wider.setdefault(Table(source.schema, wanted.table), {}).update(there)
    return {name: kind for name, kind in wider.items() if name not in known}


def _finished(source: Source, staged: Staged, body: Sequence[Column], made: Stage) -> tuple[Staged, tuple[Misfit, ...]]:
    """Return a table with what may stay in its `_overflow`, and what was found there.

    What is excluded goes, and, where the rules do not keep what fits no column, everything but whole documents.
    """
    connection, relation, hidden = source.staging.connection, staged.relation, source.hidden(staged.table.name)
    if paths := made.paths(hidden):
        misfits.strip(connection, relation, [".".join(("context", *path)) for path in paths], paths)
    found = misfits.found(connection, staged.table, relation, (*stage.MOMENTS, *made.context.columns, *body))
    if source.rules.conflicts is Conflicts.DROP:
        misfits.strip(connection, relation, [misfit.label for misfit in found if misfit.column])
    if OVERFLOW not in hidden and source.count(f"select count({OVERFLOW}) from {relation}"):
        return replace(staged, columns={**staged.columns, OVERFLOW: ColumnType.VARCHAR}), found
    connection.execute(f"alter table {relation} drop column {OVERFLOW}")
    return staged, found


def _add(source: Source, staged: Staged, built: Built) -> None:
    """Note a table and the columns that the warehouse does not have yet."""
    known = source.known.get(staged.table.name, {})
    if added := {name: kind for name, kind in staged.columns.items() if name not in known}:
        built.added[staged.table] = added
    built.staged.append(staged)
