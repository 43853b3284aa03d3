"""Field mappings of destinations: for which events which fields are set. Segment calls them subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from headwater import fql
from headwater.clock import Clock
from headwater.control import naming, rows
from headwater.control.database import Row, changing, destinations, subscriptions
from headwater.control.models import SubscriptionEntry
from headwater.control.moments import moment, text_of
from headwater.errors import InvalidRequestError
from headwater.mapping import MappingError, MissingFieldError, compile_fields

_SUBSCRIPTIONS_MAX: Final = 50  # Segment: mappings of one destination


class Subscriptions:
    """The field mappings of all destinations; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def all(self, workspace_id: str, destination_id: str) -> list[SubscriptionEntry]:
        """Return a destination's mappings in the order in which they are tried: oldest first.

        Raises:
            NotFoundError: this workspace has no such destination.
        """
        with self._engine.connect() as connection:
            rows.one(connection, destinations, workspace_id, destination_id)
            return [each for each in read_subscriptions(connection) if each.destination_id == destination_id]

    def of_workspace(self, workspace_id: str) -> list[SubscriptionEntry]:
        """Return the mappings of all destinations of a workspace, oldest first."""
        with self._engine.connect() as connection:
            return [each for each in read_subscriptions(connection) if each.workspace_id == workspace_id]

    def get(self, workspace_id: str, destination_id: str, subscription_id: str) -> SubscriptionEntry:
        """Return one mapping.

        Raises:
            NotFoundError: this destination has none of this id.
        """
        with self._engine.connect() as connection:
            return _subscription(_row(connection, workspace_id, destination_id, subscription_id))

    def create(
        self,
        workspace_id: str,
        destination_id: str,
        *,
        name: str,
        trigger: str,
        fields: Mapping[str, Any],
        enabled: bool = True,
    ) -> SubscriptionEntry:
        """Add a mapping and return it.

        Raises:
            InvalidRequestError: `name`, `trigger` or a field is wrong; `field` names it.
            NotFoundError: this workspace has no such destination.
            ConflictError: the destination has as many as it may have.
        """
        check(trigger, fields)
        subscription_id = naming.new_id()
        with changing(self._engine) as connection:
            rows.one(connection, destinations, workspace_id, destination_id)
            mine = subscriptions.c.destination_id == destination_id
            rows.room_beside(connection, subscriptions, mine, _SUBSCRIPTIONS_MAX)
            row = {
                "id": subscription_id,
                "workspace_id": workspace_id,
                "destination_id": destination_id,
                "name": naming.checked_name(name),
                "condition": trigger,
                "fields": msgspec.json.encode(fields).decode(),
                "enabled": enabled,
                "created_at": text_of(self._clock()),
            }
            connection.execute(insert(subscriptions).values(row))
        return self.get(workspace_id, destination_id, subscription_id)

    def update(self, workspace_id: str, destination_id: str, subscription_id: str, **change: Any) -> SubscriptionEntry:
        """Change `name`, `trigger`, `fields` (as a whole) or `enabled` and return the mapping.

        Raises:
            InvalidRequestError, NotFoundError: as in `create`.
        """
        with changing(self._engine) as connection:
            was = _subscription(_row(connection, workspace_id, destination_id, subscription_id))
            name, trigger = change.get("name", was.name), change.get("trigger", was.trigger)
            fields = change.get("fields", was.fields)
            check(trigger, fields)
            columns = {
                "name": naming.checked_name(name),
                "condition": trigger,
                "fields": msgspec.json.encode(fields).decode(),
                "enabled": change.get("enabled", was.enabled),
            }
            connection.execute(update(subscriptions).where(subscriptions.c.id == subscription_id).values(columns))
        return self.get(workspace_id, destination_id, subscription_id)

    def delete(self, workspace_id: str, destination_id: str, subscription_id: str) -> None:
        """Remove a mapping.

        Raises:
            NotFoundError: this destination has none of this id.
        """
        with changing(self._engine) as connection:
            _row(connection, workspace_id, destination_id, subscription_id)
            connection.execute(delete(subscriptions).where(subscriptions.c.id == subscription_id))


def check(trigger: str, fields: Mapping[str, Any]) -> None:
    """Return when a mapping can be saved.

    Raises:
        InvalidRequestError: `field` is `trigger`, or the field of the mapping that is wrong.
    """
    try:
        fql.parse(trigger)
    except InvalidRequestError as error:
        raise InvalidRequestError(str(error), field="trigger") from error
    compile_fields(fields)


def preview(trigger: str, fields: Mapping[str, Any], event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the event as a mapping would send it, None where it does not apply.

    Raises:
        InvalidRequestError: the mapping cannot be saved, or cannot be done with this event.
    """
    check(trigger, fields)
    try:
        return compile_fields(fields)(dict(event)) if fql.parse(trigger)(dict(event)) else None
    except (fql.EvaluationError, MissingFieldError):
        return None
    except MappingError as error:
        raise InvalidRequestError(str(error), field="fields") from error


def read_subscriptions(connection: Connection) -> list[SubscriptionEntry]:
    """Return the mappings of all workspaces, oldest first."""
    found = select(subscriptions).order_by(subscriptions.c.created_at, subscriptions.c.id)
    return [_subscription(row) for row in connection.execute(found)]


def _row(connection: Connection, workspace_id: str, destination_id: str, subscription_id: str) -> Row:
    rows.one(connection, destinations, workspace_id, destination_id)
    mine = subscriptions.c.destination_id == destination_id
    return rows.one_of(connection, subscriptions, workspace_id, subscription_id, mine)


def _subscription(row: Row) -> SubscriptionEntry:
    return SubscriptionEntry(
        id=row.id,
        workspace_id=row.workspace_id,
        destination_id=row.destination_id,
        name=row.name,
        trigger=row.condition,
        fields=msgspec.json.decode(row.fields, type=dict[str, Any]),
        enabled=row.enabled,
        created_at=moment(row.created_at),
    )
