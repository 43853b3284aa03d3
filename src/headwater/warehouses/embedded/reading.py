"""Ask the embedded warehouse: its views, attached read-only."""

from __future__ import annotations

from pathlib import Path

from duckdb import DuckDBPyConnection

from headwater.errors import QueryError
from headwater.spec.names import quote_text
from headwater.warehouses._lanes.locked import CATALOG, LockedReading


class ViewsReading(LockedReading):
    """Asks the views of one directory; see `contract.Reading`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(self._views, [directory])
        self._file = directory.absolute() / "views.duckdb"

    def _views(self, connection: DuckDBPyConnection) -> None:
        """Attach the views."""
        if not self._file.exists():
            raise QueryError("The warehouse has no tables yet; they appear with the first event that is loaded.")
        connection.execute(f"attach {quote_text(str(self._file))} as {CATALOG} (read_only)")
        connection.execute(f"use {CATALOG}")
