"""What the control plane and the pages expect of whoever asks warehouses; `app` brings the one that does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from headwater.limits import QUERY_ROWS_MAX, QUERY_SECONDS_MAX
from headwater.warehouses.contract import CatalogTable, Format, Result


class Running(Protocol):
    """A question that is being answered."""

    @property
    def id(self) -> str:
        """What it is cancelled by."""
        ...

    @property
    def warehouse_id(self) -> str:
        """Who is asked."""
        ...

    @property
    def sql(self) -> str:
        """The question."""
        ...

    @property
    def started_at(self) -> datetime:
        """Since when, in UTC."""
        ...


class Asking(Protocol):
    """Asks warehouses in SQL, read-only. Everything blocks; QueryError is a sentence for people."""

    def run(
        self,
        warehouse_id: str,
        sql: str,
        rows_max: int = QUERY_ROWS_MAX,
        *,
        timeout_s: float = QUERY_SECONDS_MAX,
        query_id: str = "",
    ) -> Result:
        """Return the rows of one SELECT."""
        ...

    def export(
        self,
        warehouse_id: str,
        sql: str,
        target: Path,
        file_format: Format,
        *,
        timeout_s: float = ...,
        query_id: str = "",
    ) -> int:
        """Write all rows of one SELECT to `target`; return how many."""
        ...

    def catalog(self, warehouse_id: str) -> list[CatalogTable]:
        """Return every table and view with its columns, by schema and name."""
        ...

    def running(self, warehouse_id: str | None = None) -> Sequence[Running]:
        """Return what is being answered now, oldest first."""
        ...

    def cancel(self, query_id: str, warehouse_id: str) -> bool:
        """End a question to a warehouse; False when none of this id is running."""
        ...
