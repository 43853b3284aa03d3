"""From a staged table to PostgreSQL's COPY: DuckDB writes CSV, which both read alike, and the driver passes it on.

In both, a null is an empty field and an empty text is `""`. No value is ever seen by Python.
Source: PostgreSQL documentation, COPY; DuckDB documentation, CSV export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import RefusedTableError, RetryableError
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import Columns, ColumnType, Table

_BLOCK_BYTES: Final = 1024 * 1024  # ours: what is in memory of a batch
_NUL: Final = b"\0"
_INSTEAD: Final = "\ufffd".encode()  # PostgreSQL's text cannot hold a NUL


class Copying:
    """Copies SELECTs of the staging connection; one scratch file, used for one table at a time."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "copy.csv"

    def run(self, connection: Any, staging: DuckDBPyConnection, select: str, into: str, table: Table) -> None:
        """Copy the rows of a SELECT into a table; `into` names it and its columns as SQL.

        Raises:
            RefusedTableError: the rows cannot be computed.
            RetryableError: the scratch file cannot be written.
            psycopg.Error: PostgreSQL does not take them.
        """
        with _errors(table):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            staging.execute(f"copy ({select}) to {quote_text(str(self._file))} (format csv, header false)")
        try:
            with connection.cursor() as cursor, cursor.copy(f"copy {into} from stdin (format csv)") as copy:
                for block in self._blocks(table):
                    copy.write(block)
        finally:
            self._file.unlink(missing_ok=True)

    def _blocks(self, table: Table) -> Iterator[bytes]:
        """Yield the file's content as PostgreSQL can store it."""
        with _errors(table), self._file.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block.replace(_NUL, _INSTEAD) if _NUL in block else block


def select_of(relation: str, columns: Columns, more: Iterable[str] = ()) -> str:
    """Return the SELECT of a staged table, times spelled as PostgreSQL reads them."""
    spelled = [_SPELLED.get(kind, str)(quote_ident(name)) for name, kind in columns.items()]
    return f"select {', '.join((*spelled, *more))} from {relation}"


def into(target: str, columns: Iterable[str]) -> str:
    """Return a table with its columns, as COPY and INSERT name them."""
    return f"{target} ({', '.join(map(quote_ident, columns))})"


def _moment(name: str) -> str:
    """Return the text of a UTC timestamp; DuckDB writes `(BC)` for years before the first."""
    return f"if({name} < timestamp '0001-01-01', replace({name}::varchar, ' (BC)', '') || ' BC', {name}::varchar)"


_SPELLED: Final[dict[ColumnType, Callable[[str], str]]] = {ColumnType.TIMESTAMP: _moment}


@contextmanager
def _errors(table: Table) -> Iterator[None]:
    """Tell a disk of ours from rows that cannot be computed; DuckDB's own words may hold values."""
    named = f"{table.schema}.{table.name}"
    try:
        yield
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        reason = error.strerror if isinstance(error, OSError) else "DuckDB could not write it"
        raise RetryableError(f"The batch could not be written aside for PostgreSQL: {reason}.") from error
    except duckdb.Error as error:
        raise RefusedTableError(
            f"The table {named} is left out: its rows could not be computed ({type(error).__name__}).", table=named
        ) from error
