"""Where each reader stands, by name, in a SQLite file that one process writes."""

from __future__ import annotations

from pathlib import Path

from headwater import sqlite
from headwater.errors import ConflictError


class Cursors:
    """Named cursors; `advance` never goes back, `rewind` may. `path`: the file."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self.path = path
        self._connection = sqlite.connect(path)
        self._connection.execute(
            "create table if not exists cursors (name text primary key, cursor integer not null) strict, without rowid"
        )

    def get(self, name: str) -> int:
        """Return where a reader stands, 0 for one that never advanced."""
        row = self._connection.execute("select cursor from cursors where name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def all(self) -> dict[str, int]:
        """Return every name and its cursor."""
        return dict(self._connection.execute("select name, cursor from cursors order by name"))

    def advance(self, name: str, cursor: int) -> None:
        """Move a reader forward; on disk when it returns.

        Raises:
            ConflictError: it stands further already, so two readers use one name.
        """
        changed = self._connection.execute(
            "insert into cursors values (?, ?) on conflict (name) do update set cursor = excluded.cursor"
            " where excluded.cursor >= cursors.cursor",
            (name, cursor),
        ).rowcount
        if not changed:
            raise ConflictError(f"The cursor {name!r} stands behind {cursor} already; use rewind to go back.")

    def rewind(self, name: str, cursor: int) -> None:
        """Set a reader anywhere, also back: what follows is read again."""
        self._connection.execute(
            "insert into cursors values (?, ?) on conflict (name) do update set cursor = excluded.cursor",
            (name, cursor),
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
