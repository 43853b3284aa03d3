"""Read-only SQL on any warehouse: who is asked, what is running, what can be cancelled and saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec

from headwater import clock, shelf
from headwater.clock import Clock
from headwater.errors import ConfigError, ConflictError, DeliveryError, QueryError
from headwater.limits import QUERY_EXPORT_SECONDS_MAX, QUERY_ROWS_MAX, QUERY_SECONDS_MAX
from headwater.warehouses.contract import CatalogTable, Format, Reading, Result

RUNNING_MAX: Final = 8  # ours, at once: each may take half a gigabyte
_RUNNING_OF_ONE_MAX: Final = 6  # ours, of one workspace: others get an answer, too

Opened = Callable[[str], tuple[str, Mapping[str, Any]]]
"""Gives a warehouse's type and its settings, secrets open, by its id."""

OwnerOf = Callable[[str], str]
"""Gives the workspace of a warehouse."""


@dataclass(frozen=True, slots=True)
class Running:
    """A question that is being answered.

    Attributes:
        id: chosen by who asks, or made.
    """

    id: str
    warehouse_id: str
    sql: str
    started_at: datetime
    reading: Reading = field(repr=False)


class Queries:
    """Asks warehouses; may be used from any thread, every method blocks."""

    def __init__(
        self, homes: Path, opened: Opened, clock: Clock = clock.now, *, owner_of: OwnerOf = lambda _: ""
    ) -> None:
        """Take where warehouses keep files that were given no other place, and how settings are opened.

        Ids of questions belong to a workspace, and `owner_of` tells it: two may choose the same.
        """
        self._homes, self._opened, self._clock, self._owner_of = homes, opened, clock, owner_of
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], Running] = {}

    def run(
        self,
        warehouse_id: str,
        sql: str,
        rows_max: int = QUERY_ROWS_MAX,
        *,
        timeout_s: float = QUERY_SECONDS_MAX,
        query_id: str = "",
    ) -> Result:
        """Return the rows of one SELECT; tables are named `schema.table`.

        Raises:
            QueryError: it is no single SELECT, it is wrong, it tried to leave the warehouse, it took too long, it was
                cancelled, or too many are running.
            ConflictError: a question with this id is running.
        """
        with self._asking(warehouse_id, sql, query_id) as reading:
            return reading.run(sql, rows_max=rows_max, timeout_s=timeout_s)

    def export(
        self,
        warehouse_id: str,
        sql: str,
        target: Path,
        file_format: Format,
        *,
        timeout_s: float = QUERY_EXPORT_SECONDS_MAX,
        query_id: str = "",
    ) -> int:
        """Write all rows of one SELECT to `target`; return how many. Raises as `run`; nothing is left there then."""
        with self._asking(warehouse_id, sql, query_id) as reading:
            return reading.export(sql, target, file_format, timeout_s=timeout_s)

    def catalog(self, warehouse_id: str) -> list[CatalogTable]:
        """Return every table and view with its columns, by schema and name.

        Raises:
            QueryError: there is none yet, or the warehouse does not answer.
        """
        return self._reading(warehouse_id).catalog()

    def running(self, warehouse_id: str | None = None) -> list[Running]:
        """Return what is being answered now, oldest first."""
        with self._lock:
            found = list(self._running.values())
        return [each for each in found if warehouse_id in (None, each.warehouse_id)]

    def cancel(self, query_id: str, warehouse_id: str) -> bool:
        """End a question to a warehouse; False when none of this id is running."""
        owner = self._owner_of(warehouse_id)
        with self._lock:
            found = self._running.get((owner, query_id))
        if found is None:
            return False
        found.reading.cancel()
        return True

    @contextmanager
    def _asking(self, warehouse_id: str, sql: str, query_id: str) -> Iterator[Reading]:
        """Note a question while it is answered."""
        reading = self._reading(warehouse_id)
        asked = Running(query_id or uuid4().hex, warehouse_id, sql, self._clock(), reading)
        owner = self._owner_of(warehouse_id)
        key = owner, asked.id
        with self._lock:
            if key in self._running:
                raise ConflictError("A query with this id is running; choose another id or wait for it.")
            theirs = sum(who == owner for who, _ in self._running)
            if theirs >= min(_RUNNING_OF_ONE_MAX, RUNNING_MAX):
                raise QueryError(f"{theirs} queries are running; wait for one, or cancel one.")
            if len(self._running) >= RUNNING_MAX:
                raise QueryError("The server answers as many queries as it can; try again in a moment.")
            self._running[key] = asked
        try:
            yield reading
        finally:
            with self._lock:
                del self._running[key]

    def _reading(self, warehouse_id: str) -> Reading:
        """Return what asks this warehouse once."""
        type_, settings = self._opened(warehouse_id)
        try:
            module = shelf.take("headwater.warehouses", type_)
            values = msgspec.convert(dict(settings), module.Settings)
        except KeyError as error:
            raise QueryError(f"There is no warehouse type {type_!r} in this version.") from error
        except msgspec.ValidationError as error:
            raise QueryError(f"The settings of the warehouse do not fit: {error}. Correct them.") from error
        except ConfigError as error:
            raise QueryError(str(error)) from error
        try:
            reading: Reading = module.Reading(values, self._homes / warehouse_id)
        except (ConfigError, DeliveryError) as error:
            raise QueryError(str(error)) from error
        return reading
