from __future__ import annotations

import multiprocessing
import signal
from datetime import datetime
from pathlib import Path

import deltalake
import duckdb
import pytest
from harness import Case, Seen, survives
from loader_child import kill_self_at

from headwater.privacy.person import Person
from headwater.warehouses.contract import ColumnType, Load, Staged, Table
from headwater.warehouses.delta import Settings, Warehouse

STEPS = (
    "deltalake:write_deltalake",
    "deltalake:DeltaTable.create",
    "deltalake:DeltaTable.create_write_transaction",
    "deltalake.table:TableMerger.execute",
    "deltalake.table:TableAlterer.add_columns",
    "deltalake.table:TableOptimizer.compact",
    "deltalake:DeltaTable.vacuum",
)
ADDRESS = "ann@example.org"
ANN = Person(emails=frozenset({ADDRESS}))
ROWS = "id varchar, user_id varchar, email varchar, received_at timestamp, _seq bigint"


def ids(state: Path) -> Seen:
    """Return the ids of each table as a reader sees them now."""
    found = {}
    for log in sorted((state / "warehouses" / "w").glob("s*/*/_delta_log")):
        rows = deltalake.DeltaTable(log.parent).to_pyarrow_table(columns=["id"]).to_pydict()["id"]
        found[f"{log.parent.parent.name}.{log.parent.name}"] = sorted(rows)
    return found


def test_a_killed_loader_loses_and_doubles_nothing(tmp_path):
    # whole_batches: Delta commits one table after the other
    case = Case(
        "delta",
        {},
        ids,
        steps=STEPS,
        constants={"headwater.warehouses.delta:COMPACT_LOADS": 3},
        whole_batches=False,
    )
    survives(case, tmp_path)


# children come from a process that has imported everything and used nothing: deltalake's threads survive no fork
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["deltalake", "duckdb", "pyarrow.dataset", "headwater.warehouses.delta"])


@pytest.mark.parametrize("point", range(1, 72, 7))
def test_a_removal_that_is_killed_is_finished_at_the_next_start(tmp_path, point):
    home, left = tmp_path / "lake", tmp_path / "left"
    assert in_child(remove, home, point) == -signal.SIGKILL
    assert in_child(finish, home, left) == 0
    assert left.read_text() == "[['m1', 'm2'], ['m3'], ['bob']]"
    assert not [file for file in home.rglob("*") if file.is_file() and ADDRESS.encode() in file.read_bytes()]


def in_child(function, *args) -> int | None:
    """Return the exit status of a process that calls this."""
    process = FORKS.Process(target=function, args=args)
    process.start()
    process.join()
    return process.exitcode


def remove(home: Path, point: int) -> None:
    """Remove Ann, and die at this step, counting before and after each."""
    fill(home)
    kill_self_at(point, list(STEPS))
    Warehouse(Settings(), home).remove(ANN)


def finish(home: Path, left: Path) -> None:
    """Start again, and write down what is left."""
    warehouse = Warehouse(Settings(), home)
    warehouse.open()
    warehouse.remove(ANN)
    left.write_text(str(ids_of(home)))


def ids_of(home: Path) -> list[list[str]]:
    """Return the ids of tracks, identifies and users."""
    tables = [deltalake.DeltaTable(home / "site" / name) for name in ("tracks", "identifies", "users")]
    return [sorted(table.to_pyarrow_table(columns=["id"]).to_pydict()["id"]) for table in tables]


def fill(home: Path) -> None:
    """Make a lake with Ann and Bob in it."""
    warehouse = Warehouse(Settings(), home)
    warehouse.open()
    columns = dict.fromkeys(("id", "user_id", "email"), ColumnType.VARCHAR) | {"received_at": ColumnType.TIMESTAMP}
    people = [("ann", ADDRESS), ("bob", "bob@example.org"), (None, None), ("bob", "bob@example.org")]
    tracks, identifies = Table("site", "tracks"), Table("site", "identifies")
    warehouse.add_columns({tracks: columns, identifies: columns})
    with duckdb.connect() as staging:
        staging.execute(f"create table rows ({ROWS})")
        at = datetime(2026, 11, 23)  # noqa: DTZ001 - as a warehouse has it
        for seq, (user_id, email) in enumerate(people):
            staging.execute("insert into rows values (?, ?, ?, ?, ?)", [f"m{seq}", user_id, email, at, seq])
        staging.execute(
            "create view tracked as from rows where _seq < 3; create view identified as from rows where _seq in (0, 3)"
        )
        parts = (Staged(tracks, columns, "tracked", 3), Staged(identifies, columns, "identified", 2))
        warehouse.load(staging, Load(0, 4, parts))
