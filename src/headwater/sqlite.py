"""Open a SQLite file the way every part of Headwater needs it: durable, WAL, a version without known corruption."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2

from headwater.errors import ConfigError

Connection = Any
"""A `pysqlite3` connection; the package ships no types."""

Error: Any = dbapi2.Error
"""What SQLite raises, such as for a full disk."""

OperationalError: Any = dbapi2.OperationalError
"""Of these, what may pass: the disk is full, read-only, or fails."""

# 3.7.0 .. 3.51.2 can corrupt a database in WAL mode (sqlite.org/wal.html, "the WAL-reset bug").
VERSION_MIN: Final = (3, 51, 3)
_BUSY_S: Final = 5.0  # ours: how long others may hold a lock
_AGAIN_S: Final = 0.02


def connect(path: Path, *, read_only: bool = False) -> Connection:
    """Return a connection in autocommit mode: WAL, `synchronous=FULL`, foreign keys on, 5 s busy time-out.

    One process writes a file; others may open it `read_only`. The connection may be used from any thread, by one at a
    time.

    Raises:
        ConfigError: this SQLite is too old to be trusted with acknowledged data.
    """
    if dbapi2.sqlite_version_info < VERSION_MIN:
        found = dbapi2.sqlite_version
        raise ConfigError(f"SQLite {found} can corrupt data; install pysqlite3 >= 0.6.1, which brings a repaired one.")
    address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = dbapi2.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    if not read_only:
        _write_ahead(connection)
    connection.execute("pragma synchronous = full")
    connection.execute("pragma foreign_keys = on")
    return connection


def _write_ahead(connection: Connection) -> None:
    """Switch to WAL; SQLite itself does not wait for that while another program opens or changes the same new file.

    Raises:
        OperationalError: it is locked for longer than the busy time-out.
    """
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Make what happens inside one commit; nothing of it stays when it raises, or when the commit itself fails."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled some errors back already, such as a full disk
            connection.execute("rollback")
        raise
