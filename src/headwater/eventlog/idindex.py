"""The index of ids on disk: which key was stored, exact, behind the filter in memory.

Keys are random, so one large B-tree would rewrite a page for every id. They are kept as sorted runs, each a SQLite
table that is written once; eight runs of a size are merged into one of the next, so that a key is written a few times
in all and a look-up touches a bounded number of tables. All of it can be derived from the log.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pysqlite3 import dbapi2

from headwater import sqlite
from headwater.eventlog.places import sync_directory

INDEX_FILE: Final = "ids.sqlite"
SECRET_FILE: Final = "ids.key"  # noqa: S105 - a name
SECRET_BYTES: Final = 32
RUNS_OF_A_LEVEL: Final = 8
KEY_BYTES: Final = 16
LEVEL_MAX: Final = 3  # runs of 16 M ids at the most: a larger merge would keep new ids waiting in memory
DatabaseError: Final[Any] = dbapi2.DatabaseError
_VERSION: Final = 1

_TABLES: Final = """
create table if not exists facts (secret blob not null, upto integer not null) strict;
create table if not exists runs (
  id integer primary key, level integer not null, keys integer not null, next_seq integer not null
) strict;
"""


_WANTED: Final = """
with recursive
  place (n) as (select 0 union all select n + 1 from place where n + 1 < ?1),
  wanted (key) as materialized (select substr(?2, n * 16 + 1, 16) from place)
"""
"""?1 keys, given in one value ?2."""


class _Run(NamedTuple):
    id: int
    level: int
    keys: int
    next_seq: int


class IdIndex:
    """The runs; `find` may be called from one thread while another one adds, merges and forgets."""

    def __init__(self, path: Path, secret: bytes | None = None) -> None:
        """Open the index, which is made when it is not there.

        Args:
            path: the file.
            secret: what keys are hashed with; None for that of the file, or a new one.

        Raises:
            DatabaseError: the file is damaged, or of another secret: `discard` it and build it again.
        """
        self._writer = sqlite.connect(path)
        version = self._writer.execute("pragma user_version").fetchone()[0]
        if version not in {0, _VERSION}:
            raise dbapi2.DatabaseError(f"the index of ids has version {version}")
        self._writer.executescript(f"begin; {_TABLES} pragma user_version = {_VERSION}; commit")
        if self._writer.execute("select count(*) from facts").fetchone()[0] != 1:
            self._writer.execute("delete from facts")
            self._writer.execute("insert into facts values (?, 0)", (secret or secrets.token_bytes(SECRET_BYTES),))
        self.secret: bytes = self._writer.execute("select secret from facts").fetchone()[0]
        if secret not in {None, self.secret}:
            raise dbapi2.DatabaseError("the index of ids is of another secret")
        self._finder = sqlite.connect(path, read_only=True)
        self._changed = threading.Lock()
        self._renew()

    @property
    def upto(self) -> int:
        """Every id of a record before this sequence is in."""
        return int(self._writer.execute("select upto from facts").fetchone()[0])

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return sum(run.keys for run in self._runs())

    def find(self, keys: Sequence[bytes]) -> list[tuple[bytes, int]]:
        """Return those of the keys that are stored, with a sequence at which, or shortly before which, each was."""
        with self._changed:
            if not self._question:
                return []
            return list(self._finder.execute(self._question, (len(keys), b"".join(keys))).fetchall())

    def add(self, keys: Sequence[bytes], upto: int) -> None:
        """Store the keys of records before sequence `upto`: everything before it is in then.

        They go in as one value, which SQLite takes apart and sorts: row by row the thread would ask for the
        interpreter at each one, and wait for a busy event loop each time.
        """
        with sqlite.transaction(self._writer):
            if keys:
                name = self._begin(_Run(0, 0, len(keys), upto))
                self._writer.execute(
                    f"insert or replace into {name}"  # noqa: S608 - a number
                    f" {_WANTED} select key, ?3 from wanted order by key",
                    (len(keys), b"".join(keys), upto - 1),
                )
            self._writer.execute("update facts set upto = ?", (upto,))
        self._renew()

    def merge(self, start: int) -> bool:
        """Merge one level that is full, leaving out keys before sequence `start`; return whether there was one."""
        by_level: dict[int, list[_Run]] = {}
        for run in self._runs():
            by_level.setdefault(run.level, []).append(run)
        full = [runs for level, runs in by_level.items() if level < LEVEL_MAX and len(runs) >= RUNS_OF_A_LEVEL]
        if not full:
            return False
        runs = min(full, key=lambda runs: runs[0].level)
        rows = " union all ".join(f"select key, seq from run_{run.id} where seq >= {start}" for run in runs)  # noqa: S608 - numbers
        with sqlite.transaction(self._writer):
            whole = _Run(0, runs[0].level + 1, sum(run.keys for run in runs), max(run.next_seq for run in runs))
            name = self._begin(whole)
            self._writer.execute(
                f"insert into {name} select key, seq from ({rows}) where true order by key"  # noqa: S608 - numbers
                " on conflict (key) do update set seq = max(seq, excluded.seq)"
            )
            self._writer.executemany("delete from runs where id = ?", [(run.id,) for run in runs])
        self._drop(runs)
        return True

    def forget(self, start: int) -> None:
        """Drop the runs that hold nothing at or behind sequence `start`."""
        gone = [run for run in self._runs() if run.next_seq <= start]
        if gone:
            with sqlite.transaction(self._writer):
                self._writer.executemany("delete from runs where id = ?", [(run.id,) for run in gone])
            self._drop(gone)

    def all_keys(self) -> Iterator[Sequence[tuple[bytes]]]:
        """Yield every key, some thousand at a time, from a connection of its own."""
        (_, _, path), *_ = self._writer.execute("pragma database_list")
        connection = sqlite.connect(Path(path), read_only=True)
        try:
            for run in self._runs():
                rows = connection.execute(f"select key from run_{run.id}")  # noqa: S608 - a number
                while some := rows.fetchmany(2_000):
                    yield some
        finally:
            connection.close()

    def close(self) -> None:
        """Close the file."""
        self._finder.close()
        self._writer.close()

    def _runs(self) -> list[_Run]:
        return [_Run(*row) for row in self._writer.execute("select id, level, keys, next_seq from runs order by id")]

    def _begin(self, run: _Run) -> str:
        cursor = self._writer.execute("insert into runs (level, keys, next_seq) values (?, ?, ?)", run[1:])
        name = f"run_{cursor.lastrowid}"
        self._writer.execute(f"create table {name} (key blob primary key, seq integer not null) strict, without rowid")
        return name

    def _drop(self, runs: Sequence[_Run]) -> None:
        """Remove tables that no look-up asks any more."""
        self._renew()
        with sqlite.transaction(self._writer):
            for run in runs:
                self._writer.execute(f"drop table run_{run.id}")

    def _renew(self) -> None:
        """Make the question that asks every run, the newest first."""
        names = [f"run_{run.id}" for run in reversed(self._runs())]
        rows = (f"select key, seq from wanted cross join {name} using (key)" for name in names)  # noqa: S608 - numbers
        question = f"{_WANTED} {' union all '.join(rows)}" if names else ""
        with self._changed:
            self._question = question


def load_secret(directory: Path) -> bytes | None:
    """Return what the keys of a log's ids are hashed with, None where no file says it (yet)."""
    try:
        found = (directory / SECRET_FILE).read_bytes()
    except FileNotFoundError:
        return None
    return found if len(found) == SECRET_BYTES else None


def keep_secret(directory: Path, secret: bytes) -> None:
    """Return once the secret is on disk beside the index."""
    aside = directory / f"{SECRET_FILE}.new"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secret)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.replace(directory / SECRET_FILE)
    sync_directory(directory)


def discard(path: Path) -> None:
    """Remove an index that is damaged or not wanted."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
