"""The lane through dlt, killed again and again while it loads, and while it recovers from being killed."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import harness
import pytest
from harness import Case, Forge, Seen, assert_complete, assert_each_id_once, assert_whole_batches, write_log

KILLS_MIN = 14  # times three ways of committing: more than forty
STEPS = (
    "dlt.destinations.impl.duckdb.sql_client:DuckDbSqlClient.execute_query",
    "dlt.destinations.impl.duckdb.sql_client:DuckDbSqlClient.commit_transaction",
    "dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run",
    "dlt.pipeline.pipeline:Pipeline.extract",
    "dlt.pipeline.pipeline:Pipeline.normalize",
    "dlt.pipeline.pipeline:Pipeline.load",
)
NEWEST = """
    with wanted as (
        select i.user_id as id, arg_max(i.plan, q.seq) as plan
        from {schema}.identifies i join _headwater.{schema}__identifies q on q.id = i.id
        where i.user_id is not null group by 1
    )
    select * from wanted full join {schema}.users u using (id) where wanted.plan is distinct from u.plan
"""


@contextmanager
def opened(state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(state / "wide.duckdb")) as connection:
        yield connection


def look(state: Path) -> Seen:
    """Return the ids of each table, and make sure that nobody else's table stands beside ours."""
    with opened(state) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables where table_schema[1] <> '_'"
        ).fetchall()
        assert {schema for schema, _ in tables} <= {"site", "shop"}
        return {
            f"{schema}.{name}": [
                key for (key,) in connection.execute(f'select id from {schema}."{name}" order by id').fetchall()
            ]
            for schema, name in tables
        }


def assert_newest(state: Path) -> None:
    with opened(state) as connection:
        for schema in ("site", "shop"):
            assert connection.execute(NEWEST.format(schema=schema)).fetchall() == []


@pytest.mark.parametrize("name", ["wide_duckdb", "wide_merging", "wide_inserting"])
def test_a_loader_that_is_killed_all_the_time_loses_and_doubles_nothing(name, tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "CHILD", Path(__file__).with_name("wide_child.py"))
    case = Case(name, {"path": "{state}/wide.duckdb"}, look, STEPS, {"headwater.loading.stretch:EVENTS_MAX": 50})
    write_log(tmp_path / "log.json")
    seed = random.randrange(10_000)
    chance = random.Random(seed)
    kills = 0
    with Forge(case, tmp_path / "log.json") as forge:
        whole = forge.state(tmp_path, "whole")
        points = forge.run(whole)
        expected = look(whole)
        assert_complete(expected)
        assert_newest(whole)
        print(f"seed {seed}, {points} points")
        while kills < KILLS_MIN:
            state = forge.state(tmp_path, f"killed_{kills}")
            while (code := forge._ask(state, chance.randrange(1, points // 2))[0]) == -signal.SIGKILL:
                kills += 1
                left = look(state)
                assert_each_id_once(left)
                if name == "wide_duckdb":
                    assert_whole_batches(left)
            assert code == 0, forge._errors.read_text()[-4000:]
            assert look(state) == expected
            assert_newest(state)
    assert kills >= KILLS_MIN
