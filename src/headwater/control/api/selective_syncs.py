"""Selective sync in Segment's shapes: which collections and properties of a source are loaded into a warehouse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from headwater.control import selection
from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import warehouses as models
from headwater.control.api.paging import Pager
from headwater.control.asking import Asking
from headwater.control.models import Role, Source, WarehouseEntry
from headwater.control.selection import Override
from headwater.control.service import Control
from headwater.errors import InvalidRequestError, NotFoundError, QueryError
from headwater.loading.selection import Excluded

_Columns = dict[str, tuple[str, ...]]
"""Columns by table."""


class SyncOverride(msgspec.Struct, forbid_unknown_fields=True):
    """One change; without `collection` it is the whole source, without `property` the whole collection."""

    sourceId: str  # noqa: N815 - Segment's spelling
    enabled: bool
    collection: str = ""
    property: str = ""


class UpdateSelectiveSync(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /warehouses/{warehouseId}/selective-sync` takes."""

    syncOverrides: list[SyncOverride]  # noqa: N815


class SelectiveSyncOperations:
    """What of a source is loaded."""

    def __init__(self, control: Control, pager: Pager, asking: Asking) -> None:
        self._control, self._pager, self._asking = control, pager, asking

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/warehouses/{warehouseId}"
        listed = f"{one}/connected-sources/{{sourceId}}/selective-syncs"
        return [
            Operation("GET", listed, Role.READ_ONLY, self.all, answer=models.SelectiveSyncs, paged=True),
            Operation("GET", f"{one}/left-out", Role.READ_ONLY, self.left_out, answer=models.LeftOut, paged=True),
            Operation(
                "PATCH", f"{one}/selective-sync", Role.OWNER, self.update, UpdateSelectiveSync, answer=models.Selected
            ),
        ]

    def all(self, asked: Asked) -> Answer:
        """Return a page of what the warehouse has of a source, and of what is left out of it, by name.

        `warnings` says why, when the warehouse could not be asked what it has.
        """
        entry = self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])
        source = self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])
        if source.id not in entry.source_ids:
            raise NotFoundError("This source is not connected to this warehouse.")
        there, warnings = self._there(entry.id, [source])
        items = _items(entry, source, there.get(source.id, {}))
        name = f"warehouses/{entry.id}/selective-syncs/{source.id}"
        page, pagination = self._pager.page(asked, name, items, lambda item: str(item["collection"]))
        return {"items": page, "pagination": pagination, "warnings": warnings}

    def left_out(self, asked: Asked) -> Answer:
        """Return a page of what is left out of a warehouse, of all sources; the warehouse is not asked. Ours alone."""
        entry = self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])
        found = sorted(entry.excluded, key=_place)
        page, pagination = self._pager.page(asked, f"warehouses/{entry.id}/left-out", found, _place)
        told = [{"sourceId": each.source_id, "collection": each.collection, "property": each.property} for each in page]
        return {"items": told, "pagination": pagination}

    def update(self, asked: Asked) -> Answer:
        """Choose what is loaded from now on; rows that are there stay. `warnings` names what nobody has seen yet."""
        wanted: UpdateSelectiveSync = asked.body
        if not 1 <= len(wanted.syncOverrides) <= selection.OVERRIDES_MAX:
            told = f"syncOverrides has 1 to {selection.OVERRIDES_MAX:,} members"
            raise InvalidRequestError(told, field="syncOverrides")
        workspace_id = asked.caller.workspace_id
        overrides = [
            Override(each.sourceId, each.collection, each.property, each.enabled) for each in wanted.syncOverrides
        ]
        entry = self._control.warehouses.get(workspace_id, asked.path["warehouseId"])
        before = entry.excluded
        changed = self._control.warehouses.select(workspace_id, entry.id, overrides)
        after = self._control.warehouses.get(workspace_id, entry.id).excluded
        warnings = self._unseen(workspace_id, entry.id, after - before) if after - before else []
        return {"status": "UPDATED" if changed else "UNCHANGED", "warnings": warnings}

    def _unseen(self, workspace_id: str, warehouse_id: str, added: Iterable[Excluded]) -> list[str]:
        """Return a sentence for each choice that nothing in the warehouse goes by: it may be mistyped."""
        sources = self._control.sources.all(workspace_id)
        there, warnings = self._there(warehouse_id, sources)
        if warnings:
            return warnings
        told = []
        for each in sorted(added, key=lambda each: (each.collection, each.property)):
            columns = there.get(each.source_id, {}).get(each.collection)
            if columns is None:
                told.append(f"The warehouse has no collection {each.collection} yet; it will be left out.")
            elif each.property and each.property not in columns:
                told.append(f"{each.collection} has no property {each.property} yet; it will be left out.")
        return told

    def _there(self, warehouse_id: str, sources: Iterable[Source]) -> tuple[dict[str, _Columns], list[str]]:
        """Return what the warehouse has of each source, and why that could not be found out."""
        try:
            tables = self._asking.catalog(warehouse_id)
        except QueryError as error:
            return {}, [str(error)]
        ids = {source.schema_name: source.id for source in sources}
        there: dict[str, _Columns] = {}
        for table in tables:
            if table.schema in ids and table.name not in selection.DERIVED:
                names = tuple(name for name, _ in table.columns)
                there.setdefault(ids[table.schema], {})[table.name] = names
        return there, []


def _place(excluded: Excluded) -> str:
    return f"{excluded.source_id}\0{excluded.collection}\0{excluded.property}"


def _items(entry: WarehouseEntry, source: Source, there: _Columns) -> list[dict[str, Any]]:
    """Return each collection that is there or left out, by name."""
    mine = [each for each in entry.excluded if each.source_id == source.id]
    out = {each.collection for each in mine if not each.property}
    properties: dict[str, set[str]] = {}
    for each in mine:
        if each.property:
            properties.setdefault(each.collection, set()).add(each.property)
    return [
        {
            "sourceId": source.id,
            "collection": collection,
            "warehouseId": entry.id,
            "enabled": collection not in out,
            "properties": _properties(collection, there.get(collection, ()), properties.get(collection, set())),
        }
        for collection in sorted({*there, *out, *properties})
    ]


def _properties(collection: str, there: Iterable[str], out: set[str]) -> dict[str, dict[str, bool]]:
    """Return the columns of a collection: whether each is loaded, and whether it has to be."""
    needed = selection.required(collection)
    names = dict.fromkeys([*there, *sorted(out)])
    return {name: {"enabled": name not in out, "required": name in needed} for name in names}
