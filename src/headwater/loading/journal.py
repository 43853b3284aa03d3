"""The file in which the loading engine remembers: runs, positions, reloads, what stays out. Never the only proof.

How far a warehouse is loaded, the warehouse says itself, in the commit that brought the rows. The journal has what it
cannot say: what was counted, what is to be loaded again, and from where on something was left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from headwater import sqlite
from headwater.errors import RetryableError
from headwater.sqlite import Connection

_SCHEMA: Final = Path(__file__).with_name("journal.sql")
_LATER: Final = {
    "runs": {
        "filtered": "integer not null default 0",
        "missed": "integer not null default 0",
        "reload": "text not null default ''",
        "suppressed": "integer not null default 0",
    },
    "totals": {"missed": "integer not null default 0", "suppressed": "integer not null default 0"},
}
"""Columns that files of the first version do not have."""


class Journal:
    """The file; may be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._connection = sqlite.connect(path)
        self._connection.executescript(_SCHEMA.read_text())
        for table, columns in _LATER.items():
            there = {row[1] for row in self._connection.execute(f"pragma table_info({table})")}
            for name in columns.keys() - there:
                self._connection.execute(f"alter table {table} add column {name} {columns[name]}")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give the connection for questions; one thread at a time."""
        with self._lock:
            yield self._connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Give the connection for changes, which become one commit.

        Raises:
            RetryableError: the file cannot be written, such as on a full disk; nothing was stored.
        """
        with self._lock:
            try:
                with sqlite.transaction(self._connection):
                    yield self._connection
            except sqlite.Error as error:
                raise RetryableError(
                    f"What was loaded cannot be noted ({type(error).__name__}); look at the data directory's disk."
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
