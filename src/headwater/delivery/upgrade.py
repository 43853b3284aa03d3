"""Bring a delivery file of an earlier version to the present schema; what is right already is left alone."""

from __future__ import annotations

from typing import Any, Final

from headwater import sqlite

_ADDED: Final = (
    ("connection", "overtaken", "integer not null default 0"),
    ("waiting", "who", "text not null default ''"),
)
_OLD_KINDS: Final = "('live', 'replay')"
_KINDS: Final = "('live', 'backlog', 'replay')"


def upgrade(db: sqlite.Connection) -> None:
    """Add columns, and let lanes be of the kinds that there are now; each step is one commit."""
    for table, column, definition in _ADDED:
        columns = {row[1] for row in db.execute(f"pragma table_info({table})")}
        if columns and column not in columns:
            db.execute(f"alter table {table} add column {column} {definition}")
    made: Any = db.execute("select sql from sqlite_schema where type = 'table' and name = 'lane'").fetchone()
    if made is not None and _OLD_KINDS in made[0]:
        _make_again(db, made[0])


def _make_again(db: sqlite.Connection, made: str) -> None:
    # SQLite cannot change a check; others refer to the table by name, so it is replaced with that switched off.
    db.execute("pragma foreign_keys = off")
    try:
        with sqlite.transaction(db):
            wider = made.replace(_OLD_KINDS, _KINDS).replace("lane", "lane_wider", 1)
            db.execute(wider)
            db.execute("insert into lane_wider select * from lane")  # the columns stand in the same order
            db.execute("drop table lane")
            db.execute("alter table lane_wider rename to lane")
    finally:
        db.execute("pragma foreign_keys = on")
