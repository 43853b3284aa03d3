"""Destinations: made, listed, changed, deleted; each is connected to one source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import naming, rows, tuning
from headwater.control import options as settings_of
from headwater.control.catalog import Catalog, Entry, Kind
from headwater.control.changes import columns_of
from headwater.control.database import Row, changing, destinations
from headwater.control.models import Destination
from headwater.control.moments import moment, text_of
from headwater.control.secrets import SecretBox
from headwater.control.trial import prove
from headwater.delivery import address
from headwater.delivery.address import Policy
from headwater.errors import DeliveryError, ForbiddenUrlError, NotFoundError

_DESTINATIONS_MAX: Final = 1_000  # ours, a workspace: each has a reader of its own


class Destinations:
    """The destinations of all workspaces; each call names the workspace it acts in."""

    def __init__(
        self,
        engine: Engine,
        box: SecretBox,
        catalog: Catalog,
        clock: Clock,
        policy: Policy | None = None,
        log_end: Callable[[], int] | None = None,
    ) -> None:
        self._engine, self._box, self._catalog, self._clock = engine, box, catalog, clock
        self._policy, self._log_end = policy, log_end

    def all(self, workspace_id: str, source_id: str | None = None) -> list[Destination]:
        """Return the destinations of a workspace, or of one of its sources, oldest first."""
        with self._engine.connect() as connection:
            found = read_destinations(connection, self._box, self._catalog, workspace_id=workspace_id)
        return [destination for destination in found if source_id in {None, destination.source_id}]

    def get(self, workspace_id: str, destination_id: str) -> Destination:
        """Return one destination.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            row = rows.one(connection, destinations, workspace_id, destination_id)
            return _destination(row, self._box, self._catalog, reveal=False)

    def create(
        self,
        workspace_id: str,
        source_id: str,
        type_: str,
        *,
        name: str | None = None,
        enabled: bool = True,
        settings: Mapping[str, Any] | None = None,
        delivery: Mapping[str, Any] | None = None,
    ) -> Destination:
        """Connect a new destination to a source and return it; it gets what is accepted from now on.

        Args:
            workspace_id: where.
            source_id: id or slug of a source of this workspace.
            type_: id or slug of a catalog entry.
            name: what people see; None takes the catalog's.
            enabled: a disabled destination gets nothing.
            settings: of the type.
            delivery: pace and patience; see `tuning`.

        Raises:
            InvalidRequestError: name, settings or delivery are wrong.
            NotFoundError: the source or the type does not exist.
            ConflictError: the workspace has as many as it may have.
        """
        entry = self._catalog.find(Kind.DESTINATION, type_)
        values = self._checked(entry, settings or {}, None)
        tuned = tuning.checked(delivery or {})
        destination_id = naming.new_id()
        first_seq = None if self._log_end is None else self._log_end()  # before the row: nothing falls in between
        with changing(self._engine) as connection:
            row = {
                "id": destination_id,
                "workspace_id": workspace_id,
                "source_id": rows.source_id(connection, workspace_id, source_id),
                "type": entry.slug,
                "name": naming.checked_name(entry.name if name is None else name),
                "enabled": enabled,
                "settings": settings_of.sealed(entry.settings_class, destination_id, values, self._box),
                "created_at": text_of(self._clock()),
                "tuning": tuned,
                "first_seq": first_seq,
            }
            rows.room_for_one_more(connection, destinations, workspace_id, _DESTINATIONS_MAX)
            connection.execute(insert(destinations).values(row))
        return self.get(workspace_id, destination_id)

    def update(
        self,
        workspace_id: str,
        destination_id: str,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        delivery: Mapping[str, Any] | None = None,
    ) -> Destination:
        """Change what is not None and return the destination; settings that are not named stay.

        A member of `delivery` that is None goes back to the type's own.

        Raises:
            NotFoundError, InvalidRequestError: as in `create`.
        """
        destination = self.get(workspace_id, destination_id)
        entry = self._catalog.find(Kind.DESTINATION, destination.type)
        check = partial(self._checked, entry)
        with changing(self._engine) as connection:
            row = rows.one(connection, destinations, workspace_id, destination_id)
            change = columns_of(
                row, entry.settings_class, self._box, name=name, enabled=enabled, settings=settings, check=check
            )
            if delivery is not None:
                change["tuning"] = tuning.checked(delivery, row.tuning)
            if change:
                connection.execute(update(destinations).where(destinations.c.id == row.id).values(change))
        return self.get(workspace_id, destination_id)

    def delete(self, workspace_id: str, destination_id: str) -> None:
        """Delete a destination; what was still waiting for it is not delivered any more.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with changing(self._engine) as connection:
            row = rows.one(connection, destinations, workspace_id, destination_id)
            connection.execute(delete(destinations).where(destinations.c.id == row.id))

    def merged_settings(
        self, workspace_id: str, type_: str, given: Mapping[str, Any], destination_id: str | None = None
    ) -> dict[str, Any]:
        """Return checked settings with secrets open, to try them out; nothing is stored.

        Args:
            workspace_id: where.
            type_: id or slug of a catalog entry.
            given: what the form or the request has.
            destination_id: whose stored settings stand where `given` says nothing or `MASKED`.

        Raises:
            InvalidRequestError, NotFoundError: as in `create`.
        """
        entry = self._catalog.find(Kind.DESTINATION, type_)
        stored: Mapping[str, Any] | None = None
        if destination_id is not None:
            with self._engine.connect() as connection:
                row = rows.one(connection, destinations, workspace_id, destination_id)
                stored = settings_of.opened(entry.settings_class, row.id, row.settings, self._box)
        return self._checked(entry, given, stored)

    def _checked(self, entry: Entry, given: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
        values = settings_of.checked(entry.settings_class, given, stored)
        for name, value in values.items():
            if (name in {"url", "endpoint"} or name.endswith("_url")) and value:
                check_url(value, self._policy, f"settings.{name}")
        settings_of.keep_secrets_home(entry.settings_class, given, stored, values)
        prove(entry.module_name, values)
        return values


def check_url(url: str, policy: Policy | None, field: str) -> None:
    """Return when outgoing calls may have this URL; a name's addresses are judged at each call.

    Args:
        url: as the user wrote it.
        policy: what the operator allows; None judges the form only.
        field: for the error.

    Raises:
        ForbiddenUrlError: they may not; the message says why.
    """
    try:
        target = address.parse(url)
        if policy is not None and target.address is not None:
            policy.judge(target.address, target.port, plain=target.scheme == "http")
    except DeliveryError as error:
        raise ForbiddenUrlError(str(error), field=field) from error


def read_destinations(
    connection: Connection,
    box: SecretBox,
    catalog: Catalog,
    *,
    workspace_id: str | None = None,
    reveal: bool = False,
) -> list[Destination]:
    """Return the destinations of one workspace, or of all, oldest first; settings open or masked."""
    found = select(destinations).order_by(destinations.c.created_at, destinations.c.id)
    if workspace_id is not None:
        found = found.where(destinations.c.workspace_id == workspace_id)
    return [_destination(row, box, catalog, reveal=reveal) for row in connection.execute(found)]


def _destination(row: Row, box: SecretBox, catalog: Catalog, *, reveal: bool) -> Destination:
    settings: Mapping[str, Any] = {}
    enabled = row.enabled
    try:
        entry = catalog.find(Kind.DESTINATION, row.type)
    except NotFoundError:  # its type left the shelf: shown, without settings, and nothing is delivered
        enabled = False
    else:
        settings = settings_of.read(entry.settings_class, row, box, reveal=reveal)
    return Destination(
        id=row.id,
        workspace_id=row.workspace_id,
        source_id=row.source_id,
        type=row.type,
        name=row.name,
        enabled=enabled,
        created_at=moment(row.created_at),
        settings=settings,
        tuning=tuning.opened(row.tuning),
        first_seq=row.first_seq,
    )
