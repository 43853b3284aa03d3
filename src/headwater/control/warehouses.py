"""Warehouses: made, listed, changed, deleted; and which sources are loaded into which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from headwater.clock import Clock
from headwater.control import loads, naming, rows, selection
from headwater.control import options as settings_of
from headwater.control.catalog import Catalog, Entry, Kind
from headwater.control.changes import columns_of
from headwater.control.database import Row, changing, sources, warehouse_sources, warehouses
from headwater.control.models import WarehouseEntry
from headwater.control.moments import moment, text_of
from headwater.control.secrets import SecretBox
from headwater.control.selection import Override
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.loading.rules import Rules
from headwater.loading.schedule import Schedule
from headwater.models import Models

_WAREHOUSES_MAX: Final = 20  # ours, a workspace: each is loaded on its own


class Warehouses:
    """The warehouses of all workspaces; each call names the workspace it acts in."""

    def __init__(self, engine: Engine, box: SecretBox, catalog: Catalog, clock: Clock) -> None:
        self._engine, self._box, self._catalog, self._clock = engine, box, catalog, clock

    def all(self, workspace_id: str) -> list[WarehouseEntry]:
        """Return the warehouses of a workspace, oldest first."""
        with self._engine.connect() as connection:
            return read_warehouses(connection, self._box, self._catalog, workspace_id=workspace_id)

    def get(self, workspace_id: str, warehouse_id: str) -> WarehouseEntry:
        """Return one warehouse, by its id or its name.

        Raises:
            NotFoundError: this workspace has none like it.
        """
        found = self.all(workspace_id)
        for warehouse in found:
            if warehouse.id == warehouse_id:
                return warehouse
        for warehouse in found:
            if warehouse.name == warehouse_id:
                return warehouse
        raise NotFoundError(f"There is no warehouse {warehouse_id[:60]!r}; GET /warehouses lists them.")

    def opened(self, warehouse_id: str) -> tuple[str, Mapping[str, Any]]:
        """Return the type and the settings of a warehouse, secrets open: for who asks or tries it.

        Raises:
            NotFoundError: there is none of this id.
        """
        with self._engine.connect() as connection:
            for each in read_warehouses(connection, self._box, self._catalog, reveal=True):
                if each.id == warehouse_id:
                    return each.type, each.settings
        raise NotFoundError("There is no such warehouse (any more).")

    def workspace_of(self, warehouse_id: str) -> str:
        """Return the id of the workspace of a warehouse, "" when there is none of this id any more."""
        with self._engine.connect() as connection:
            found = select(warehouses.c.workspace_id).where(warehouses.c.id == warehouse_id)
            return str(connection.execute(found).scalar() or "")

    def create(
        self,
        workspace_id: str,
        type_: str,
        *,
        name: str | None = None,
        enabled: bool = True,
        settings: Mapping[str, Any] | None = None,
        loading: Mapping[str, Any] | None = None,
    ) -> WarehouseEntry:
        """Add a warehouse, connect every source of the workspace to it and return it.

        Args:
            workspace_id: where.
            type_: id or slug of a catalog entry.
            name: what people see; None takes the catalog's.
            enabled: a disabled warehouse is not loaded; what it misses is loaded once it is enabled.
            settings: of the type.
            loading: `rules`, `schedule`, `models` and `keepDays`; see `loads`.

        Raises:
            InvalidRequestError: name, settings or how it is loaded are wrong.
            NotFoundError: the catalog has no such type.
            ConflictError: the workspace has as many as it may have, or one of this name.
        """
        entry = self._catalog.find(Kind.WAREHOUSE, type_)
        values = _checked(entry, settings or {}, None)
        warehouse_id = naming.new_id()
        row = {
            "id": warehouse_id,
            "workspace_id": workspace_id,
            "type": entry.slug,
            "name": naming.checked_name(entry.name if name is None else name),
            "enabled": enabled,
            "settings": settings_of.sealed(entry.settings_class, warehouse_id, values, self._box),
            "created_at": text_of(self._clock()),
            **loads.columns_of(loading or {}, entry.slug),
        }
        with changing(self._engine) as connection:
            rows.room_for_one_more(connection, warehouses, workspace_id, _WAREHOUSES_MAX)
            connection.execute(insert(warehouses).values(row))
            _join_all_sources(connection, workspace_id, warehouse_id)
        return self.get(workspace_id, warehouse_id)

    def update(
        self,
        workspace_id: str,
        warehouse_id: str,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        loading: Mapping[str, Any] | None = None,
    ) -> WarehouseEntry:
        """Change what is not None and return the warehouse; settings and members of `loading` not named stay.

        Raises:
            NotFoundError, InvalidRequestError: as in `create`.
        """
        warehouse = self.get(workspace_id, warehouse_id)
        entry = self._catalog.find(Kind.WAREHOUSE, warehouse.type)
        check = partial(_checked, entry)
        with changing(self._engine) as connection:
            row = rows.one(connection, warehouses, workspace_id, warehouse.id)
            change = columns_of(
                row, entry.settings_class, self._box, name=name, enabled=enabled, settings=settings, check=check
            )
            change |= loads.columns_of(loading or {}, entry.slug, row)
            if change:
                connection.execute(update(warehouses).where(warehouses.c.id == row.id).values(change))
        return self.get(workspace_id, warehouse.id)

    def delete(self, workspace_id: str, warehouse_id: str) -> None:
        """Take a warehouse out of Headwater; its tables stay as they are.

        Raises:
            NotFoundError: this workspace has none of this id.
        """
        warehouse = self.get(workspace_id, warehouse_id)
        with changing(self._engine) as connection:
            row = rows.one(connection, warehouses, workspace_id, warehouse.id)
            connection.execute(delete(warehouses).where(warehouses.c.id == row.id))

    def connect(self, workspace_id: str, warehouse_id: str, source_id: str) -> WarehouseEntry:
        """Load this source into this warehouse from now on; connecting twice changes nothing.

        Raises:
            NotFoundError: one of the two does not exist in this workspace.
        """
        warehouse = self.get(workspace_id, warehouse_id)
        with changing(self._engine) as connection:
            pair = _pair(connection, workspace_id, warehouse.id, source_id)
            if pair["source_id"] not in warehouse.source_ids:
                connection.execute(insert(warehouse_sources).prefix_with("or ignore").values(pair))
        return self.get(workspace_id, warehouse.id)

    def disconnect(self, workspace_id: str, warehouse_id: str, source_id: str) -> WarehouseEntry:
        """Stop loading this source into this warehouse; the rows that are there stay.

        Raises:
            NotFoundError: one of the two does not exist, or they are not connected.
        """
        warehouse = self.get(workspace_id, warehouse_id)
        with changing(self._engine) as connection:
            pair = _pair(connection, workspace_id, warehouse.id, source_id)
            if pair["source_id"] not in warehouse.source_ids:
                raise NotFoundError("This source is not connected to this warehouse.")
            connection.execute(delete(warehouse_sources).filter_by(**pair))
        return self.get(workspace_id, warehouse.id)

    def select(self, workspace_id: str, warehouse_id: str, overrides: Sequence[Override]) -> bool:
        """Choose what of the sources is loaded from now on, all of it or nothing; return whether anything changed.

        An override without a collection connects or disconnects the whole source. Rows that are there stay.

        Raises:
            NotFoundError: the warehouse or a source does not exist in this workspace.
            InvalidRequestError: something of it cannot be left out; `field` says where.
            ConflictError: the warehouse would leave out more than it may.
        """
        warehouse = self.get(workspace_id, warehouse_id)
        with changing(self._engine) as connection:
            joined = set(warehouse.source_ids)
            wanted: list[Override] = []
            for at, each in enumerate(overrides):
                pair = _pair(connection, workspace_id, warehouse.id, each.source_id)
                named = replace(each, source_id=pair["source_id"])
                checked = selection.checked(named, f"syncOverrides[{at}]", warehouse.type)
                if checked.collection:
                    wanted.append(checked)
                elif checked.enabled:
                    joined.add(checked.source_id)
                else:
                    joined.discard(checked.source_id)
            has_moved = _join(connection, warehouse, joined)
            return selection.apply(connection, warehouse.id, wanted) or has_moved

    def merged_settings(
        self, workspace_id: str, type_: str, given: Mapping[str, Any], warehouse_id: str | None = None
    ) -> dict[str, Any]:
        """Return checked settings with secrets open, to try them out; nothing is stored.

        Args:
            workspace_id: where.
            type_: id or slug of a catalog entry.
            given: what the form or the request has.
            warehouse_id: whose stored settings stand where `given` says nothing or `MASKED`.

        Raises:
            InvalidRequestError, NotFoundError: as in `create`.
        """
        entry = self._catalog.find(Kind.WAREHOUSE, type_)
        if warehouse_id is None:
            return _checked(entry, given, None)
        stored_type, stored = self.opened(self.get(workspace_id, warehouse_id).id)
        if stored_type != entry.slug:
            raise InvalidRequestError(f"this warehouse is of the type {stored_type}", field="metadataId")
        return _checked(entry, given, stored)


def _checked(entry: Entry, given: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    values = settings_of.checked(entry.settings_class, given, stored)
    settings_of.keep_secrets_home(entry.settings_class, given, stored, values)
    settings_of.refuse_metadata(entry.settings_class, values)
    return values


def read_warehouses(
    connection: Connection,
    box: SecretBox,
    catalog: Catalog,
    *,
    workspace_id: str | None = None,
    reveal: bool = False,
) -> list[WarehouseEntry]:
    """Return the warehouses of one workspace, or of all, oldest first; settings open or masked."""
    joined: dict[str, list[str]] = {}
    pairs = (
        select(warehouse_sources)
        .join(sources, sources.c.id == warehouse_sources.c.source_id)
        .order_by(sources.c.created_at, sources.c.id)
    )
    for pair in connection.execute(pairs):
        joined.setdefault(pair.warehouse_id, []).append(pair.source_id)
    excluded = selection.read(connection)
    found = select(warehouses).order_by(warehouses.c.created_at, warehouses.c.id)
    if workspace_id is not None:
        found = found.where(warehouses.c.workspace_id == workspace_id)
    return [
        replace(
            _warehouse(row, box, catalog, reveal=reveal),
            source_ids=tuple(joined.get(row.id, ())),
            excluded=excluded.get(row.id, frozenset()),
        )
        for row in connection.execute(found)
    ]


def _warehouse(row: Row, box: SecretBox, catalog: Catalog, *, reveal: bool) -> WarehouseEntry:
    settings: Mapping[str, Any] = {}
    enabled = row.enabled
    try:
        entry = catalog.find(Kind.WAREHOUSE, row.type)
    except NotFoundError:  # its type left the shelf: shown, without settings, and nothing is loaded
        enabled = False
    else:
        settings = settings_of.read(entry.settings_class, row, box, reveal=reveal)
    return WarehouseEntry(
        id=row.id,
        workspace_id=row.workspace_id,
        type=row.type,
        name=row.name,
        enabled=enabled,
        created_at=moment(row.created_at),
        settings=settings,
        rules=loads.opened(Rules, row.rules),
        schedule=loads.opened(Schedule, row.schedule),
        keep_days=row.keep_days,
        models=loads.opened(Models, row.models),
    )


def _pair(connection: Connection, workspace_id: str, warehouse_id: str, source_id: str) -> dict[str, str]:
    row = rows.one(connection, warehouses, workspace_id, warehouse_id)
    return {"warehouse_id": row.id, "source_id": rows.source_id(connection, workspace_id, source_id)}


def _join(connection: Connection, warehouse: WarehouseEntry, source_ids: AbstractSet[str]) -> bool:
    """Connect exactly these sources; return whether that changes anything."""
    present = set(warehouse.source_ids)
    for gone in present - source_ids:
        connection.execute(delete(warehouse_sources).filter_by(warehouse_id=warehouse.id, source_id=gone))
    if added := [{"warehouse_id": warehouse.id, "source_id": each} for each in source_ids - present]:
        connection.execute(insert(warehouse_sources).prefix_with("or ignore"), added)
    return present != source_ids


def _join_all_sources(connection: Connection, workspace_id: str, warehouse_id: str) -> None:
    ids = connection.execute(select(sources.c.id).where(sources.c.workspace_id == workspace_id)).scalars().all()
    if ids:
        connection.execute(
            insert(warehouse_sources), [{"warehouse_id": warehouse_id, "source_id": each} for each in ids]
        )
