from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import pytest
from harness import CHILD, Case, Seen, survives, write_log
from loader_child import EMBEDDED


def ids(state: Path) -> Seen:
    """Return the ids of each table as a reader sees them now."""
    views = state / "warehouse" / "views.duckdb"
    if not views.exists():
        return {}
    with duckdb.connect(str(views), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('site', 'shop') order by all"
        ).fetchall()
        return {
            name: [row[0] for row in connection.execute(f"select id from {name} order by id").fetchall()]
            for (name,) in tables
        }


@pytest.fixture
def log(tmp_path):
    write_log(tmp_path / "log.json")
    return tmp_path / "log.json"


def child(log: Path, state: Path, *prefix: str, grace_s: float = 0) -> subprocess.CompletedProcess[str]:
    constants = EMBEDDED["constants"] | {"headwater.warehouses.embedded.parts:GRACE": grace_s}
    target = json.dumps(EMBEDDED | {"constants": constants})
    command = [*prefix, sys.executable, str(CHILD), str(log), str(state), "0"]
    env = os.environ | {"LOADER_TARGET": target}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_a_killed_loader_loses_and_doubles_nothing(tmp_path):
    survives(Case("embedded", EMBEDDED["settings"], ids, constants=EMBEDDED["constants"]), tmp_path)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; it kills inside DuckDB's writes")
def test_a_loader_killed_inside_a_write_loses_and_doubles_nothing(log, tmp_path):
    child(log, tmp_path / "whole")
    expected = ids(tmp_path / "whole")
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    calls = "pwrite64,write,fdatasync,fsync,ftruncate,rename,unlink"
    for number in random.Random(seed).sample(range(5, 250), 3):
        state = tmp_path / f"killed-{number}"
        inject = f"inject={calls}:signal=KILL:when={number}"
        child(log, state, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject)
        child(log, state)
        assert ids(state) == expected, number


def test_a_process_that_reads_all_the_while_sees_no_error_and_no_partial_batch(log, tmp_path):
    state = tmp_path / "state"
    command = [sys.executable, str(Path(__file__).with_name("reader_child.py")), str(state / "warehouse")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reading:
        writing = child(log, state, grace_s=3_600)
        assert writing.returncode == 0, writing.stderr[-2000:]
        out, _ = reading.communicate("stop\n")
    seen = msgspec.json.decode(out)
    assert seen["errors"] == []
    assert seen["reads"] > 0
    assert seen["counts"] == sorted(seen["counts"])
    assert seen["counts"][-1] == len(ids(state)["site.tracks"])
