from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from harness import Case, Seen, survives

LANE = "headwater.warehouses._lanes.attached"
STEPS = (
    f"{LANE}:Lane._copy",
    f"{LANE}:Lane._attach",
    f"{LANE}:make",
    f"{LANE}:show",
    f"{LANE}:set_value",
    f"{LANE}.tables:commit",
    "headwater.warehouses.ducklake:merge",
)


def has_extensions() -> bool:
    """Return whether DuckDB has what a lake needs."""
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        try:
            connection.execute("load ducklake; load sqlite_scanner")
        except duckdb.Error:
            return False
    return True


def ids(state: Path) -> Seen:
    """Return the ids of each table as a reader sees them now."""
    catalog = state / "warehouses" / "w" / "catalog.sqlite"
    if not catalog.exists():
        return {}
    with duckdb.connect() as connection:
        connection.execute("load ducklake; load sqlite_scanner")
        connection.execute(f"attach 'ducklake:sqlite:{catalog}' as lake (data_path '{catalog.parent}/data/'); use lake")
        tables = connection.execute(
            "select schema_name || '.' || name from (select schema_name, table_name as name from duckdb_tables() "
            "union all select schema_name, view_name from duckdb_views()) where schema_name in ('site', 'shop')"
        ).fetchall()
        return {
            name: [row[0] for row in connection.execute(f"select id from {name} order by id").fetchall()]
            for (name,) in sorted(tables)
        }


@pytest.mark.skipif(not has_extensions(), reason="DuckDB has no extension ducklake here; docs/warehouses/ducklake.md")
def test_a_killed_loader_loses_and_doubles_nothing(tmp_path):
    survives(Case("ducklake", {}, ids, steps=STEPS, constants={f"{LANE}:TIDY_LOADS": 3}), tmp_path)
