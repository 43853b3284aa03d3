"""How the contract of warehouses asks the lane through dlt, on the engines that run here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import duckdb
from postgres_under_test import ESCAPES as POSTGRES_ESCAPES
from warehouse_under_test import UnderTest, staged

from headwater.warehouses.contract import Columns, Staged, Table
from postgres_server import server
from wide_engines import AskDuckDB, AskPostgres, InDuckDB, InPostgres, Inserting, Lane, Merging, Server, file_of


class WideUnderTest(UnderTest):
    """The lane on a DuckDB file: a transaction a batch."""

    lane: ClassVar[type[Lane]] = InDuckDB
    escapes = (
        "copy (select 1) to '{home}/x.csv'",
        "attach '{home}/x.db'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from glob('/etc/*')",
        "from '/etc/passwd'",
        "select getenv('HOME')",
        "with gone as (delete from site.tracks returning id) select * from gone",
        "explain analyze select 1",
    )

    def make(self) -> Lane:
        self.home.mkdir(exist_ok=True)
        return self.lane(file_of(self.home), self.home)

    def reading(self) -> AskDuckDB:
        return AskDuckDB(file_of(self.home), self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(file_of(self.home).path) as connection:
            return connection.execute(sql).fetchall()

    def refused(self, staging, table: Table, columns: Columns, seq: int) -> Staged:
        with duckdb.connect(file_of(self.home).path) as connection:
            connection.execute(f"alter table {table.schema}.{table.name} alter column count type utinyint")
        return staged(staging, table, columns, {seq: {"count": 300}})


class MergingUnderTest(WideUnderTest):
    """A MERGE a table, the cursor last."""

    lane = Merging


class InsertingUnderTest(WideUnderTest):
    """What is missing is inserted, the cursor last; `users` is a view."""

    lane = Inserting


class WideOnPostgresUnderTest(UnderTest):
    """The lane on a real PostgreSQL server."""

    escapes = tuple(
        each
        for each in POSTGRES_ESCAPES
        if each not in {"select position from _headwater.cursor", "select 1; --", "select $1"}
    )
    slow = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a # b = -1"

    def __init__(self, home) -> None:
        super().__init__(home)
        made = server().settings(server().database())
        self.settings = Server(made.host, made.port, made.database, made.user, made.password)

    def make(self) -> InPostgres:
        return InPostgres(self.settings, self.home)

    def reading(self) -> AskPostgres:
        return AskPostgres(self.settings, self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with server().connect(self.settings.database, options="-c TimeZone=UTC") as connection:
            rows = connection.execute(sql).fetchall()
        return [
            tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row) for row in rows
        ]

    def refused(self, staging, table: Table, columns: Columns, seq: int) -> Staged:
        with server().connect(self.settings.database) as connection:
            connection.execute(f"alter table {table.schema}.{table.name} alter column count type smallint")
        return staged(staging, table, columns, {seq: {"count": 300_000}})
