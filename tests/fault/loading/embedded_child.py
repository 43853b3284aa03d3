"""Does everything that an embedded warehouse can do, step by step as the engine would, and dies at a given point.

    python embedded_child.py --serve              forks a child for each line `[state, point]` of stdin, and answers
                                                  `[exit status, points]`; points as in `loader_child`
    python embedded_child.py STATE ROUNDS         all of it, again and again, without dying and without removing
                                                  anybody; replaced files stay, as they do for readers
    python embedded_child.py STATE 1 --erase      the same once, with removals

A step that was done is noted in `done.json`; after a death the step that was under way is done again, as the engine
does it again.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from loader_child import kill_self_at

from headwater.privacy.person import Person
from headwater.warehouses.contract import SEQ, ColumnType, Expired, Load, Staged, Table, View
from headwater.warehouses.embedded import Settings, Warehouse, compaction, parts

EMAIL = "someone.special@example.test"
START = datetime(2026, 11, 1)  # noqa: DTZ001 - a warehouse's timestamp has no zone
TABLES = ("tracks", "orders")
COLUMNS = {
    "id": ColumnType.VARCHAR,
    "received_at": ColumnType.TIMESTAMP,
    "email": ColumnType.VARCHAR,
    "version": ColumnType.VARCHAR,
    "x": ColumnType.INTEGER,
}
WIDE = COLUMNS | {"x": ColumnType.FLOAT}
NARROW_MODEL = View("headwater", "total", "select count(*) as events from site.tracks")
MODEL = View("headwater", "total", "select count(*) as events, sum(x) as x from site.tracks")


def main() -> None:
    compaction.BATCHES_MAX = 3
    os.fsync = lambda _descriptor: None  # who is killed loses nothing that was written; synced or not is not tried here
    if sys.argv[1] == "--serve":
        parts.GRACE = timedelta(0)
        serve()
        return
    parts.GRACE = timedelta(hours=1)
    for number in range(int(sys.argv[2])):
        run(Path(sys.argv[1]), number * 60, is_erasing="--erase" in sys.argv)


def serve() -> None:
    for line in sys.stdin:
        state, point = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            work(Path(state), point, writing)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as answer:
            points = int(answer.read() or 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), points]), flush=True)


def work(state: Path, point: int, answer: int) -> None:
    try:
        points = kill_self_at(point, [])
        run(state)
        os.write(answer, str(points[0]).encode())
    except BaseException:  # noqa: BLE001 - told to the test, which shows it
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run(state: Path, base: int = 0, *, is_erasing: bool = True) -> None:
    """Do the steps that are not done yet."""
    state.mkdir(exist_ok=True)
    done = state / f"done-{base}.json"
    first = json.loads(done.read_text()) if done.exists() else 0
    warehouse = Warehouse(Settings(str(state / "warehouse")), state)
    warehouse.open()
    with duckdb.connect(config={"threads": 1}) as staging:
        every = steps(warehouse, staging, base, is_erasing=is_erasing)
        for number, step in list(enumerate(every))[first:]:
            step()
            aside = state / "done.tmp"
            aside.write_text(json.dumps(number + 1))
            aside.replace(done)
    warehouse.close()


def steps(warehouse: Warehouse, staging: duckdb.DuckDBPyConnection, base: int, *, is_erasing: bool):
    """Return the steps; `base` is the first sequence of all."""

    def load(first: int, next_: int, *, columns=COLUMNS, schema="site", reload="", version="first"):
        def step() -> None:
            staged = tuple(
                rows(staging, Table(schema, name), base + first, base + next_, columns, version) for name in TABLES
            )
            warehouse.add_columns({each.table: each.columns for each in staged})
            warehouse.load(staging, Load(base + first, base + next_, staged, reload and f"{reload}-{base}"))

        return step

    person = Person(emails=frozenset({EMAIL}))
    return [
        load(0, 10),
        load(10, 20),
        warehouse.tidy,
        load(20, 30),
        warehouse.tidy,
        load(2, 9, reload="again", version="again"),
        load(30, 40),
        load(9, 33, reload="again", version="again"),
        lambda: warehouse.publish([NARROW_MODEL]),
        lambda: warehouse.widen({Table("site", name): {"x": ColumnType.FLOAT} for name in TABLES}),
        lambda: warehouse.publish([MODEL]),
        load(40, 50, columns=WIDE),
        lambda: warehouse.finish(f"again-{base}"),
        warehouse.tidy,
        load(0, 30, schema="shop", reload="shop"),
        *([lambda: warehouse.remove(person)] if is_erasing else []),
        load(30, 50, schema="shop", reload="shop"),
        load(50, 60, columns=WIDE),
        lambda: warehouse.finish(f"shop-{base}"),
        *([lambda: warehouse.remove(person)] if is_erasing else []),
        *([lambda: warehouse.remove(Expired(datetime(2026, 11, 2, tzinfo=UTC)))] if is_erasing else []),
        warehouse.tidy,
        warehouse.tidy,
    ]


def rows(staging, table: Table, first: int, next_: int, columns, version: str) -> Staged:
    """Stage a row for each sequence: an hour apart, every seventh of the person."""
    relation = f'"{table.schema} {table.name}"'
    values = {
        "id": "'m' || i",
        "received_at": f"timestamp '{START}' + to_hours(i::bigint)",
        "email": f"if(i % 7 = 3, '{EMAIL}', 'x' || i || '@example.test')",
        "version": f"'{version}'",
        "x": "i + 0.5" if columns is WIDE else "i",
    }
    listed = ", ".join(f"({values[name]})::{kind.value} as {name}" for name, kind in columns.items())
    select = f"select {listed}, i::bigint as {SEQ} from range({first}, {next_}) r(i)"
    staging.execute(f"create or replace temp table {relation} as {select}")
    return Staged(table, columns, relation, next_ - first)


if __name__ == "__main__":
    main()
