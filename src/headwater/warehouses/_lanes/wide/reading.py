"""Questions to an engine of the lane: one SELECT, on a connection that changes nothing, with caps and a deadline."""

from __future__ import annotations

import csv
import importlib
import json
import shutil
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from headwater.errors import DeliveryError, QueryError
from headwater.warehouses._lanes.locked import EXPORT_BYTES_MAX, RESULT_BYTES_MAX, too_large
from headwater.warehouses._lanes.wide.engine import BOOKKEEPING, STAGE, Engine
from headwater.warehouses._lanes.wide.faults import told
from headwater.warehouses._lanes.wide.question import single_select
from headwater.warehouses._lanes.wide.shipping import Shipping
from headwater.warehouses.contract import CatalogTable, Format, Result

_CHUNK_ROWS: Final = 5_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets run (OWASP, CSV injection)
_LINE_CHARS_MAX: Final = 300  # ours: of an engine's message


class WideReading(ABC):
    """Asks one question; the connection is opened for it and closed after it."""

    engine: Engine

    def __init__(self, settings: Any, home: Path) -> None:
        self.settings, self._home = settings, home
        self._lock = threading.Lock()
        self._client: Any = None
        self._cancelled = self._late = False

    @abstractmethod
    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination for the settings."""

    def run(self, sql: str, *, rows_max: int, timeout_s: float) -> Result:
        """Return the rows of one SELECT."""
        select, started = single_select(self.engine, sql), time.perf_counter()
        rows: list[tuple[Any, ...]] = []
        size, truncated = 0, False
        with self._asked(select, timeout_s) as cursor:
            columns, types = _described(cursor)
            while not truncated and (chunk := cursor.fetchmany(min(_CHUNK_ROWS, rows_max + 1))):
                rows += [tuple(row) for row in chunk]
                size += sum(len(value) for row in chunk for value in row if isinstance(value, str | bytes))
                truncated = len(rows) > rows_max or size > RESULT_BYTES_MAX
        return Result(columns, types, tuple(rows[:rows_max]), truncated, round((time.perf_counter() - started) * 1000))

    def export(self, sql: str, target: Path, file_format: Format, *, timeout_s: float) -> int:
        """Write all rows of one SELECT to `target`, some thousand at a time; return how many."""
        select = single_select(self.engine, sql)
        with tempfile.TemporaryDirectory(prefix="headwater-export-") as scratch:
            file = Path(scratch, "result")
            with self._asked(select, timeout_s) as cursor:
                count = _WRITERS[file_format](cursor, file)
            shutil.move(file, target)
        return count

    def catalog(self) -> list[CatalogTable]:
        """Return every table with its columns, without our own."""
        with self._asked(self.engine.columns, 60) as cursor:
            rows = [tuple(str(value) for value in row) for row in cursor.fetchall()]
        return [
            CatalogTable(schema, name, tuple((column, kind) for _, _, column, kind in each))
            for (schema, name), each in groupby(rows, lambda row: (row[0], row[1]))
            if self.engine.unfold(schema) not in {BOOKKEEPING, STAGE}
        ]

    def cancel(self) -> None:
        """Break off what another thread asks."""
        self._cancelled = True
        self._break()

    def _break(self) -> None:
        """Cancel the statement where the driver can, else drop the connection."""
        with self._lock:
            native = self._client.native_connection if self._client is not None else None
            for way in ("cancel", "interrupt", "close"):
                if (call := getattr(native, way, None)) is not None:
                    with suppress(Exception):  # it is over already
                        call()
                    return

    def _overdue(self) -> None:
        """Break off a question whose time is over, should the engine not do so itself."""
        self._late = True
        self._break()

    @contextmanager
    def _asked(self, select: str, timeout_s: float) -> Iterator[Any]:
        """Give the cursor of a running question."""
        with tempfile.TemporaryDirectory(prefix="headwater-query-") as scratch, self._errors(timeout_s):
            shipping = Shipping(self.engine, self.destination, Path(scratch))
            timer = threading.Timer(timeout_s, self._overdue)
            timer.daemon = True
            try:
                client = shipping.client()
                with self._lock:
                    self._client = client
                if self._cancelled:
                    raise QueryError("The query was cancelled.")
                for statement in self.engine.reading:
                    client.execute_sql(
                        statement.format(timeout_s=max(1, round(timeout_s)), timeout_ms=round(timeout_s * 1000))
                    )
                timer.start()
                with client.execute_query(select) as cursor:
                    yield cursor
            finally:
                timer.cancel()
                with self._lock:
                    self._client = None
                shipping.close()

    @contextmanager
    def _errors(self, timeout_s: float) -> Iterator[None]:
        """Turn an engine's errors into ours: its own words where they are about the question."""
        try:
            yield
        except QueryError:
            raise
        except Exception as error:
            if self._cancelled:
                raise QueryError("The query was cancelled.") from error
            inner = getattr(error, "dbapi_exception", None)
            reason = told(self.engine.name, error)
            if self._late or "answer in time" in str(reason):
                raise QueryError(f"The query took longer than {timeout_s:g} s; ask for less at a time.") from error
            if inner is None or isinstance(error, DeliveryError):
                raise QueryError(str(reason)) from error
            raise QueryError(f"{self.engine.name}: {str(inner).strip().splitlines()[0][:_LINE_CHARS_MAX]}") from error


def _described(cursor: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and types of a result's columns; a driver that gives codes gives them as text."""
    described = cursor.native_cursor.description or ()
    return tuple(str(each[0]) for each in described), tuple(_type(each[1]) for each in described)


def _type(code: Any) -> str:
    """Return the name of a type as a driver tells it."""
    return str(getattr(code, "name", None) or (code.__name__ if isinstance(code, type) else code))


def _chunks(cursor: Any, file: Path) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield a result's rows, some thousand at a time, while the file that they go to is not too large.

    Raises:
        QueryError: it is.
    """
    while chunk := cursor.fetchmany(_CHUNK_ROWS):
        yield chunk
        if file.exists() and file.stat().st_size > EXPORT_BYTES_MAX:
            raise QueryError(too_large())


def _csv(cursor: Any, file: Path) -> int:
    """Write CSV; a quote stands before what a spreadsheet would take for a formula."""
    count = 0
    names, _ = _described(cursor)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([_harmless(name) for name in names])
        for chunk in _chunks(cursor, file):
            writer.writerows([_harmless(value) for value in row] for row in chunk)
            count += len(chunk)
    return count


def _harmless(value: Any) -> Any:
    """Return a value that no spreadsheet runs."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(cursor: Any, file: Path) -> int:
    """Write one JSON array of objects."""
    count = 0
    names, _ = _described(cursor)
    with file.open("w", encoding="utf-8") as out:
        out.write("[")
        for chunk in _chunks(cursor, file):
            for row in chunk:
                document = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str)
                out.write(f"{',' if count else ''}\n{document}")
                count += 1
        out.write("\n]\n")
    return count


def _parquet(cursor: Any, file: Path) -> int:
    """Write Parquet; the first chunk's values decide the types."""
    pa: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    names, _ = _described(cursor)
    writer: Any = None
    count = 0
    try:
        for chunk in _chunks(cursor, file):
            columns = list(zip(*chunk, strict=True))
            schema = writer.schema if writer is not None else None
            arrays = [
                pa.array(list(values), type=schema.field(number).type if schema is not None else None)
                for number, values in enumerate(columns)
            ]
            table = pa.Table.from_arrays(arrays, names=list(names))
            if writer is None:
                writer = parquet.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            count += len(chunk)
        if writer is None:
            parquet.write_table(pa.table({name: pa.array([], pa.string()) for name in names}), file)
    finally:
        if writer is not None:
            writer.close()
    return count


_WRITERS: Final[Mapping[Format, Callable[[Any, Path], int]]] = {
    Format.CSV: _csv,
    Format.JSON: _json,
    Format.PARQUET: _parquet,
}
