"""What the control plane and the pages expect of a query; `app` brings the one that asks a warehouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headwater.control.models import WarehouseEntry


class QueryResult(Protocol):
    """What a query gave; `types` are the database's names, one a column."""

    @property
    def columns(self) -> Sequence[str]:
        """The names."""
        ...

    @property
    def types(self) -> Sequence[str]:
        """The database's type names."""
        ...

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """The values."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether there are more rows than were asked for."""
        ...

    @property
    def duration_ms(self) -> int:
        """How long it took."""
        ...


Query = Callable[[WarehouseEntry, str, int], QueryResult]
"""(warehouse, sql, most rows) -> result; blocks, and raises QueryError with a sentence for people."""
