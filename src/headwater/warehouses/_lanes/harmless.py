"""Whether a SELECT that DuckDB parsed calls only what computes: not what shows settings, files or secrets.

DuckDB's own lock-down stops files and changes of settings, but lets anybody read settings (where the token of
MotherDuck stands) and where databases lie, and knows nothing of what extensions bring: PostgreSQL's opens connections
of its own, DuckLake's and MotherDuck's change things.

Source: DuckDB documentation, Securing DuckDB; SQL to and from JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from headwater.errors import QueryError

_MAKING: Final = frozenset(  # rows out of nothing, out of a value, or out of the catalog's names
    """
    range generate_series unnest repeat repeat_row json_each json_tree summary histogram histogram_values
    duckdb_columns duckdb_functions duckdb_keywords duckdb_schemas duckdb_tables duckdb_types icu_calendar_names
    pg_timezone_names pragma_platform pragma_table_info pragma_version
    """.split()  # noqa: SIM905 - as a list of quoted words it would be harder to read
)
_TELLING: Final = frozenset({"current_setting", "pg_get_viewdef", "which_secret", "write_log"})
_SYSTEM: Final = frozenset({"", "main", "pg_catalog", "information_schema", "system", "temp", "memory"})
_HIDDEN: Final = frozenset(  # views of DuckDB's that show settings, or where databases and files lie
    """
    duckdb_databases duckdb_logs duckdb_views pg_settings pg_views pragma_database_list sqlite_master sqlite_schema
    sqlite_temp_master sqlite_temp_schema views
    """.split()  # noqa: SIM905
)
_INNER: Final = "__ducklake_metadata_"  # how DuckLake calls the catalog that it keeps its own tables in


def check(connection: DuckDBPyConnection, select: str) -> None:
    """Return when a SELECT only computes on what the warehouse shows.

    Raises:
        QueryError: it calls what might show or do more.
    """
    row = connection.execute("select json_serialize_sql($1)", [select]).fetchone()
    parsed = msgspec.json.decode(row[0] if row else "{}")
    if parsed.get("error", True):
        if parsed.get("error_type") == "parser":
            raise QueryError(f"Parser Error: {parsed.get('error_message')}")
        raise QueryError("Only a plain SELECT is allowed here; write PIVOT with its values, as in PIVOT … ON x IN (…).")
    called: set[str] = set()
    for node in _nodes(parsed["statements"]):
        match node:
            case {"type": "TABLE_FUNCTION", "function": {"function_name": str(name)}} if name.lower() not in _MAKING:
                raise QueryError(f"The function {name} is not allowed here; tables are named schema.table.")
            case {"type": "BASE_TABLE"}:
                _check_table(node)
            case {"function_name": str(name)}:
                called.add(name.lower())
    brought = called - _built_in() - _MAKING
    known = connection.execute(
        "select distinct function_name from duckdb_functions() where list_contains($1, lower(function_name))",
        [sorted(brought)],
    ).fetchall()
    for name in sorted({str(name) for (name,) in known} | called & _TELLING):
        raise QueryError(f"The function {name} is not allowed here.")


def _check_table(node: dict[str, Any]) -> None:
    """Let pass what is a table of the warehouse.

    Raises:
        QueryError: it is one of DuckDB's own.
    """
    parts = [str(node.get(f"{part}_name", "")).lower() for part in ("catalog", "schema", "table")]
    if any(part.startswith(_INNER) for part in parts) or (parts[1] in _SYSTEM and _is_hidden(*parts[1:])):
        raise QueryError(f"{node['table_name']} is not allowed here; information_schema.tables lists the tables.")


def _is_hidden(schema: str, table: str) -> bool:
    """Return whether a name means a view of DuckDB's that tells too much; `views` is one only in its schema."""
    return table in _HIDDEN and (table != "views" or schema == "information_schema")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a document; a stack, so that depth is no matter."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


@cache
def _built_in() -> frozenset[str]:
    """Return the functions of a DuckDB without extensions, in small letters."""
    with duckdb.connect(config={"threads": 1, "autoload_known_extensions": False}) as connection:
        rows = connection.execute(
            "select distinct lower(function_name) from duckdb_functions() "
            "where function_type not in ('table', 'table_macro', 'pragma')"
        ).fetchall()
    return frozenset(str(name) for (name,) in rows) - _TELLING
