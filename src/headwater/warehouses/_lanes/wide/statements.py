"""The statements of the lane, for any engine. Pure.

Every name is quoted by the engine; values come from staging tables, so there are no literals but numbers and times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headwater.spec.names import quote_text
from headwater.warehouses._lanes.wide.engine import BOOKKEEPING, Commit, Engine
from headwater.warehouses.contract import ID, LATEST, Columns, ColumnType, Latest, Table

CURSORS: Final = Table(BOOKKEEPING, "cursors")
CURSOR_COLUMNS: Final = {"next": ColumnType.INTEGER, "token": ColumnType.VARCHAR}
ORDER_COLUMNS: Final = {ID: ColumnType.VARCHAR, "seq": ColumnType.INTEGER}
TABLES: Final = Table(BOOKKEEPING, "tables")
"""Which tables are ours: nobody else's is ever written to."""
TABLES_COLUMNS: Final = {"schema_name": ColumnType.VARCHAR, "table_name": ColumnType.VARCHAR}
RECEIVED: Final = "received_at"
NEW: Final = "n"
"""The staging column that tells the rows of a batch (1) from those that were there (0)."""
_ZONES: Final = timedelta(days=1)  # a session's zone is never further away; the bounds only spare reading


@dataclass(frozen=True, slots=True)
class Shipped:
    """Rows of one table that lie in a staging table.

    Attributes:
        stage: the staging table's name as SQL.
        slots: the staging column of each column that the rows have.
        received: when the first and the last row were received, None where that is not known of all.
    """

    table: Table
    stage: str
    slots: Mapping[str, str]
    received: tuple[datetime, datetime] | None = None


def order_of(table: Table) -> Table:
    """Return the table that keeps the log sequence of each row of a table that a newest state is made of."""
    return Table(BOOKKEEPING, f"{table.schema}__{table.name}")


def latest_of(table: Table) -> Latest | None:
    """Return what is derived from a table, None for most."""
    return next((latest for latest in LATEST if latest.origin == table.name), None)


def latest_columns(latest: Latest, origin: Columns) -> dict[str, ColumnType]:
    """Return the columns of a newest state."""
    return {ID: ColumnType.VARCHAR} | {name: kind for name, kind in origin.items() if name not in latest.hidden}


def create_schema(engine: Engine, schema: str) -> str:
    """Return the statement that makes a schema unless it is there."""
    named = engine.named(schema)
    plainly = quote_text(f"create schema {named}")
    return engine.create_schema.format(schema=named, name=quote_text(engine.fold(schema)), plainly=plainly)


def create(engine: Engine, table: Table, columns: Columns, *, of_events: bool = True) -> list[str]:
    """Return the statements that make a table; one of events is found by the messageId, which is short."""
    key = engine.key if of_events else engine.types[ColumnType.VARCHAR]
    types = {name: key if name == ID else engine.types[kind] for name, kind in columns.items()}
    named = engine.named(*table)
    form = engine.create_found if of_events and {ID, RECEIVED} <= columns.keys() else engine.create
    made = [
        form.format(
            table=named,
            columns=", ".join(f"{engine.named(name)} {kind}" for name, kind in types.items()),
            id=engine.named(ID),
            received_at=engine.named(RECEIVED),
        )
    ]
    if engine.index and of_events and ID in columns:
        made.append(engine.index.format(table=named, id=engine.named(ID)))
    return made


def add(engine: Engine, table: Table, columns: Columns) -> list[str]:
    """Return the statements that add columns to a table: one where the engine can."""
    adding = engine.adding
    items = [adding.item.format(column=engine.named(name), type=engine.types[kind]) for name, kind in columns.items()]
    listed = [", ".join(items)] if adding.many else items
    return [adding.statement.format(table=engine.named(*table), items=each) for each in listed]


def merge(engine: Engine, rows: Shipped, known: Iterable[str], *, replacing: bool) -> list[str]:
    """Return the statements after which each shipped row is there once.

    Args:
        engine: whose words.
        rows: each id once.
        known: every column of the table: what the rows do not have becomes null.
        replacing: rows of a reload take the place of those of the same id.
    """
    target, key, staged = engine.named(*rows.table), engine.named(ID), rows.slots[ID]
    if engine.commit is Commit.STATEMENT:
        return [_merged(engine, rows, known)]
    names = ", ".join(engine.named(name) for name in rows.slots)
    insert = f"insert into {target} ({names}) select {', '.join(rows.slots.values())} from {rows.stage}"
    near = _near(engine, rows, "")
    if engine.commit is Commit.BATCH or replacing:
        return [f"delete from {target} where {_is_in(engine, key, staged, rows.stage)}{near}", insert]
    return [f"{insert} where {staged} not in (select {key} from {target} where {key} is not null{near})"]


def update_latest(engine: Engine, rows: Shipped) -> list[str]:
    """Return the statements after which a newest state has the shipped values; where they are null it keeps its own.

    Args:
        engine: whose words.
        rows: one a key, with every column of the table.
    """
    target, key, staged = engine.named(*rows.table), engine.named(ID), rows.slots[ID]
    names = ", ".join(engine.named(name) for name in rows.slots)
    slots = ", ".join(rows.slots.values())
    if engine.commit is Commit.STATEMENT:
        sets = ", ".join(
            f"{engine.named(name)} = coalesce(s.{slot}, d.{engine.named(name)})"
            for name, slot in rows.slots.items()
            if name != ID
        )
        return [_upsert(engine, rows, rows.stage, sets)]
    both = ", ".join(f"s.{slot}" if slot == staged else f"coalesce(s.{slot}, o.{slot})" for slot in rows.slots.values())
    same = f"{engine.exact.format(f'o.{staged}')} = {engine.exact.format(f's.{staged}')}"
    there = _is_in(engine, key, staged, rows.stage)
    return [
        f"insert into {rows.stage} ({slots}, {NEW}) select {names}, 0 from {target} where {there}",
        f"delete from {target} where {there}",
        (
            f"insert into {target} ({names}) select {both} from {rows.stage} s "
            f"left join {rows.stage} o on {same} and o.{NEW} = 0 where s.{NEW} = 1"
        ),
    ]


def rebuild_latest(engine: Engine, latest: Latest, origin: Table, columns: Columns) -> list[str]:
    """Return the statements that make a newest state anew from the table of its events.

    Args:
        engine: whose words.
        latest: what is derived.
        origin: the table of events that it is derived from.
        columns: of the newest state.
    """
    target = engine.named(origin.schema, latest.table)
    names = ", ".join(engine.named(name) for name in columns)
    newest = _newest(engine, latest, origin, columns)
    if engine.commit is not Commit.STATEMENT:
        return [f"delete from {target} where 1 = 1", f"insert into {target} ({names}) {newest}"]
    sets = ", ".join(f"{engine.named(name)} = s.{engine.named(name)}" for name in columns if name != ID)
    slots = {name: engine.named(name) for name in columns}
    key = engine.named(latest.key)
    gone = (
        f"delete from {target} where {engine.named(ID)} not in "
        f"(select {key} from {engine.named(*origin)} where {key} is not null)"
    )
    return [_upsert(engine, Shipped(Table(origin.schema, latest.table), "", slots), f"({newest})", sets), gone]


def latest_view(engine: Engine, latest: Latest, origin: Table, columns: Columns) -> str:
    """Return the statement that makes a newest state a view."""
    listed = "".join(
        f", {engine.latest_value.format(value='o.' + engine.named(name), order='q.seq')} as {engine.named(name)}"
        for name in columns
        if name != ID
    )
    key = f"o.{engine.named(latest.key)}"
    return (
        f"create or replace view {engine.named(origin.schema, latest.table)} as select {key} as {engine.named(ID)}"
        f"{listed} from {_ordered(engine, origin)} where {key} is not null group by {key}"
    )


def twin_of(engine: Engine, table: Table) -> str:
    """Return the statement that makes a table's twin."""
    return engine.twin.format(view=engine.named(table.schema, f"{table.name}_view"), table=engine.named(*table))


def move_cursor(engine: Engine, after: int, token: str) -> list[str]:
    """Return the statements that move the cursor, only forwards in a transaction; there the token tells whether it did.

    Args:
        engine: whose words.
        after: where it shall stand.
        token: hexadecimal digits.
    """
    cursors = engine.named(*CURSORS)
    following, by = engine.named("next"), engine.named("token")
    if engine.commit is Commit.BATCH:
        return [f"update {cursors} set {following} = {after}, {by} = '{token}' where {following} < {after}"]
    return [f"insert into {cursors} ({following}, {by}) values ({after}, '{token}')"]


def _newest(engine: Engine, latest: Latest, origin: Table, columns: Columns) -> str:
    """Return a SELECT of each key's last values that are not null.

    Two steps that every engine can: for each column the sequence of its last value, then the value of that sequence.
    """
    key = engine.named(latest.key)
    values = {name: kind for name, kind in columns.items() if name != ID}
    inner = "".join(
        f", o.{engine.named(name)} as v{number}, max(case when o.{engine.named(name)} is not null then q.seq end) "
        f"over (partition by {engine.exact.format(f'o.{key}')}) as m{number}"
        for number, name in enumerate(values)
    )
    outer = "".join(
        f", {_only(engine, kind).format(f'case when s = m{number} then v{number} end')} as {engine.named(name)}"
        for number, (name, kind) in enumerate(values.items())
    )
    grouped = engine.exact.format("k")
    return (
        f"select {grouped} as {engine.named(ID)}{outer} from (select o.{key} as k, q.seq as s{inner} "
        f"from {_ordered(engine, origin)} where o.{key} is not null) x group by {grouped}"
    )


def _only(engine: Engine, kind: ColumnType) -> str:
    """Return the aggregate that gives the one value that is not null."""
    return engine.largest_boolean if kind is ColumnType.BOOLEAN else "max({})"


def _ordered(engine: Engine, origin: Table) -> str:
    """Return the FROM item that joins each event `o` to its sequence `q.seq`."""
    key = engine.named(ID)
    same = f"{engine.exact.format(f'q.{key}')} = {engine.exact.format(f'o.{key}')}"
    return f"{engine.named(*origin)} o join {engine.named(*order_of(origin))} q on {same}"


def _merged(engine: Engine, rows: Shipped, known: Iterable[str]) -> str:
    """Return one MERGE on `id`; what the rows do not have becomes null."""
    sets = ", ".join(
        f"{engine.named(name)} = {f's.{rows.slots[name]}' if name in rows.slots else 'null'}"
        for name in known
        if name != ID
    )
    return _upsert(engine, rows, rows.stage, sets, _near(engine, rows, "d."))


def _upsert(engine: Engine, rows: Shipped, source: str, sets: str, near: str = "") -> str:
    """Return a MERGE of a source into a table: rows of the same id get the new values, the others are inserted."""
    matched = f"when matched then update set {sets} " if sets else ""
    return (
        f"merge into {engine.named(*rows.table)} as d using {source} as s "
        f"on d.{engine.named(ID)} = s.{rows.slots[ID]}{near} {matched}"
        f"when not matched then insert ({', '.join(engine.named(name) for name in rows.slots)}) "
        f"values ({', '.join(f's.{slot}' for slot in rows.slots.values())})"
    )


def _is_in(engine: Engine, key: str, staged: str, stage: str) -> str:
    """Return the condition that a key is among the staged ones."""
    return f"{engine.exact.format(key)} in (select {engine.exact.format(staged)} from {stage})"


def _near(engine: Engine, rows: Shipped, alias: str) -> str:
    """Return a condition that lets an engine skip what was received at other times; an id has one time for ever."""
    if rows.received is None or RECEIVED not in rows.slots:
        return ""
    column, kind = f"{alias}{engine.named(RECEIVED)}", engine.types[ColumnType.TIMESTAMP]
    first, last = (
        f"cast('{at:%Y-%m-%d %H:%M:%S}' as {kind})" for at in (rows.received[0] - _ZONES, rows.received[1] + _ZONES)
    )
    return f" and {column} between {first} and {last}"
