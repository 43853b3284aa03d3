"""Read-only SQL in an in-memory DuckDB of its own: one SELECT, locked away from files, network and settings.

What a question may touch is decided three times: by the kind of statement, by what it calls (`harmless`), and by
DuckDB's own lock-down of paths and settings. It has a deadline, a bound of memory, rows and disk, and can be cancelled.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection, StatementType

from headwater.errors import QueryError
from headwater.limits import MIB
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses._lanes import harmless
from headwater.warehouses.contract import CatalogTable, Format, Result

MEMORY: Final = "512MB"
RESULT_BYTES_MAX: Final = 64 * MIB  # ours: what a page or a terminal can show
EXPORT_BYTES_MAX: Final = 4096 * MIB  # ours: of a result that is saved, on this machine's disk
CATALOG: Final = "headwater_warehouse"  # no schema of a source is called so, a schema's name would be ambiguous
_CHUNK_ROWS: Final = 50  # a row can be large, and is larger in Python than in DuckDB
_INTERRUPT_S: Final = 0.02
_LOOK_S: Final = 0.2  # ours: how often the size of a file that is written is looked at
_VALUE_BYTES: Final = 8  # about: of a number or a time
_ABSOLUTE_PATH: Final = re.compile(r"(/[^\s'\"/]+){2,}/?")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets run (OWASP, CSV injection)

_COPY_OPTIONS: Final = {
    Format.CSV: "format csv, header true",
    Format.PARQUET: "format parquet, compression zstd",
    Format.JSON: "format json, array true",
}

Attach = Callable[[DuckDBPyConnection], None]
"""Makes the warehouse's tables visible in the catalog `CATALOG` (or as views) of a connection that is still open."""


class LockedReading:
    """Asks a DuckDB that has the warehouse attached and can change or reach nothing else; see `contract.Reading`."""

    def __init__(self, attach: Attach, directories: Sequence[Path] = ()) -> None:
        """Take how the warehouse is attached, and the directories whose files its views read."""
        self._attach = attach
        self._directories = tuple(directories)
        self._lock = threading.Lock()
        self._connection: DuckDBPyConnection | None = None
        self._cancelled = False

    def run(self, sql: str, *, rows_max: int, timeout_s: float) -> Result:
        """Return the rows of one SELECT."""
        started = time.perf_counter()
        with self._errors(timeout_s), self._opened() as connection, _deadline(connection, timeout_s):
            found = connection.execute(f"from ({_select(connection, sql)}\n) limit {rows_max + 1}")
            columns = tuple((str(name), str(kind)) for name, kind, *_ in found.description or ())
            rows, truncated = _rows(found, rows_max)
        names, types = tuple(name for name, _ in columns), tuple(kind for _, kind in columns)
        return Result(names, types, tuple(rows), truncated, round((time.perf_counter() - started) * 1000))

    def export(self, sql: str, target: Path, file_format: Format, *, timeout_s: float) -> int:
        """Write all rows of one SELECT to `target`; return how many."""
        with tempfile.TemporaryDirectory(prefix="headwater-export-") as scratch:
            file = Path(scratch, "result")
            with self._errors(timeout_s), self._opened(Path(scratch)) as connection, _deadline(connection, timeout_s):
                select = _select(connection, sql)
                if file_format is Format.CSV:
                    select = _harmless(connection, select)
                options = _COPY_OPTIONS[file_format]
                with _small(connection, Path(scratch)):
                    row = connection.execute(f"copy ({select}\n) to {quote_text(str(file))} ({options})").fetchone()
            shutil.move(file, target)
        return int(row[0]) if row else 0

    def catalog(self) -> list[CatalogTable]:
        """Return every table and view of the warehouse with its columns, by schema and name."""
        with self._errors(0), self._opened() as connection:
            rows = connection.execute(
                "select schema_name, table_name, list((column_name, data_type) order by column_index) "
                "from duckdb_columns() where database_name = current_database() and not internal "
                "group by all order by all"
            ).fetchall()
        return [CatalogTable(schema, name, tuple((str(c), str(t)) for c, t in each)) for schema, name, each in rows]

    def cancel(self) -> None:
        """Interrupt what another thread asks, also when it has not quite begun."""
        with self._lock:
            self._cancelled = True
        threading.Thread(target=self._interrupt, name="headwater-cancel", daemon=True).start()

    def _interrupt(self) -> None:
        """Interrupt until nothing is asked: a statement that begins a moment after an interrupt does not see it."""
        while True:
            with self._lock:
                if self._connection is None:
                    return
                self._connection.interrupt()
            time.sleep(_INTERRUPT_S)

    @contextmanager
    def _opened(self, *scratch: Path) -> Iterator[DuckDBPyConnection]:
        """Give a connection that is locked down."""
        with duckdb.connect(
            config={"memory_limit": MEMORY, "threads": 2, "temp_directory": "", "autoinstall_known_extensions": False}
        ) as connection:
            connection.execute("set autoload_known_extensions = false")
            connection.execute("set python_enable_replacements = false")
            connection.execute("set TimeZone = 'UTC'")
            self._attach(connection)
            allowed = ", ".join(quote_text(f"{path.absolute()}/") for path in (*self._directories, *scratch))
            connection.execute(f"set allowed_directories = [{allowed}]")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            with self._lock:
                self._connection = connection
                if self._cancelled:
                    raise QueryError("The query was cancelled.")
            try:
                yield connection
            finally:
                with self._lock:
                    self._connection = None

    @contextmanager
    def _errors(self, timeout_s: float) -> Iterator[None]:
        """Turn DuckDB's errors into ours, without the paths of this machine."""
        try:
            yield
        except duckdb.InterruptException as error:
            if self._cancelled:
                raise QueryError("The query was cancelled.") from error
            raise QueryError(f"The query took longer than {timeout_s:g} s; ask for less at a time.") from error
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise QueryError(f"The query needs more than {MEMORY} of memory; ask for less at a time.") from error
        except duckdb.Error as error:
            said = str(error).partition("\n\nLINE ")[0]  # what follows points into the statement that we made of theirs
            raise QueryError(_ABSOLUTE_PATH.sub("…", said)) from error


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
def _small(connection: DuckDBPyConnection, directory: Path) -> Iterator[None]:
    """Interrupt the connection's statement when what it writes into a directory becomes too large.

    Raises:
        QueryError: it did.
    """
    ended, grown = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_S):
            if sum(file.stat().st_size for file in directory.iterdir()) > EXPORT_BYTES_MAX:
                grown.set()
                connection.interrupt()
                return

    watching = threading.Thread(target=look, name="headwater-export-size", daemon=True)
    watching.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if grown.is_set():
            raise QueryError(too_large()) from error
        raise
    finally:
        ended.set()
        watching.join()


def too_large() -> str:
    """Return what is said of a result whose file would be too large."""
    return f"The result has more than {EXPORT_BYTES_MAX // MIB} MiB; ask for less at a time."


def _select(connection: DuckDBPyConnection, sql: str) -> str:
    """Return the one statement of `sql` when it only reads.

    Raises:
        QueryError: there is none, more than one, it is of another kind, or calls what does more than compute.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"Give one SELECT statement, not {len(statements)}.")
    (statement,) = statements
    if statement.type != StatementType.SELECT:
        raise QueryError(f"Only SELECT is allowed here; {statement.type.name} is not.")
    select = _without_end(str(statement.query))
    harmless.check(connection, f"from ({select}\n)")  # as it is asked, not as it was given
    return select


def _without_end(sql: str) -> str:
    """Return a statement without the semicolons after it; comments stay."""
    text = bytearray(sql.encode())  # DuckDB counts bytes
    for position, kind in reversed(duckdb.tokenize(sql)):
        if text[position : position + 1] == b";":
            text[position] = ord(" ")
        elif kind is not duckdb.token_type.comment:
            break
    return text.decode()


def _harmless(connection: DuckDBPyConnection, select: str) -> str:
    """Return a SELECT whose texts no spreadsheet takes for a formula: a quote stands in front of those."""
    described = connection.execute(f"from ({select}\n) limit 0").description or ()
    inner = [f"c{number}" for number in range(len(described))]
    marks = ", ".join(quote_text(mark) for mark in _FORMULA)
    listed = ", ".join(
        f"if({name}[1] in ({marks}), '''' || {name}, {name}) as {quote_ident(_quoted(str(column)))}"
        if str(kind) == "VARCHAR"
        else f"{name} as {quote_ident(_quoted(str(column)))}"
        for name, (column, kind, *_) in zip(inner, described, strict=True)
    )
    return f"select {listed} from ({select}\n) as result({', '.join(inner)})"


def _quoted(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(found: DuckDBPyConnection, rows_max: int) -> tuple[list[tuple[Any, ...]], bool]:
    """Return at most `rows_max` rows, fewer where they are very large, and whether there are more."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while chunk := found.fetchmany(_CHUNK_ROWS):
        rows += chunk
        size += sum(_size(value) for row in chunk for value in row)
        if len(rows) > rows_max or size > RESULT_BYTES_MAX:
            return rows[:rows_max], True
    return rows, False


def _size(value: Any) -> int:
    """Return about how many bytes a value takes in an answer, with all that is in it."""
    size, waiting = 0, [value]
    while waiting:
        match waiting.pop():
            case str() | bytes() as text:
                size += len(text)
            case dict() as members:
                size += _VALUE_BYTES
                waiting += members.values()
            case list() | tuple() as members:
                size += _VALUE_BYTES
                waiting += members
            case _:
                size += _VALUE_BYTES
    return size
