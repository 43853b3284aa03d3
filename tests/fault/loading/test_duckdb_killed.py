from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from harness import CHILD, Case, Seen, survives, write_log

from headwater.privacy.person import Person
from headwater.warehouses.contract import ColumnType, Load, Staged, Table
from headwater.warehouses.duckdb import Settings, Warehouse

LANE = "headwater.warehouses._lanes.attached"
STEPS = (
    f"{LANE}:Lane._copy",
    f"{LANE}:Lane._attach",
    f"{LANE}:make",
    f"{LANE}:show",
    f"{LANE}:set_value",
    f"{LANE}.tables:commit",
    "headwater.warehouses.duckdb:_sync",
)
CASE = {"file": "{state}/warehouse.duckdb"}
ADDRESS = "ann@example.org"
TRACKS = Table("site", "tracks")


def ids(state: Path) -> Seen:
    """Return the ids of each table as a reader sees them now."""
    file = state / "warehouse.duckdb"
    if not file.exists():
        return {}
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('site', 'shop') order by all"
        ).fetchall()
        return {
            name: [row[0] for row in connection.execute(f"select id from {name} order by id").fetchall()]
            for (name,) in tables
        }


def test_a_killed_loader_loses_and_doubles_nothing(tmp_path):
    survives(Case("duckdb", CASE, ids, steps=STEPS), tmp_path)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; it kills inside DuckDB's writes")
def test_a_loader_killed_inside_a_write_loses_and_doubles_nothing(tmp_path):
    log = tmp_path / "log.json"
    write_log(log)
    target = '{"type": "duckdb", "settings": {"file": "{state}/warehouse.duckdb"}}'

    def load(state: Path, *prefix: str) -> int:
        state.mkdir(exist_ok=True)
        command = [*prefix, sys.executable, str(CHILD), str(log), str(state), "0"]
        return subprocess.run(
            command, capture_output=True, check=False, env=os.environ | {"LOADER_TARGET": target}
        ).returncode

    assert load(tmp_path / "whole") == 0
    expected = ids(tmp_path / "whole")
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    calls = "pwrite64,fsync,fdatasync,ftruncate,unlink"
    for number in random.Random(seed).sample(range(5, 120), 3):
        state = tmp_path / f"killed-{number}"
        inject = f"inject={calls}:signal=KILL:when={number}"
        load(state, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject)
        assert load(state) == 0
        assert ids(state) == expected, number


def filled(file: Path) -> Warehouse:
    """Return a file with Ann and Bob in it."""
    warehouse = Warehouse(Settings(str(file)), file.parent)
    warehouse.open()
    columns = {"id": ColumnType.VARCHAR, "received_at": ColumnType.TIMESTAMP, "email": ColumnType.VARCHAR}
    warehouse.add_columns({TRACKS: columns})
    with duckdb.connect() as staging:
        staging.execute("create table rows (id varchar, received_at timestamp, email varchar, _seq bigint)")
        for seq, email in enumerate((ADDRESS, "bob@example.org")):
            at = datetime(2026, 11, 23)  # noqa: DTZ001 - as a warehouse has it
            staging.execute("insert into rows values (?, ?, ?, ?)", [f"m{seq}", at, email, seq])
        warehouse.load(staging, Load(0, 2, (Staged(TRACKS, columns, "rows", 2),)))
    return warehouse


@pytest.mark.parametrize("point", range(1, 24))
def test_a_removal_that_is_killed_is_finished_at_the_next_start(tmp_path, point):
    file = tmp_path / "people.duckdb"
    filled(file).close()
    assert ADDRESS.encode() in file.read_bytes()
    child = os.fork()
    if child == 0:
        kill_self_at(point)
        warehouse = Warehouse(Settings(str(file)), tmp_path)
        warehouse.remove(Person(emails=frozenset({ADDRESS})))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    warehouse = Warehouse(Settings(str(file)), tmp_path)
    warehouse.open()
    warehouse.remove(Person(emails=frozenset({ADDRESS})))
    warehouse.close()
    assert ids_of(file) == [("m1",)]
    assert ADDRESS.encode() not in b"".join(each.read_bytes() for each in tmp_path.iterdir())


def ids_of(file: Path) -> list[tuple[str]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute("select id from site.tracks order by id").fetchall()


def kill_self_at(point: int) -> None:
    """Die at this step of a removal, counting before and after each."""
    from loader_child import kill_self_at as counted

    counted(point, [*STEPS, "headwater.warehouses.duckdb:erased"])
