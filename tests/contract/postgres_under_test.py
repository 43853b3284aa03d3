"""How the contract of warehouses asks PostgreSQL: a real server, a loader that owns a database, a reader who reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
from warehouse_under_test import UnderTest

from headwater.warehouses import postgres
from headwater.warehouses.contract import SEQ, Columns, Staged, Table
from postgres_server import PASSWORD, READER, server

ESCAPES = (
    "copy site.tracks to '/tmp/headwater-escaped.csv'",
    "copy (select 1) to program 'touch {home}/x'",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('/etc/passwd')",
    "select * from pg_ls_dir('/etc')",
    "select pg_stat_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '{home}/x')",
    "select lo_create(0)",
    "select set_config('transaction_read_only', 'off', false)",
    "select set_config('statement_timeout', '0', false)",
    "set transaction read write",
    "set role loader",
    "reset all",
    "select pg_terminate_backend(pid) from pg_stat_activity",
    'select "pg_terminate_backend"(pid) from pg_stat_activity',
    'select U&"pg\\005fterminate_backend"(pid) from pg_stat_activity',
    "select pg_cancel_backend(pid) from pg_stat_activity",
    "select pg_advisory_lock(1)",
    "select pg_sleep(600)",
    "select pg_notify('a', 'b')",
    "select nextval('s')",
    "select query_to_xml('select pg_terminate_backend(1)', true, true, '')",
    "select 1 from (select pg_sleep(1)) a",
    "select (select pg_notify('a', 'b'))",
    "select 1 where exists (select from pg_ls_dir('.'))",
    "select max(pg_backend_pid()) filter (where pg_notify('a', 'b') is null)",
    "with gone as (delete from site.tracks returning id) select * from gone",
    "select * into site.x from site.tracks",
    "select * from site.tracks for update",
    "select rolpassword from pg_authid",
    "select * from pg_shadow",
    "do $$ begin perform 1; end $$",
    "explain analyze select 1",
    "prepare p as select 1",
    "declare c cursor for select 1",
    "select 1) as x, (select 2",
    "select 1 /*",
    "listen a",
    "vacuum",
    "call x()",
    "select $1",
    "select * from dblink('host=127.0.0.1', 'select 1') as t(i int)",
)


class PostgresUnderTest(UnderTest):
    """A database of one server that all tests of a process share."""

    escapes = ESCAPES
    slow = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a # b = -1"

    def __init__(self, home) -> None:
        super().__init__(home)
        self.settings = server().settings(server().database(), reader_user=READER, reader_password=PASSWORD)

    def make(self) -> postgres.Warehouse:
        return postgres.Warehouse(self.settings, self.home)

    def reading(self) -> postgres.Reading:
        return postgres.Reading(self.settings, self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask as the owner of the server; a time is told without its zone, which is UTC."""
        with server().connect(self.settings.database, options="-c TimeZone=UTC") as connection:
            rows = connection.execute(sql).fetchall()
        return [
            tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row) for row in rows
        ]

    def refused(self, staging: duckdb.DuckDBPyConnection, table: Table, columns: Columns, seq: int) -> Staged:
        """A constraint that somebody put on the table refuses its rows."""
        with server().connect(self.settings.database) as connection:
            connection.execute(f"alter table {table.schema}.{table.name} add check (id <> 'm{seq}')")
        listed = ", ".join(
            f"'m{seq}' as id" if name == "id" else f"null::{kind.value} as {name}" for name, kind in columns.items()
        )
        staging.execute(f"create or replace temp table refused as select {listed}, {seq} as {SEQ}")
        return Staged(table, columns, "refused", 1)
