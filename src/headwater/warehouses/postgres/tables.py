"""What is done to one table: make it fit, take a batch's rows, delete rows; `users` and `accounts` follow in step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from duckdb import DuckDBPyConnection

from headwater.errors import RefusedTableError
from headwater.spec.names import quote_ident
from headwater.warehouses.contract import ID, SEQ, Columns, ColumnType, Latest, Staged, Table
from headwater.warehouses.postgres import latest as derived
from headwater.warehouses.postgres.catalog import TYPES, Catalog, name_of
from headwater.warehouses.postgres.connection import driver
from headwater.warehouses.postgres.copying import Copying, into, select_of
from headwater.warehouses.postgres.latest import TOUCHED

SMALL_BYTES: Final = 256 * 1024 * 1024
"""Ours: what is rewritten or indexed while readers of the table wait. A few seconds; larger tables are left alone."""

_INCOMING: Final = "pg_temp.headwater_incoming"


class AtTableError(Exception):
    """PostgreSQL refused something at one table; what to make of it is decided where the whole batch is known."""

    def __init__(self, table: Table, error: Exception) -> None:
        """Take the table and the driver's error."""
        super().__init__(table)
        self.table = table
        self.error = error


@contextmanager
def at(table: Table) -> Iterator[None]:
    """Tell which table an error is about.

    Raises:
        AtTableError: whatever the driver raised.
    """
    try:
        yield
    except driver().Error as error:
        raise AtTableError(table, error) from error


def fits(catalog: Catalog, table: Table, columns: Columns) -> bool:
    """Return whether a table has these columns, and what is derived from it too."""
    declared = catalog.declared(table)
    latest = derived.of(table)
    if declared is None or not declared.keys() >= columns.keys():
        return False
    if latest is None:
        return True
    kept = catalog.declared(Table(table.schema, latest.table))
    return kept is not None and SEQ in declared and kept.keys() >= set(derived.kept(latest, declared))


def ensure(connection: Any, catalog: Catalog, table: Table, columns: Columns) -> None:
    """Make a table, or the columns it lacks, and what is derived from it; the caller's transaction."""
    declared = catalog.declared(table)
    latest = derived.of(table)
    if declared is None:
        catalog.create(table, columns)
    else:
        missing = {name: TYPES[kind] for name, kind in columns.items() if name not in declared}
        if latest is not None and SEQ not in declared:
            missing[SEQ] = "bigint"
        if missing:
            catalog.add(table, missing)
        if missing and is_small(connection, table):
            catalog.index(table, {name: kind for name, kind in columns.items() if name in missing})
    if latest is not None:
        _ensure_latest(connection, catalog, table, latest, had=set(declared or ()))


def is_small(connection: Any, table: Table) -> bool:
    """Return whether a table is quickly rewritten."""
    row = connection.execute("select pg_total_relation_size(to_regclass(%s))", [name_of(table)]).fetchone()
    return row is not None and (row[0] or 0) <= SMALL_BYTES


def delete(connection: Any, catalog: Catalog, table: Table, condition: str) -> int:
    """Delete rows, and compute their users anew; the caller's transaction. Return how many rows went."""
    latest = derived.of(table)
    if latest is None or latest.key not in (catalog.declared(table) or {}):
        return int(connection.execute(f"delete from {name_of(table)} where {condition}").rowcount)
    _make_touched(connection)
    gone = connection.execute(
        f"with gone as (delete from {name_of(table)} where {condition} returning {quote_ident(latest.key)} as key) "
        f"insert into {TOUCHED} select key from gone"
    )
    _recompute(connection, catalog, table, latest, touched=True)
    return int(gone.rowcount)


@dataclass(slots=True)
class Loading:
    """One try to load one batch.

    Attributes:
        fresh: for each derived table the temporary one that its news go through.
    """

    connection: Any
    staging: DuckDBPyConnection
    catalog: Catalog
    copying: Copying
    fresh: dict[Table, str] = field(default_factory=dict)

    def prepare(self, part: Staged, *, replaces: bool) -> None:
        """Do what stands before the transaction.

        Raises:
            RefusedTableError: a column would lose values without a word.
        """
        if misfits := self.catalog.misfits(part.table, part.columns):
            named = f"{part.table.schema}.{part.table.name}"
            raise RefusedTableError(
                f"The table {named} is left out: {', '.join(misfits)} and would lose part of the values. Change the "
                "column's type back, or drop it.",
                table=named,
            )
        latest = derived.of(part.table)
        if latest is not None and not replaces and latest.key in part.columns:
            self.fresh[part.table] = self._fresh(Table(part.table.schema, latest.table))

    def take(self, part: Staged, *, replaces: bool) -> None:
        """Store the rows of one table; in the batch's transaction."""
        if replaces:
            self._replace(part)
        else:
            self._copy(part, name_of(part.table))
            self._merge(part)

    def _copy(self, part: Staged, target: str, *, seq: bool = False) -> None:
        """Copy the staged rows as they are."""
        more = [SEQ] * (seq or derived.of(part.table) is not None)
        select = select_of(part.relation, part.columns, more)
        listed = into(target, [*part.columns, *more])
        self.copying.run(self.connection, self.staging, select, listed, part.table)

    def _merge(self, part: Staged) -> None:
        """Put the batch's last values over those of its users."""
        latest, fresh = derived.of(part.table), self.fresh.get(part.table)
        if latest is None or fresh is None:
            return
        names = derived.kept(latest, part.columns)
        columns = {"id": ColumnType.VARCHAR, **{name: part.columns[name] for name in names}}
        select = select_of(f"({derived.newest_of_batch(latest, part.relation, names)})", columns)
        self.copying.run(self.connection, self.staging, select, into(fresh, columns), part.table)
        target = name_of(Table(part.table.schema, latest.table))
        self.connection.execute(derived.merge(target, fresh, names))

    def _replace(self, part: Staged) -> None:
        """Put rows in the place of those of the same id; of two in the batch the later one stays."""
        target, latest = name_of(part.table), derived.of(part.table)
        declared = self.catalog.declared(part.table) or {}
        follows = latest is not None and latest.key in declared
        self.connection.execute(
            f"create temporary table {_INCOMING} on commit drop as select * from {target} with no data"
        )
        if SEQ not in declared:
            self.connection.execute(f"alter table {_INCOMING} add column {SEQ} bigint")
        self._copy(part, _INCOMING, seq=True)
        own = f"{target}.{quote_ident(ID)} = incoming.{quote_ident(ID)}"
        if latest is not None and follows:
            key = quote_ident(latest.key)
            _make_touched(self.connection)
            self.connection.execute(
                f"insert into {TOUCHED} select {key} from {_INCOMING} union "
                f"select {target}.{key} from {target} join {_INCOMING} as incoming on {own}"
            )
        self.connection.execute(f"delete from {target} using {_INCOMING} as incoming where {own}")
        columns = [*part.columns, *([SEQ] * (latest is not None))]
        listed = ", ".join(map(quote_ident, columns))
        self.connection.execute(
            f"insert into {into(target, columns)} select distinct on ({quote_ident(ID)}) {listed} from {_INCOMING} "
            f"order by {quote_ident(ID)}, {SEQ} desc"
        )
        if latest is not None and follows:
            _recompute(self.connection, self.catalog, part.table, latest, touched=True)
            self.connection.execute(f"drop table {TOUCHED}")
        self.connection.execute(f"drop table {_INCOMING}")

    def _fresh(self, table: Table) -> str:
        """Return an empty temporary table with the columns of a derived one; made once a session and shape."""
        declared = self.catalog.declared(table) or {}
        name = f"pg_temp.{quote_ident(_short(table))}"
        there = self.connection.execute(
            "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a "
            "where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped order by a.attnum",
            [name],
        ).fetchall()
        if dict(there) != declared:
            columns = ", ".join(f"{quote_ident(column)} {kind}" for column, kind in declared.items())
            self.connection.execute(f"drop table if exists {name}")
            self.connection.execute(f"create temporary table {name} ({columns}) on commit delete rows")
        return name


def _short(table: Table) -> str:
    """Return a name for the news of a derived table, no longer than PostgreSQL allows."""
    return f"{table.name}_{table.schema}"[:63]


def _ensure_latest(connection: Any, catalog: Catalog, origin: Table, latest: Latest, *, had: set[str]) -> None:
    """Make what is derived from a table fit it; fill what should have been there before."""
    target = Table(origin.schema, latest.table)
    declared = catalog.declared(target)
    columns = catalog.declared(origin) or {}
    wanted = {name: columns[name] for name in derived.kept(latest, columns)}
    if declared is None:
        catalog.create_latest(target, wanted)
        missing = {latest.key}
    else:
        missing = set(wanted) - set(declared)
        if missing:
            catalog.add(target, {name: wanted[name] for name in wanted if name in missing})
    if missing & had:  # somebody dropped it
        _recompute(connection, catalog, origin, latest, touched=False)


def _recompute(connection: Any, catalog: Catalog, origin: Table, latest: Latest, *, touched: bool) -> None:
    """Compute rows of a derived table anew."""
    target = Table(origin.schema, latest.table)
    names = derived.kept(latest, catalog.declared(origin) or {})
    for statement in derived.recompute(latest, name_of(target), name_of(origin), names, touched=touched):
        connection.execute(statement)


def _make_touched(connection: Any) -> None:
    """Make the empty list of those who are computed anew."""
    connection.execute(f"create temporary table {TOUCHED} (key character varying) on commit drop")
