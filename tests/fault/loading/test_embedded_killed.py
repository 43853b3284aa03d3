"""Reloads, wider columns, views and removal of the embedded warehouse: killed anywhere, and read all the while."""

from __future__ import annotations

import json
import random
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import embedded_child
import pytest
from embedded_child import EMAIL, TABLES

CHILD = Path(embedded_child.__file__)
POINTS = 40
ANSWER_S_MAX = 60
ASK = """select count(*), count(distinct id), count(x), count(*) filter (version = 'again') from site.tracks"""


@pytest.fixture
def forge(tmp_path):
    """A process that forks a child for each run."""
    with (
        (tmp_path / "errors.txt").open("w") as errors,
        subprocess.Popen(
            [sys.executable, str(CHILD), "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):

        def run(state: Path, point: int) -> tuple[int, int]:
            process.stdin.write(json.dumps([str(state), point]) + "\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], ANSWER_S_MAX)[0], f"point {point} hangs"
            code, points = json.loads(process.stdout.readline())
            assert code in (0, -signal.SIGKILL), (tmp_path / "errors.txt").read_text()[-4000:]
            return code, points

        yield run
        process.stdin.close()


def seen(state: Path) -> dict[str, list[tuple]]:
    """Return the rows of each table as a reader sees them now."""
    views = state / "warehouse" / "views.duckdb"
    if not views.exists():
        return {}
    with duckdb.connect(str(views), read_only=True) as connection:
        names = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables order by all"
        ).fetchall()
        return {name: connection.execute(f"from {name} order by all").fetchall() for (name,) in names}


def assert_whole(found: dict[str, list[tuple]]) -> None:
    """Each id is there once, in both tables of its schema, and of a reload there is all or nothing."""
    for schema in ("site", "shop"):
        first, second = ([row[:4] for row in found.get(f"{schema}.{name}", [])] for name in TABLES)
        assert first == second
        assert max(Counter(row[0] for row in first).values(), default=1) == 1
    again = [row[0] for row in found.get("site.tracks", []) if row[3] == "again"]
    expected = {f"m{seq}" for seq in range(2, 33)}
    removed = {f"m{seq}" for seq in range(3, 60, 7)} | {f"m{seq}" for seq in range(24)}
    assert set(again) in (set(), expected, expected - {f"m{seq}" for seq in range(3, 60, 7)}, expected - removed)


def holds(state: Path, text: str) -> list[Path]:
    """Return the files in which a text stands, as bytes or as a value of a column."""
    found = []
    for file in (state / "warehouse").rglob("*"):
        if not file.is_file():
            continue
        rows = ""
        if file.suffix == ".parquet":
            with duckdb.connect() as connection:
                rows = str(connection.execute(f"from read_parquet('{file}')").fetchall())
        if text in rows or text.encode() in file.read_bytes():
            found.append(file)
    return found


def test_wherever_it_is_killed_it_ends_as_if_it_had_not_been(forge, tmp_path):
    whole = tmp_path / "whole"
    _, points = forge(whole, 0)
    expected = seen(whole)
    assert [len(expected[f"{schema}.tracks"]) for schema in ("site", "shop")] == [30, 22]
    assert holds(whole, EMAIL) == []
    seed = random.randrange(10_000)
    print(f"seed {seed}, {points} points")
    for point in sorted(random.Random(seed).sample(range(1, points + 1), POINTS)):
        state = tmp_path / f"killed-{point}"
        assert forge(state, point)[0] == -signal.SIGKILL
        assert_whole(seen(state))
        assert forge(state, 0)[0] == 0
        assert seen(state) == expected, point
        assert holds(state, EMAIL) == [], point
        assert sorted(each.name for each in (state / "warehouse" / "reload").iterdir()) == []
        shutil.rmtree(state)


def test_who_reads_all_the_while_sees_no_error_and_nothing_by_halves(tmp_path):
    """Reloads, wider columns, merges and new views under a reader that holds its connection for a while."""
    state = tmp_path / "state"
    views = state / "warehouse" / "views.duckdb"
    reads, rows = 0, 0
    with subprocess.Popen([sys.executable, str(CHILD), str(state), "2"]) as writing:
        while writing.poll() is None:
            if not views.exists():
                continue
            with duckdb.connect(str(views), read_only=True) as connection:
                if not connection.execute("select 1 from duckdb_schemas() where schema_name = 'site'").fetchall():
                    continue
                for _ in range(4):
                    found, ids, x, again = connection.execute(ASK).fetchone()
                    assert found == ids >= rows
                    assert found % 10 == again % 31 == 0
                    assert x <= found
                    reads, rows = reads + 1, found
        assert writing.returncode == 0
    assert reads > 0
    assert rows == 120


def test_who_reads_while_people_are_removed_connects_again_and_sees_nothing_by_halves(tmp_path):
    state = tmp_path / "state"
    views = state / "warehouse" / "views.duckdb"
    reads, told = 0, 0
    with subprocess.Popen([sys.executable, str(CHILD), str(state), "1", "--erase"]) as writing:
        while writing.poll() is None:
            if not views.exists():
                continue
            with duckdb.connect(str(views), read_only=True) as connection:
                if not connection.execute("select 1 from duckdb_schemas() where schema_name = 'site'").fetchall():
                    continue
                try:
                    for _ in range(4):
                        found, ids, _, again = connection.execute(ASK).fetchone()
                        assert found == ids
                        assert again in {0, 31, 31 - 5, 9 - 2}  # all of the reload, less the person, less what is old
                        reads += 1
                except duckdb.IOException:
                    told += 1
        assert writing.returncode == 0
    assert reads > told


def test_who_reads_while_a_person_is_removed_is_at_worst_told_to_reconnect(forge, tmp_path):
    state = tmp_path / "state"
    forge(state, 0)
    # what held the views before the last change is told so, and sees no rows that are gone
    views = state / "warehouse" / "views.duckdb"
    with duckdb.connect(str(views), read_only=True) as outdated:
        assert outdated.execute("select count(*) from site.tracks").fetchone() == (30,)
        warehouse = embedded_child.Warehouse(embedded_child.Settings(str(state / "warehouse")), state)
        warehouse.open()
        warehouse.remove(embedded_child.Person(emails=frozenset({"x50@example.test"})))
        warehouse.close()
        with pytest.raises(duckdb.IOException, match="generations"):
            outdated.execute("select count(*) from site.tracks")
    with duckdb.connect(str(views), read_only=True) as anew:
        assert anew.execute("select count(*) from site.tracks").fetchone() == (29,)
