"""Asks a warehouse with plain DuckDB, again and again, until a line arrives; prints what it saw as JSON.

python reader_child.py WAREHOUSE
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

import duckdb

ASK = "select count(*), count(distinct id) from site.tracks"


def main() -> None:
    views = Path(sys.argv[1]) / "views.duckdb"
    counts, errors, reads = [0], [], 0
    stopping = False
    while not stopping:
        stopping = bool(select.select([sys.stdin], [], [], 0)[0])
        if not views.exists():
            continue
        try:
            with duckdb.connect(str(views), read_only=True) as connection:
                if not connection.execute(
                    "select 1 from information_schema.tables where table_name = 'tracks'"
                ).fetchall():
                    continue
                for _ in range(3):
                    rows, distinct = connection.execute(ASK).fetchone()
                    reads += 1
                    if rows != distinct:
                        errors.append(f"{rows} rows, {distinct} ids")
                    if rows != counts[-1]:
                        counts.append(rows)
        except duckdb.Error as error:
            errors.append(str(error))
    print(json.dumps({"reads": reads, "counts": counts, "errors": errors}))


if __name__ == "__main__":
    main()
