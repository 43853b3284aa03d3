"""Read-only SQL on the embedded warehouse: one SELECT, locked away from files, network and settings, with a deadline.

A query runs in an in-memory DuckDB of its own that has nothing but the warehouse's views attached, read-only. What it
may touch is decided twice: by the kind of statement, and by DuckDB's own lock-down of paths and settings.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection, StatementType

from headwater.errors import QueryError
from headwater.limits import QUERY_ROWS_MAX, QUERY_SECONDS_MAX
from headwater.spec.names import quote_text

MEMORY: Final = "512MB"
RESULT_BYTES_MAX: Final = 64 * 1024 * 1024  # ours: what a page or a terminal can show
_CHUNK_ROWS: Final = 500
_CATALOG: Final = "headwater_warehouse"  # no schema of a source is called so, a schema's name would be ambiguous
_ABSOLUTE_PATH: Final = re.compile(r"(/[^\s'\"/]+){2,}/?")


class Format(StrEnum):
    """What a result can be saved as."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


_COPY_OPTIONS: Final = {
    Format.CSV: "format csv, header true",
    Format.PARQUET: "format parquet, compression zstd",
    Format.JSON: "format json, array true",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave.

    Attributes:
        types: DuckDB's names, one a column.
        truncated: there are more rows than were asked for, or than fit.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    duration_ms: int


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table or view that can be asked; columns as (name, type)."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]


def run(directory: Path, sql: str, *, rows_max: int = QUERY_ROWS_MAX, timeout_s: float = QUERY_SECONDS_MAX) -> Result:
    """Return the rows of one SELECT on the warehouse in `directory`; tables are named `schema.table`.

    Raises:
        QueryError: it is no single SELECT, it is wrong, it tried to leave the warehouse, or it took too long.
    """
    started = time.perf_counter()
    with _query_errors(timeout_s), _locked(directory) as connection, _deadline(connection, timeout_s):
        found = connection.execute(f"from ({_select(connection, sql)}\n) limit {rows_max + 1}")
        columns = tuple((str(name), str(kind)) for name, kind, *_ in found.description or ())
        rows, truncated = _rows(found, rows_max)
    names, types = tuple(name for name, _ in columns), tuple(kind for _, kind in columns)
    return Result(names, types, tuple(rows), truncated, round((time.perf_counter() - started) * 1000))


def export(
    directory: Path, sql: str, target: Path, file_format: Format, *, timeout_s: float = 10 * QUERY_SECONDS_MAX
) -> int:
    """Write all rows of one SELECT to `target`; return how many.

    Raises:
        QueryError: as `run`; nothing is left at `target`.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-export-") as scratch:
        file = Path(scratch, "result")
        with (
            _query_errors(timeout_s),
            _locked(directory, Path(scratch)) as connection,
            _deadline(connection, timeout_s),
        ):
            select = _select(connection, sql)
            copied = connection.execute(f"copy ({select}\n) to {quote_text(str(file))} ({_COPY_OPTIONS[file_format]})")
            row = copied.fetchone()
        shutil.move(file, target)
    return int(row[0]) if row else 0


def catalog(directory: Path) -> list[CatalogTable]:
    """Return every table and view of the warehouse with its columns, by schema and name."""
    with _locked(directory) as connection:
        rows = connection.execute(
            "select schema_name, table_name, list((column_name, data_type) order by column_index) "
            f"from duckdb_columns() where database_name = '{_CATALOG}' and not internal group by all order by all"
        ).fetchall()
    return [CatalogTable(schema, name, tuple((str(c), str(t)) for c, t in columns)) for schema, name, columns in rows]


@contextmanager
def _locked(directory: Path, *scratch: Path) -> Iterator[DuckDBPyConnection]:
    """Give a connection that sees the warehouse's views and can change or reach nothing else."""
    views = directory.absolute() / "views.duckdb"
    if not views.exists():
        raise QueryError("The warehouse has no tables yet; they appear with the first event that is loaded.")
    allowed = ", ".join(quote_text(f"{path.absolute()}/") for path in (directory, *scratch))
    with duckdb.connect(
        config={"memory_limit": MEMORY, "threads": 2, "temp_directory": "", "autoinstall_known_extensions": False}
    ) as connection:
        connection.execute("set autoload_known_extensions = false")
        connection.execute("set python_enable_replacements = false")
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach {quote_text(str(views))} as {_CATALOG} (read_only)")
        connection.execute(f"use {_CATALOG}")
        connection.execute(f"set allowed_directories = [{allowed}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection


@contextmanager
def _deadline(connection: DuckDBPyConnection, timeout_s: float) -> Iterator[None]:
    """Interrupt the connection's statement when the time is over."""
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _query_errors(timeout_s: float) -> Iterator[None]:
    """Turn DuckDB's errors into ours, without the paths of this machine."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryError(f"The query took longer than {timeout_s:g} s; ask for less at a time.") from error
    except duckdb.OutOfMemoryException as error:
        raise QueryError(f"The query needs more than {MEMORY} of memory; ask for less at a time.") from error
    except duckdb.Error as error:
        said = str(error).partition("\n\nLINE ")[0]  # what follows points into the statement that we made of theirs
        raise QueryError(_ABSOLUTE_PATH.sub("…", said)) from error


def _select(connection: DuckDBPyConnection, sql: str) -> str:
    """Return the one statement of `sql` when it only reads.

    Raises:
        QueryError: there is none, more than one, or it is of another kind.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"Give one SELECT statement, not {len(statements)}.")
    (statement,) = statements
    if statement.type is not StatementType.SELECT:
        raise QueryError(f"Only SELECT is allowed here; {statement.type.name} is not.")
    return _without_end(str(statement.query))


def _without_end(sql: str) -> str:
    """Return a statement without the semicolons after it; comments stay."""
    text = bytearray(sql.encode())  # DuckDB counts bytes
    for position, kind in reversed(duckdb.tokenize(sql)):
        if text[position : position + 1] == b";":
            text[position] = ord(" ")
        elif kind is not duckdb.token_type.comment:
            break
    return text.decode()


def _rows(found: DuckDBPyConnection, rows_max: int) -> tuple[list[tuple[Any, ...]], bool]:
    """Return at most `rows_max` rows, fewer where they are very large, and whether there are more."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while chunk := found.fetchmany(_CHUNK_ROWS):
        rows += chunk
        size += sum(len(value) for row in chunk for value in row if isinstance(value, str | bytes))
        if len(rows) > rows_max or size > RESULT_BYTES_MAX:
            return rows[:rows_max], True
    return rows, False
