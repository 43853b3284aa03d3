"""Filters of destinations: which events are sent, and what is taken out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.database import Row, changing, destinations, filters
from headwater.control.models import FilterEntry
from headwater.control.moments import moment, text_of
from headwater.delivery.filters import FILTERS_MAX, checked_filter
from headwater.errors import InvalidRequestError

_DESCRIPTION_CHARS_MAX: Final = 1_000  # ours


class Filters:
    """The filters of all destinations; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str, destination_id: str) -> list[FilterEntry]:
        """Return a destination's filters, oldest first.

        Raises:
            NotFoundError: this workspace has no such destination.
        """
        with self._engine.connect() as connection:
            rows.one(connection, destinations, workspace_id, destination_id)
            return [each for each in read_filters(connection) if each.destination_id == destination_id]

    def of_workspace(self, workspace_id: str) -> list[FilterEntry]:
        """Return the filters of all destinations of a workspace, oldest first."""
        with self._engine.connect() as connection:
            return [each for each in read_filters(connection) if each.workspace_id == workspace_id]

    def get(self, workspace_id: str, destination_id: str, filter_id: str) -> FilterEntry:
        """Return one filter.

        Raises:
            NotFoundError: this destination has none of this id.
        """
        with self._engine.connect() as connection:
            return _filter(_row(connection, workspace_id, destination_id, filter_id))

    def create(
        self,
        workspace_id: str,
        destination_id: str,
        *,
        title: str,
        condition: str,
        actions: Sequence[Mapping[str, Any]],
        description: str = "",
        enabled: bool = True,
    ) -> FilterEntry:
        """Add a filter and return it; it applies to events that are read from now on.

        Raises:
            InvalidRequestError: a member is wrong; `field` names it.
            NotFoundError: this workspace has no such destination.
            ConflictError: the destination has as many as it may have.
        """
        checked_filter(title, condition, actions)
        filter_id, at = naming.new_id(), text_of(self._clock())
        with changing(self._engine) as connection:
            rows.one(connection, destinations, workspace_id, destination_id)
            rows.room_beside(connection, filters, filters.c.destination_id == destination_id, FILTERS_MAX)
            row = {
                "id": filter_id,
                "workspace_id": workspace_id,
                "destination_id": destination_id,
                "title": title.strip(),
                "description": _described(description),
                "condition": condition,
                "actions": msgspec.json.encode(actions).decode(),
                "enabled": enabled,
                "created_at": at,
                "updated_at": at,
            }
            connection.execute(insert(filters).values(row))
        return self.get(workspace_id, destination_id, filter_id)

    def update(self, workspace_id: str, destination_id: str, filter_id: str, **change: Any) -> FilterEntry:
        """Change `title`, `condition`, `actions`, `description` or `enabled` and return the filter.

        Raises:
            InvalidRequestError, NotFoundError: as in `create`.
        """
        with changing(self._engine) as connection:
            was = _filter(_row(connection, workspace_id, destination_id, filter_id))
            title, condition = change.get("title", was.title), change.get("condition", was.condition)
            checked_filter(title, condition, change.get("actions", was.actions))
            columns = dict(change)
            if "actions" in change:
                columns["actions"] = msgspec.json.encode(change["actions"]).decode()
            if "description" in change:
                columns["description"] = _described(change["description"] or "")
            columns |= {"title": title.strip(), "updated_at": text_of(self._clock())}
            connection.execute(update(filters).where(filters.c.id == filter_id).values(columns))
        return self.get(workspace_id, destination_id, filter_id)

    def delete(self, workspace_id: str, destination_id: str, filter_id: str) -> None:
        """Remove a filter.

        Raises:
            NotFoundError: this destination has none of this id.
        """
        with changing(self._engine) as connection:
            _row(connection, workspace_id, destination_id, filter_id)
            connection.execute(delete(filters).where(filters.c.id == filter_id))


def read_filters(connection: Connection) -> list[FilterEntry]:
    """Return the filters of all workspaces, oldest first."""
    found = select(filters).order_by(filters.c.created_at, filters.c.id)
    return [_filter(row) for row in connection.execute(found)]


def _row(connection: Connection, workspace_id: str, destination_id: str, filter_id: str) -> Row:
    rows.one(connection, destinations, workspace_id, destination_id)
    return rows.one_of(connection, filters, workspace_id, filter_id, filters.c.destination_id == destination_id)


def _described(text: str) -> str:
    if len(text) > _DESCRIPTION_CHARS_MAX:
        raise InvalidRequestError(
            f"A description has at most {_DESCRIPTION_CHARS_MAX} characters.", field="description"
        )
    return text


def _filter(row: Row) -> FilterEntry:
    return FilterEntry(
        id=row.id,
        workspace_id=row.workspace_id,
        destination_id=row.destination_id,
        title=row.title,
        description=row.description,
        condition=row.condition,
        actions=tuple(msgspec.json.decode(row.actions, type=list[dict[str, Any]])),
        enabled=row.enabled,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
    )
