"""How the contract of warehouses asks one of them; each entry on the shelf has such a class, named in the test."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import deltalake
import duckdb
import pyarrow as pa

from headwater.spec.names import quote_ident
from headwater.warehouses import delta, ducklake, embedded
from headwater.warehouses import duckdb as duckdb_file
from headwater.warehouses.contract import SEQ, Columns, Load, Reading, Staged, Table, Warehouse

DUCKDB_ESCAPES = (
    "copy (select 1) to '/tmp/headwater-escaped.csv'",
    "copy (select 1) to '{home}/x.csv'",
    "attach '{home}/x.db'",
    "install httpfs",
    "load json",
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/passwd')",
    "select * from read_blob('{home}/../secret')",
    "select * from read_parquet('{home}/../*.parquet')",
    "select * from glob('/etc/*')",
    "from '/etc/passwd'",
    "from 'https://example.com/x.csv'",
    "from query('copy (select 1) to ''{home}/x''')",
    "pragma database_list",
    "set threads = 1",
    "set enable_external_access = true",
    "reset lock_configuration",
    "call enable_logging()",
    "export database '{home}/out'",
    "checkpoint",
    "from duckdb_secrets()",
    "select getenv('HOME')",
    "explain analyze select 1",
    "prepare p as select 1",
)

ESCAPES = (
    "",
    "-- nothing",
    "selec",
    "select 1; select 2",
    "select 1; drop table site.tracks",
    "create table site.x (i int)",
    "insert into site.tracks (id) values ('x')",
    "update site.tracks set id = 'x'",
    "delete from site.tracks",
    "drop table site.tracks",
    "drop schema site cascade",
    "begin",
)
"""What no SQL engine may do for who only reads."""


class UnderTest(ABC):
    """Builds a warehouse and looks into it the way its users do.

    Attributes:
        escapes: statements that must end in QueryError, besides `ESCAPES`; `{home}` is the warehouse's directory.
        slow: a SELECT that takes minutes and little memory.
    """

    escapes: ClassVar[Sequence[str]] = ()
    slow: ClassVar[str] = "select count(*) from range(100000000000) a, range(1000000) b"

    def __init__(self, home: Path) -> None:
        """Take a directory that does not exist yet and is its own."""
        self.home = home

    @abstractmethod
    def make(self) -> Warehouse:
        """Return a new object for the same warehouse."""

    @abstractmethod
    def reading(self) -> Reading:
        """Return a new object that asks it."""

    @abstractmethod
    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT, not through `Reading`."""

    def refused(self, staging: duckdb.DuckDBPyConnection, table: Table, columns: Columns, seq: int) -> Staged:
        """Return a staged table of one row that the warehouse will not take although its columns are there.

        Here the staged rows themselves fail; a server that refuses is better where there is one.
        """
        listed = ", ".join(f"null::{kind.value} as {name}" for name, kind in columns.items())
        failing = f"select {listed}, error('cannot be read')::bigint as {SEQ} from range({seq}, {seq + 1}) r(i)"
        staging.execute(f"create or replace temp view refused as {failing}")
        return Staged(table, columns, "refused", 1)


class EmbeddedUnderTest(UnderTest):
    """Parquet files and views, read by plain DuckDB."""

    escapes = DUCKDB_ESCAPES

    def make(self) -> embedded.Warehouse:
        """Return the warehouse of this directory."""
        return embedded.Warehouse(embedded.Settings(), self.home)

    def reading(self) -> embedded.Reading:
        """Return what asks it."""
        return embedded.Reading(embedded.Settings(), self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Open the views as a DuckDB shell does."""
        with duckdb.connect(str(self.home / "views.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


class DuckDBFileUnderTest(UnderTest):
    """One file, read by plain DuckDB between two loads."""

    escapes = DUCKDB_ESCAPES

    def make(self) -> duckdb_file.Warehouse:
        """Return the warehouse of the file in this directory."""
        return duckdb_file.Warehouse(duckdb_file.Settings(), self.home)

    def reading(self) -> duckdb_file.Reading:
        """Return what asks it."""
        return duckdb_file.Reading(duckdb_file.Settings(), self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Open the file as a DuckDB shell does."""
        with duckdb.connect(str(self.home / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def refused(self, staging: duckdb.DuckDBPyConnection, table: Table, columns: Columns, seq: int) -> Staged:
        """Return a row that breaks a constraint which somebody gave the table."""
        with duckdb.connect(str(self.home / "warehouse.duckdb")) as connection:
            connection.execute(f"alter table {table.schema}.{table.name} alter column id set not null")
        return staged(staging, table, columns, {seq: {"id": None}})


class DuckLakeUnderTest(UnderTest):
    """A lake with a catalog in SQLite; only where DuckDB has the extension."""

    escapes = DUCKDB_ESCAPES

    @staticmethod
    def runs_here() -> bool:
        """Return whether DuckDB has the extensions."""
        with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
            try:
                connection.execute("load ducklake; load sqlite_scanner")
            except duckdb.Error:
                return False
        return True

    def make(self) -> ducklake.Warehouse:
        """Return the warehouse of this directory."""
        return ducklake.Warehouse(ducklake.Settings(), self.home)

    def reading(self) -> ducklake.Reading:
        """Return what asks it."""
        return ducklake.Reading(ducklake.Settings(), self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Attach the lake as a DuckDB shell does."""
        with duckdb.connect() as connection:
            connection.execute("load ducklake; load sqlite_scanner")
            connection.execute(f"attach 'ducklake:sqlite:{self.home}/catalog.sqlite' as lake (read_only); use lake")
            return connection.execute(sql).fetchall()

    def refused(self, staging: duckdb.DuckDBPyConnection, table: Table, columns: Columns, seq: int) -> Staged:
        """Return a row for a column that somebody made narrower."""
        with duckdb.connect() as connection:
            connection.execute("load ducklake; load sqlite_scanner")
            connection.execute(f"attach 'ducklake:sqlite:{self.home}/catalog.sqlite' as lake; use lake")
            connection.execute(f"alter table {table.schema}.{table.name} drop column count")
            connection.execute(f"alter table {table.schema}.{table.name} add column count tinyint")
        return staged(staging, table, columns, {seq: {"count": 1_000}})


class DeltaUnderTest(UnderTest):
    """Delta tables in a directory, read as Arrow datasets."""

    escapes = DUCKDB_ESCAPES

    def make(self) -> delta.Warehouse:
        """Return the warehouse of this directory."""
        return delta.Warehouse(delta.Settings(), self.home)

    def reading(self) -> delta.Reading:
        """Return what asks it."""
        return delta.Reading(delta.Settings(), self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Read every table's newest commit, instants as UTC without a zone."""
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            for log in self.home.glob("*/*/_delta_log"):
                table, schema = log.parent, log.parent.parent.name
                rows = f"{schema}/{table.name}"
                connection.register(rows, deltalake.DeltaTable(table).to_pyarrow_dataset())
                forms = {"VARCHAR": "substr({}, 1)", "TIMESTAMP WITH TIME ZONE": "{}::timestamp"}
                described = connection.execute(f'describe "{rows}"').fetchall()
                columns = {quote_ident(name): forms.get(kind, "{}") for name, kind, *_ in described}
                listed = ", ".join(f"{form.format(name)} as {name}" for name, form in columns.items())
                connection.execute(f"create schema if not exists {schema}")
                connection.execute(f'create view {schema}.{table.name} as select {listed} from "{rows}"')
            return connection.execute(sql).fetchall()

    def refused(self, staging: duckdb.DuckDBPyConnection, table: Table, columns: Columns, seq: int) -> Staged:
        """Return a row for a table of which somebody made one with other types."""
        shutil.rmtree(self.home / table.schema / table.name, ignore_errors=True)
        other = pa.table({"id": ["m"], "count": ["many"]})
        deltalake.write_deltalake(self.home / table.schema / table.name, other)
        return staged(staging, table, columns, {seq: {"count": 1}})


def staged(
    staging: duckdb.DuckDBPyConnection, table: Table, columns: Columns, rows: Mapping[int, Mapping[str, Any]]
) -> Staged:
    """Return a staged table.

    Args:
        rows: values by column, by log sequence; what is missing is null, but `id`, which follows from the sequence.
    """
    relation = f'"rows {table.schema} {table.name}"'
    declared = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {kind.value}' for name, kind in columns.items())
    staging.execute(f"create or replace temp table {relation} ({declared}, {SEQ} bigint)")
    marks = ", ".join("?" * (len(columns) + 1))
    for seq, row in sorted(rows.items()):
        values = {"id": f"m{seq}", **row}
        staging.execute(f"insert into {relation} values ({marks})", [*(values.get(name) for name in columns), seq])
    return Staged(table, columns, relation, len(rows))


def load(
    warehouse: Warehouse,
    staging: duckdb.DuckDBPyConnection,
    bounds: tuple[int, int],
    *tables: tuple[Table, Columns, Mapping[int, Mapping[str, Any]]],
    reload: str = "",
) -> None:
    """Load one batch as the engine does: tables and columns first."""
    parts = tuple(staged(staging, *each) for each in tables)
    warehouse.add_columns({part.table: part.columns for part in parts})
    warehouse.load(staging, Load(*bounds, parts, reload))
