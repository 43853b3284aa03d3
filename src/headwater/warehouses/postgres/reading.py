"""Ask the database and change nothing: one SELECT in a read-only transaction, its functions looked at before it runs.

What a question may do is decided three times: by the rights of the user who asks, of whom a superuser is refused; by a
transaction that may only read; and by the functions that the question calls. A function that is *volatile* can act
beyond its transaction (end sessions, hold locks, read files, connect elsewhere), so only harmless ones are let through.
Which ones a question calls, PostgreSQL itself tells: it parses the question as a temporary view, which is then read,
in the same transaction, and rolled back.

Source: PostgreSQL documentation, function volatility categories; SET TRANSACTION; predefined roles.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from duckdb import DuckDBPyConnection

from headwater.errors import ConfigError, DeliveryError, QueryError
from headwater.limits import MIB
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses._lanes.locked import EXPORT_BYTES_MAX, RESULT_BYTES_MAX, LockedReading, too_large
from headwater.warehouses.contract import CatalogTable, Format, Result
from headwater.warehouses.postgres.catalog import SCHEMA
from headwater.warehouses.postgres.connection import bound, connect, driver, hang_up
from headwater.warehouses.postgres.meaning import code_of
from headwater.warehouses.postgres.settings import Settings

ROW_BYTES_MAX: Final = 16 * MIB  # ours: what is in memory of a result at once
_CATALOG_S: Final = 30.0  # ours
_LOCK_S: Final = 5.0  # ours: for a table that is being changed
_HANG_UP_S: Final = 10.0  # ours: what the server gets to end a statement
_CANCELLED: Final = "57014"
_ABSOLUTE_PATH: Final = re.compile(r"(/[^\s'\"/]+){2,}/?")

_VIEW: Final = "pg_temp.headwater_asked"
_PROOF: Final = "pg_temp.headwater_proof"
_TOO_LARGE: Final = "headwater.row_too_large"  # a setting that does not exist: asking for it is the error we want
_HARMLESS: Final = ("clock_timestamp", "gen_random_uuid", "random", "random_normal", "timeofday", "uuidv4", "uuidv7")
# Of extensions, called harmless by them, though they run SQL that is given to them as a text (tablefunc, xml2).
_RUNNING: Final = ("crosstab", "crosstab2", "crosstab3", "crosstab4", "crosstabn", "connectby", "xpath_table")
_PLAIN: Final = (str, int, float, bool, bytes, dict, Decimal, UUID, dt.date, dt.time, dt.timedelta, type(None))

_RIGHTS: Final = "select has_table_privilege('pg_catalog.pg_authid', 'select') or " + " or ".join(
    f"pg_has_role(current_user, '{role}', 'usage')"
    for role in ("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program")
)
_CALLED: Final = r"""
    select p.proname, p.proname = any(%s)
        or p.provolatile = 'v' and not (p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any(%s))
    from pg_catalog.pg_proc p where p.oid in (
        select found[1]::oid from pg_catalog.pg_rewrite r,
        pg_catalog.regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') as found
        where r.ev_class = %s::regclass
    )"""
_COLUMNS: Final = """
    select atttypid, format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
    where attrelid = %s::regclass and attnum > 0 order by attnum"""
_CATALOG: Final = f"""
    select n.nspname, c.relname,
        array_agg(array[a.attname::text, format_type(a.atttypid, a.atttypmod)] order by a.attnum)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema', '{SCHEMA}')
        and n.nspname !~ '^pg_(toast|temp)' and has_schema_privilege(n.oid, 'usage')
        and has_table_privilege(c.oid, 'select')
    group by 1, 2 order by 1, 2"""

# What of PostgreSQL's types DuckDB reads from CSV as what it is; everything else stays the text that it is here.
_IN_DUCKDB: Final = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "uuid": "UUID",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was parsed and found harmless: its columns' names, types as oids, and types' names."""

    names: tuple[str, ...]
    oids: tuple[int, ...]
    types: tuple[str, ...]

    def select(self, rows: int | None) -> str:
        """Return the SELECT that answers it, with a column at the end that fails where a row is too large to send."""
        guard = (
            f"case when pg_catalog.pg_column_size(asked.*) > {ROW_BYTES_MAX} "
            f"then pg_catalog.current_setting('{_TOO_LARGE}' || pg_catalog.left(asked.c0::text, 0)) end"
        )
        listed = f"asked.*, {guard if self.names else 'null'} as guard"
        return f"select {listed} from {_VIEW} as asked{'' if rows is None else f' limit {rows}'}"


class Reading:
    """Asks over one connection a question, by the reader where the settings name one."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self._settings, self._home = settings, home
        self._lock = threading.Lock()
        self._connection: Any = None
        self._cancelled = False

    def run(self, sql: str, *, rows_max: int, timeout_s: float) -> Result:
        """Return the rows of one SELECT."""
        started = time.perf_counter()
        with self._connected(timeout_s) as connection:
            asked = _ask(connection, sql)
            rows, truncated = _rows(connection, asked, rows_max)
        return Result(asked.names, asked.types, rows, truncated, round((time.perf_counter() - started) * 1000))

    def export(self, sql: str, target: Path, file_format: Format, *, timeout_s: float) -> int:
        """Write all rows of one SELECT to `target`: through CSV, which DuckDB turns into the format."""
        with tempfile.TemporaryDirectory(prefix="headwater-export-") as scratch:
            file = Path(scratch, "rows.csv")
            with self._connected(timeout_s) as connection:
                asked = _ask(connection, sql)
                _save(connection, asked, file)
            local = LockedReading(partial(_attach, asked=asked, file=file), [Path(scratch)])
            return local.export("from result", target, file_format, timeout_s=timeout_s)

    def catalog(self) -> list[CatalogTable]:
        """Return every table and view that the user may read."""
        with self._connected(_CATALOG_S) as connection:
            rows = connection.execute(_CATALOG).fetchall()
        return [CatalogTable(schema, name, tuple((c, t) for c, t in columns)) for schema, name, columns in rows]

    def cancel(self) -> None:
        """End what another thread asks."""
        with self._lock:
            self._cancelled = True
            _cancel(self._connection)

    @contextmanager
    def _connected(self, timeout_s: float) -> Iterator[Any]:
        """Give a transaction that ends when the time is over, and is rolled back in any case."""
        settings = self._settings
        user = (settings.user, settings.password)
        if settings.reader_user:
            user = (settings.reader_user, settings.reader_password)
        with self._errors(timeout_s):
            connection = connect(settings, self._home, *user)
            timers = [
                threading.Timer(timeout_s, _cancel, [connection]),
                threading.Timer(timeout_s + _HANG_UP_S, hang_up, [connection]),
            ]
            try:
                with self._lock:
                    self._connection = connection
                    if self._cancelled:
                        raise QueryError("The query was cancelled.")
                for timer in timers:
                    timer.daemon = True
                    timer.start()
                _begin(connection, timeout_s)
                yield connection
            finally:
                for timer in timers:
                    timer.cancel()
                with self._lock:
                    self._connection = None
                connection.close()

    @contextmanager
    def _errors(self, timeout_s: float) -> Iterator[None]:
        """Turn errors into sentences for who asked; PostgreSQL's own words where they are about the question."""
        try:
            yield
        except (DeliveryError, ConfigError) as error:
            raise QueryError(str(error)) from error
        except driver().Error as error:
            if self._cancelled:
                raise QueryError("The query was cancelled.") from error
            said = _said(error)
            if code_of(error) == _CANCELLED:
                said = f"The query took longer than {timeout_s:g} s; ask for less at a time."
            raise QueryError(said) from error


def _begin(connection: Any, timeout_s: float) -> None:
    """Begin the transaction.

    Raises:
        QueryError: the user could do more than read the database.
    """
    bound(
        connection,
        {
            "search_path": "public",
            "statement_timeout": f"{max(1, round(timeout_s * 1000))}",
            "lock_timeout": f"{round(_LOCK_S * 1000)}",
        },
    )
    if connection.execute(_RIGHTS).fetchone()[0]:
        raise QueryError(
            "Queries are asked by a user who may only read, and this one is a superuser or may read the server's "
            "files or passwords. Enter a reader in the warehouse's settings; its documentation has the SQL that makes "
            "one."
        )
    connection.execute("begin read write")  # for the temporary view; read only before anything runs


def _ask(connection: Any, sql: str) -> _Asked:
    """Make the view of a question and close the transaction for writing.

    Raises:
        QueryError: it is no single SELECT, or calls what could act beyond reading.
        psycopg.Error: it is wrong.
    """
    if "\0" in sql:
        raise QueryError("The query holds a NUL character; remove it.")
    names = _names(connection, sql)
    listed = f" ({', '.join(f'c{number}' for number in range(len(names)))})" if names else ""
    connection.execute(f"create temporary view {_PROOF} as select pg_catalog.pg_backend_pid() as pid")
    connection.execute(f"create temporary view {_VIEW}{listed} as {sql}", binary=True)  # refuses a second statement
    known = [list(_RUNNING), list(_HARMLESS)]
    if [name for name, _ in connection.execute(_CALLED, [*known, _PROOF]).fetchall()] != ["pg_backend_pid"]:
        raise QueryError("This version of PostgreSQL does not tell which functions a query calls; update Headwater.")
    called = connection.execute(_CALLED, [*known, _VIEW]).fetchall()
    if refused := sorted(name for name, acts in called if acts):
        raise QueryError(f"Only functions that do nothing but compute are allowed here; {refused[0]} is not.")
    columns = connection.execute(_COLUMNS, [_VIEW]).fetchall()
    connection.execute("set transaction read only")
    return _Asked(names, tuple(oid for oid, _ in columns), tuple(kind for _, kind in columns))


def _names(connection: Any, sql: str) -> tuple[str, ...]:
    """Return the names of a question's columns; PostgreSQL parses it and runs nothing.

    Raises:
        QueryError: it is empty, or more than one statement, or gives no rows.
    """
    psycopg = driver()
    prepared = connection.pgconn.prepare(b"", sql.encode())
    if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared)
    described = connection.pgconn.describe_prepared(b"")
    if not described.nfields:
        raise QueryError("Give one SELECT statement that has columns.")
    return tuple((described.fname(place) or b"").decode() for place in range(described.nfields))


def _rows(connection: Any, asked: _Asked, rows_max: int) -> tuple[tuple[tuple[Any, ...], ...], bool]:
    """Return at most `rows_max` rows, fewer where they are very large, and whether there are more."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    with connection.cursor() as cursor, cursor.copy(f"copy ({asked.select(rows_max + 1)}) to stdout") as copy:
        copy.set_types([*asked.oids, "text"])
        for row in copy.rows():
            if len(rows) == rows_max or size > RESULT_BYTES_MAX:
                return tuple(rows), True
            rows.append(tuple(_plain(value) for value in row[:-1]))
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
    return tuple(rows), False


def _save(connection: Any, asked: _Asked, file: Path) -> None:
    """Write all rows as CSV, as large as we let it become."""
    size = 0
    with (
        file.open("wb") as written,
        connection.cursor() as cursor,
        cursor.copy(f"copy ({asked.select(None)}) to stdout (format csv)") as copy,
    ):
        for block in copy:
            size += written.write(block)
            if size > EXPORT_BYTES_MAX:
                raise QueryError(too_large())


def _attach(connection: DuckDBPyConnection, *, asked: _Asked, file: Path) -> None:
    """Make the saved rows the view `result`."""
    names = _distinct(asked.names)
    kinds = {name: _IN_DUCKDB.get(kind, "VARCHAR") for name, kind in zip(names, asked.types, strict=True)}
    columns = ", ".join(f"{quote_text(name)}: {quote_text(kind)}" for name, kind in kinds.items())
    listed = ", ".join(map(quote_ident, names))
    connection.execute(
        f"create view result as select {listed} from read_csv({quote_text(str(file))}, auto_detect = false, "
        f"header = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', nullstr = '', "
        f"allow_quoted_nulls = false, max_line_size = {4 * ROW_BYTES_MAX}, columns = {{{columns}, "
        f"'headwater guard': 'VARCHAR'}})"
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names that a file can have side by side, whatever their case."""
    taken: dict[str, str] = {}
    for name in names:
        wanted, number = name, 0
        while wanted.lower() in taken:
            number += 1
            wanted = f"{name}_{number}"
        taken[wanted.lower()] = wanted
    return list(taken.values())


def _plain(value: Any) -> Any:
    """Return a value that JSON and a page can show; a range, an address or the like as its text."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, _PLAIN) else str(value)


def _cancel(connection: Any) -> None:
    """Ask the server to end what a connection runs."""
    if connection is not None:
        with suppress(Exception):  # it may have ended by itself
            connection.cancel_safe(timeout=_HANG_UP_S / 2)


def _said(error: Any) -> str:
    """Return PostgreSQL's sentence without paths of its machine."""
    said = str(error.diag.message_primary or "The server ended the query.")
    if _TOO_LARGE in said:
        return f"A row of the result has more than {ROW_BYTES_MAX // MIB} MiB; ask for fewer or shorter columns."
    return _ABSOLUTE_PATH.sub("…", said)
