"""`loader_child` with the wide lane's test engines on the shelf, and dlt imported before it forks."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path.insert(0, str(TESTS))

import dlt.destinations.impl.duckdb.factory  # noqa: E402, F401
import loader_child  # noqa: E402
import pyarrow.parquet  # noqa: E402, F401

import headwater.warehouses  # noqa: E402

headwater.warehouses.__path__.append(str(TESTS / "wide_shelf"))

if __name__ == "__main__":
    loader_child.main()
