"""Read-only SQL on an attached database, while it is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError, QueryError
from headwater.warehouses._lanes.attached import Do, nothing
from headwater.warehouses._lanes.attached.failures import told
from headwater.warehouses._lanes.attached.tables import BOOKKEEPING
from headwater.warehouses._lanes.locked import CATALOG, LockedReading
from headwater.warehouses.contract import CatalogTable

WAIT_S: Final = 5.0  # ours: a load of a full batch takes a second or two, a query must not wait for ever
_AGAIN_S: Final = 0.05


class AttachedReading(LockedReading):
    """Asks one database, attached read-only; where loads lock it, waits for the one that runs."""

    def __init__(
        self,
        name: str,
        target: Callable[[], str],
        prepare: Do = nothing,
        directories: Sequence[Path] = (),
        alias: str = CATALOG,
    ) -> None:
        """Take what people call it, what ATTACH takes, what makes that possible, where files lie, and its alias."""
        super().__init__(self._open, directories)
        self._name, self._target, self._prepare, self._alias = name, target, prepare, alias

    def catalog(self) -> list[CatalogTable]:
        """Return what there is, without the bookkeeping."""
        return [table for table in super().catalog() if table.schema != BOOKKEEPING]

    def _open(self, connection: DuckDBPyConnection) -> None:
        """Attach the database.

        Raises:
            QueryError: it is loaded all the time, not there yet, or cannot be reached.
        """
        deadline = time.monotonic() + WAIT_S
        try:
            self._prepare(connection)
            while not self._attached(connection, last=time.monotonic() > deadline):
                time.sleep(_AGAIN_S)
            connection.execute(f"use {self._alias}")
        except duckdb.Error as error:
            raise QueryError(str(told(self._name, error))) from error
        except DeliveryError as error:
            raise QueryError(str(error)) from error

    def _attached(self, connection: DuckDBPyConnection, *, last: bool) -> bool:
        """Try to attach; return whether it worked. The last failure is raised."""
        try:
            connection.execute(f"attach {self._target()}")
        except (duckdb.IOException, duckdb.ResourceInUseException):
            if last:
                raise
            return False
        return True
