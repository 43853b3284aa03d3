"""Sources: made, listed, changed, deleted; their write keys and webhook secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from headwater.clock import Clock
from headwater.control import naming, rows, webhook_secrets
from headwater.control import options as settings_of
from headwater.control.catalog import Catalog, Kind
from headwater.control.changes import columns_of
from headwater.control.database import (
    Row,
    changing,
    sources,
    warehouse_sources,
    warehouses,
    workspaces,
    write_keys,
)
from headwater.control.labels.labels import read_labels
from headwater.control.models import DeletedSource, Source
from headwater.control.moments import moment, text_of
from headwater.control.privacy.tables import deleted_sources
from headwater.control.secrets import SecretBox
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.limits import MIB

_WRITE_KEYS_MAX: Final = 20  # ours
_SOURCES_MAX: Final = 1_000  # ours: a snapshot holds all of them
RETENTION_DAYS_MAX: Final = 36_500  # ours: as of the installation's own setting
RETENTION_BYTES_MIN: Final = MIB  # ours: what is kept is told by segments, so that less means nothing
RETENTION_BYTES_MAX: Final = 2**50  # ours: more than any disk under a log
_CAMEL: Final = {"retention_days": "retentionDays", "retention_bytes": "retentionBytes"}


class Sources:
    """The sources of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, box: SecretBox, catalog: Catalog, clock: Clock) -> None:
        self._engine, self._box, self._catalog, self._clock = engine, box, catalog, clock

    def all(self, workspace_id: str) -> list[Source]:
        """Return the sources of a workspace, oldest first."""
        with self._engine.connect() as connection:
            return read_sources(connection, self._box, self._catalog, workspace_id=workspace_id)

    def get(self, workspace_id: str, source_id: str) -> Source:
        """Return one source, by its id or its slug.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        with self._engine.connect() as connection:
            found = rows.source_id(connection, workspace_id, source_id)
            (source,) = read_sources(connection, self._box, self._catalog, workspace_id=workspace_id, source_id=found)
        return source

    def create(
        self,
        workspace_id: str,
        slug: str,
        type_: str,
        *,
        name: str | None = None,
        enabled: bool = True,
        settings: Mapping[str, Any] | None = None,
        join_warehouses: bool = True,
    ) -> Source:
        """Make a source with one write key, join it to every warehouse of the workspace and return it.

        Args:
            workspace_id: where.
            slug: its name in addresses and, `-` read as `_`, its warehouse schema; fixed.
            type_: id or slug of a catalog entry.
            name: what people see; None takes the slug.
            enabled: a disabled source refuses what is sent to it.
            settings: of the type.
            join_warehouses: False leaves it out of every warehouse.

        Raises:
            InvalidRequestError: slug, name or settings are wrong.
            NotFoundError: the catalog has no such type.
            ForbiddenError: the type cannot be connected in this workspace's region.
            ConflictError: the slug, or the schema it gives, is taken.
        """
        entry = self._catalog.find(Kind.SOURCE, type_)
        naming.checked_slug(slug)
        values = settings_of.checked(entry.settings_class, settings or {})
        source_id, created_at = naming.new_id(), text_of(self._clock())
        secret = webhook_secrets.made(source_id, self._box) if entry.webhooks else {"webhook_secret": ""}
        row = secret | {
            "id": source_id,
            "workspace_id": workspace_id,
            "slug": slug,
            "schema_name": naming.schema_name(slug),
            "name": naming.checked_name(slug if name is None else name),
            "type": entry.slug,
            "enabled": enabled,
            "settings": settings_of.sealed(entry.settings_class, source_id, values, self._box),
            "created_at": created_at,
        }
        try:
            with changing(self._engine) as connection:
                self._catalog.admit(entry, _region(connection, workspace_id))
                rows.room_for_one_more(connection, sources, workspace_id, _SOURCES_MAX)
                connection.execute(insert(sources).values(row))
                _add_key(connection, source_id, created_at)
                if join_warehouses:
                    _join_all_warehouses(connection, workspace_id, source_id)
        except IntegrityError as error:
            raise ConflictError(
                f"The slug {slug} (schema {naming.schema_name(slug)}) is taken; choose another."
            ) from error
        return self.get(workspace_id, source_id)

    def update(
        self,
        workspace_id: str,
        source_id: str,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        retention: Mapping[str, int | None] | None = None,
    ) -> Source:
        """Change what is not None and return the source.

        Args:
            workspace_id: where.
            source_id: its id or slug.
            name: what people see.
            enabled: whether it accepts anything.
            settings: of the type; those that are not named stay.
            retention: `retention_days` and `retention_bytes`, in it None for no limit of its own; as above.

        Raises:
            NotFoundError, InvalidRequestError: as in `create`.
        """
        source = self.get(workspace_id, source_id)
        entry = self._catalog.find(Kind.SOURCE, source.type)
        with changing(self._engine) as connection:
            row = rows.one(connection, sources, workspace_id, source.id)
            change = columns_of(row, entry.settings_class, self._box, name=name, enabled=enabled, settings=settings)
            change |= _checked_retention(retention or {})
            if change:
                connection.execute(update(sources).where(sources.c.id == source.id).values(change))
        return self.get(workspace_id, source.id)

    def delete(self, workspace_id: str, source_id: str) -> None:
        """Delete a source with its keys and destinations; stored events and warehouse tables stay, and whose they are.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        source = self.get(workspace_id, source_id)
        with changing(self._engine) as connection:
            rows.one(connection, sources, workspace_id, source.id)
            connection.execute(delete(sources).where(sources.c.id == source.id))
            gone = {"id": source.id, "workspace_id": workspace_id, "slug": source.slug}
            connection.execute(insert(deleted_sources).values(**gone, schema_name=source.schema_name))

    def deleted(self, workspace_id: str) -> list[DeletedSource]:
        """Return the sources of a workspace that were deleted."""
        with self._engine.connect() as connection:
            return [each for each in read_deleted(connection) if each.workspace_id == workspace_id]

    def add_write_key(self, workspace_id: str, source_id: str) -> Source:
        """Add a further write key, for rotation, and return the source.

        Raises:
            NotFoundError: this workspace has none of this id.
            ConflictError: it has as many as it may have.
        """
        source = self.get(workspace_id, source_id)
        with changing(self._engine) as connection:
            rows.one(connection, sources, workspace_id, source.id)
            if len(_keys(connection, source.id)) >= _WRITE_KEYS_MAX:
                raise ConflictError(f"A source has at most {_WRITE_KEYS_MAX} write keys; delete one first.")
            _add_key(connection, source.id, text_of(self._clock()))
        return self.get(workspace_id, source.id)

    def remove_write_key(self, workspace_id: str, source_id: str, write_key: str) -> Source:
        """Take a write key away and return the source; what is sent with it is refused from now on.

        Raises:
            NotFoundError: the source or the key is unknown.
            ConflictError: it is the last one.
        """
        source = self.get(workspace_id, source_id)
        with changing(self._engine) as connection:
            keys = _keys(connection, source.id)
            if write_key not in keys:
                raise NotFoundError("This source has no such write key.")
            if len(keys) == 1:
                raise ConflictError("A source keeps at least one write key; add another first, or disable the source.")
            connection.execute(delete(write_keys).where(write_keys.c.write_key == write_key))
        return self.get(workspace_id, source.id)

    def rotate_webhook_secret(self, workspace_id: str, source_id: str, *, at_once: bool = False) -> Source:
        """Give the source a new webhook address and return it; the present one works on for a day.

        Args:
            workspace_id: where.
            source_id: its id or slug.
            at_once: refuse the present address from now on, because somebody else may know it.

        Raises:
            NotFoundError: the source is unknown.
            InvalidRequestError: it receives no webhooks.
        """
        source = self.get(workspace_id, source_id)
        with changing(self._engine) as connection:
            row = rows.one(connection, sources, workspace_id, source.id)
            if not row.webhook_secret:
                raise InvalidRequestError(f"{source.name} receives no webhooks", field="sourceId")
            change = webhook_secrets.changed(row, self._box, self._clock(), at_once=at_once)
            connection.execute(update(sources).where(sources.c.id == source.id).values(change))
        return self.get(workspace_id, source.id)


def read_deleted(connection: Connection) -> list[DeletedSource]:
    """Return the deleted sources of all workspaces."""
    rows_ = connection.execute(select(deleted_sources).order_by(deleted_sources.c.id))
    return [DeletedSource(row.id, row.workspace_id, row.slug, row.schema_name) for row in rows_]


def read_sources(
    connection: Connection,
    box: SecretBox,
    catalog: Catalog,
    *,
    workspace_id: str | None = None,
    source_id: str | None = None,
    reveal: bool = False,
) -> list[Source]:
    """Return the sources of one workspace, or of all, oldest first.

    Args:
        connection: in a transaction, so that all of it is one state.
        box: opens the webhook secrets.
        catalog: knows the types.
        workspace_id: None for all.
        source_id: only this one.
        reveal: with secrets, for the engines; otherwise masked.
    """
    keys: dict[str, list[str]] = {}
    wanted = select(write_keys).order_by(write_keys.c.created_at, write_keys.c.write_key)
    if source_id is not None:
        wanted = wanted.where(write_keys.c.source_id == source_id)
    for key in connection.execute(wanted):
        keys.setdefault(key.source_id, []).append(key.write_key)
    found = (
        select(sources, workspaces.c.region)
        .join(workspaces, workspaces.c.id == sources.c.workspace_id)
        .order_by(sources.c.created_at, sources.c.id)
    )
    if workspace_id is not None:
        found = found.where(sources.c.workspace_id == workspace_id)
    if source_id is not None:
        found = found.where(sources.c.id == source_id)
    labels = read_labels(connection, workspace_id, source_id)
    return [
        replace(_source(row, keys.get(row.id, []), box, catalog, reveal=reveal), labels=tuple(labels.get(row.id, ())))
        for row in connection.execute(found)
    ]


def _source(row: Row, keys: Sequence[str], box: SecretBox, catalog: Catalog, *, reveal: bool) -> Source:
    settings: Mapping[str, Any] = {}
    try:
        entry = catalog.find(Kind.SOURCE, row.type)
    except NotFoundError:  # its type left the shelf: shown, without settings, and refused at the door
        allowed = False
    else:
        allowed = row.region in entry.regions
        settings = settings_of.read(entry.settings_class, row, box, reveal=reveal)
    return Source(
        id=row.id,
        workspace_id=row.workspace_id,
        slug=row.slug,
        name=row.name,
        type=row.type,
        schema_name=row.schema_name,
        enabled=row.enabled,
        write_keys=tuple(keys),
        created_at=moment(row.created_at),
        settings=settings,
        region_allowed=allowed,
        retention_days=row.retention_days,
        retention_bytes=row.retention_bytes,
        **webhook_secrets.read(row, box),
    )


def _checked_retention(wanted: Mapping[str, int | None]) -> dict[str, int | None]:
    bounds = {
        "retention_days": (1, RETENTION_DAYS_MAX, "days"),
        "retention_bytes": (RETENTION_BYTES_MIN, RETENTION_BYTES_MAX, "bytes"),
    }
    for name, value in wanted.items():
        least, most, unit = bounds[name]
        if value is not None and not least <= value <= most:
            told = f"{least:,} to {most:,} {unit}, or null to keep events as long as the installation does"
            raise InvalidRequestError(f"a source keeps its events for {told}", field=_CAMEL[name])
    return dict(wanted)


def _region(connection: Connection, workspace_id: str) -> str:
    region = connection.execute(select(workspaces.c.region).where(workspaces.c.id == workspace_id)).scalar_one_or_none()
    if region is None:
        raise NotFoundError("There is no such workspace.")
    return str(region)


def _keys(connection: Connection, source_id: str) -> list[str]:
    return list(connection.execute(select(write_keys.c.write_key).where(write_keys.c.source_id == source_id)).scalars())


def _add_key(connection: Connection, source_id: str, created_at: str) -> None:
    row = {"write_key": naming.new_write_key(), "source_id": source_id, "created_at": created_at}
    connection.execute(insert(write_keys).values(row))


def _join_all_warehouses(connection: Connection, workspace_id: str, source_id: str) -> None:
    ids = connection.execute(select(warehouses.c.id).where(warehouses.c.workspace_id == workspace_id)).scalars().all()
    if ids:
        connection.execute(insert(warehouse_sources), [{"warehouse_id": each, "source_id": source_id} for each in ids])
