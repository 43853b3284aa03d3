"""What may be asked through the wide lane: one SELECT, and nothing that reaches out of the warehouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import ConfigError, QueryError, RefusedTableError, RetryableError, UnauthorizedError
from headwater.warehouses import bigquery, clickhouse, databricks, redshift, snowflake, sql_server, synapse
from headwater.warehouses._lanes.wide.faults import told
from headwater.warehouses._lanes.wide.question import single_select
from headwater.warehouses.contract import Table

ENGINES = {
    module.__name__.rpartition(".")[2]: module.ENGINE
    for module in (bigquery, clickhouse, databricks, redshift, snowflake, sql_server, synapse)
}
ASKED = (
    "select 1",
    "select event, count(*) from site.tracks group by event order by 2 desc",
    "with a as (select id from site.tracks) select count(distinct id) from a;",
    "select id from site.tracks union all select id from shop.tracks -- both",
    "select coalesce(upper(email), 'none'), sum(price) over (partition by id) from site.users",
    "select 1; -- the end",
)
EVERYWHERE = (
    "",
    ";",
    "select 1; select 2",
    "insert into site.tracks (id) values ('x')",
    "update site.tracks set id = 'x'",
    "delete from site.tracks",
    "drop table site.tracks",
    "create table site.x (i int)",
    "truncate table site.tracks",
    "grant select on site.tracks to public",
    "alter table site.tracks add column x int",
    "merge into site.tracks t using site.x s on t.id = s.id when matched then delete",
    "select pg_terminate_backend(1)",
    "select harmless_looking_function_of_next_year('https://e.x')",
    "select * from reach_out('https://e.x')",
    "set x = 1",
    "call x()",
    "explain select 1",
    "select 1 /* /* */ , system$wait(5) -- */",
    "select (" * 3_000,
)
OF_ONE = {
    "clickhouse": (
        "select * from url('http://169.254.169.254/', CSV, 'a String')",
        "select * from file('/etc/passwd')",
        "select * from s3('https://e.x/a.csv')",
        "select * from remote('e.x', system.one)",
        "select * from mysql('e.x:3306', 'a', 'b', 'c', 'd')",
        "select * into outfile 'x' from site.tracks",
        "system shutdown",
        "select * from site.tracks settings max_execution_time = 0",
        "select 1 format Null",
    ),
    "snowflake": (
        "select system$cancel_all_queries(1)",
        "select * from @stage/file.csv",
        "select * from table(result_scan(last_query_id()))",
        "copy into @stage from site.tracks",
        "put file:///etc/passwd @stage",
    ),
    "bigquery": (
        "select * from external_query('c', 'select 1')",
        "export data options(uri='gs://b/*') as select 1",
        "select * from ml.predict(model m.n, (select 1))",
    ),
    "databricks": (
        "select * from csv.`/etc/passwd`",
        "select * from delta.`s3://b/c`",
        "select * from read_files('/etc')",
        "select * from text.x",
        "select secret('scope', 'key')",
        "select http_request('x', 'GET', '/')",
    ),
    "redshift": (
        "select lo_export(1, 'x')",
        "unload ('select 1') to 's3://b'",
        "select '\\', pg_sleep(1), '\\'' ",
        "select * into site.x from site.tracks",
    ),
    "sql_server": (
        "select * from openrowset(bulk '/etc/passwd', single_clob) x",
        "select * from openquery(linked, 'select 1')",
        "select * into site.x from site.tracks",
        "exec xp_cmdshell 'id'",
        "waitfor delay '1:00'",
        "select 1 delete from site.tracks",
        "select 1 Update site.tracks set id = 'x'",
        "select id from site.tracks t shutdown",
        "select 1 a kill 5",
    ),
}
each_engine = pytest.mark.parametrize("name", ENGINES)


@each_engine
@pytest.mark.parametrize("sql", ASKED)
def test_what_only_reads_is_asked(name, sql):
    assert single_select(ENGINES[name], sql).startswith(("select", "with"))


def test_words_that_begin_statements_of_tsql_may_be_names_in_brackets():
    assert single_select(ENGINES["sql_server"], "select [update] as [delete], 'drop' from site.tracks")


@each_engine
def test_what_changes_or_reaches_out_is_refused(name):
    let_pass = []
    for sql in (*EVERYWHERE, *OF_ONE.get(name.replace("synapse", "sql_server"), ())):
        try:
            single_select(ENGINES[name], sql)
        except QueryError:
            continue
        let_pass.append(sql)
    assert let_pass == []


class DestinationTerminalException(Exception):  # noqa: N818 - as dlt calls it
    pass


TRACKS = Table("site", "tracks")
SECRET = "postgres://u:hunter2@10.1.2.3/db ann@x.org"


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        ("password authentication failed for user", UnauthorizedError, "refused the login"),
        ("250001 (08001): Incorrect username or password was specified", UnauthorizedError, "refused the login"),
        ("JWT token is invalid", UnauthorizedError, "refused the login"),
        ('database "x" does not exist', UnauthorizedError, "no such database"),
        ("permission denied for schema site", RefusedTableError, "may not write to site.tracks"),
        ("403 Access Denied: Table p:d.t", RefusedTableError, "may not write to site.tracks"),
        ('could not translate host name "h"', RetryableError, "name server"),
        ("Connection refused", RetryableError, "nothing listens"),
        ("certificate verify failed", RetryableError, "encrypted"),
        ("canceling statement due to statement timeout", RetryableError, "in time"),
        ("deadlock detected", RetryableError, "somebody else"),
        ("No space left on device", RetryableError, "no room"),
        ("server closed the connection unexpectedly", RetryableError, "cannot be reached"),
        ("value out of range (22003)", RefusedTableError, "22003"),
    ],
)
def test_an_error_is_told_by_its_kind_and_without_its_words(said, kind, reason):
    error = DestinationTerminalException(f"{said} {SECRET}")
    made = told("Snowflake", error, TRACKS)
    assert type(made) is kind
    assert reason in str(made)
    assert not [word for word in SECRET.split() if word in str(made)]


def test_an_error_of_nobody_in_particular_is_tried_again():
    assert type(told("Snowflake", DestinationTerminalException("value out of range"))) is RetryableError
    assert type(told("Snowflake", RuntimeError("who knows"), TRACKS)) is RetryableError
    assert type(told("Snowflake", RuntimeError("permission denied for database"))) is UnauthorizedError


def test_a_missing_package_is_named():
    error = RuntimeError()
    error.__cause__ = ConfigError("run: pip install 'headwater[snowflake]'")
    assert "headwater[snowflake]" in str(told("Snowflake", error))


def test_only_what_is_asked_for_imports_dlt():
    import subprocess
    import sys

    script = (
        "import sys; from headwater import shelf\n"
        "for name in shelf.names('headwater.warehouses'): shelf.take('headwater.warehouses', name)\n"
        "print(sorted({'dlt', 'pyarrow', 'sqlglot'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout == "[]\n"
