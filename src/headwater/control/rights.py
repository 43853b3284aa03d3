"""Which source a request is about: what the rights of a source admin hang on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from sqlalchemy import ColumnElement, Engine, Table, select

from headwater.control.database import accounts, destinations, sources
from headwater.control.models import Caller
from headwater.errors import ForbiddenError, NotFoundError

# The parameters of paths, of the API and of the pages, that lead to a source; the first that a path has decides.
_BY_SOURCE: Final = ("sourceId", "source")
_BY_CHILD: Final[Mapping[str, tuple[Table, str]]] = {
    "destinationId": (destinations, "destination"),
    "destination": (destinations, "destination"),
    "connectionId": (accounts, "connection"),
    "account": (accounts, "connection"),
}


class Rights:
    """Finds the source behind the ids of a path."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def source_of(self, workspace_id: str, path: Mapping[str, str]) -> str:
        """Return the id of the source that a path names, itself or by what is connected to it; "" for none.

        Raises:
            NotFoundError: the workspace has nothing of this id.
        """
        for name in _BY_SOURCE:
            if name in path:
                is_meant = (sources.c.id == path[name]) | (sources.c.slug == path[name])
                return self._one(sources.c.id, sources, workspace_id, is_meant, f"source {path[name][:60]!r}")
        for name, (table, noun) in _BY_CHILD.items():
            if name in path:
                return self._one(
                    table.c.source_id, table, workspace_id, table.c.id == path[name], f"{noun} {path[name][:60]!r}"
                )
        return ""

    def admit_connecting(self, caller: Caller, wanted: Iterable[str], present: Collection[str]) -> None:
        """Return when a caller may let one source lead to others: who administers some needs the right to both ends.

        Args:
            caller: who asks.
            wanted: the sources that it shall lead to, ids or slugs; "" is none.
            present: ids of those that it leads to already.

        Raises:
            ForbiddenError: one is not theirs.
            NotFoundError: the workspace has no such source.
        """
        for key in filter(None, wanted):
            source_id = self.source_of(caller.workspace_id, {"sourceId": key})
            if source_id not in present and not caller.administers(source_id):
                raise ForbiddenError("Leading events to another source needs the rights of its source admin, too.")

    def _one(
        self, wanted: ColumnElement[str], table: Table, workspace_id: str, is_meant: ColumnElement[bool], called: str
    ) -> str:
        query = select(wanted).where(table.c.workspace_id == workspace_id, is_meant)
        with self._engine.connect() as connection:
            found = connection.execute(query).scalar()
        if found is None:
            raise NotFoundError(f"There is no {called}.")
        return str(found)
