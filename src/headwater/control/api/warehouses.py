"""`/warehouses`: Segment's operations on warehouses, what is loaded into them, and their syncs."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.paging import Pager
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.models import Role, WarehouseEntry
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError


class CreateWarehouse(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /warehouses` takes."""

    metadataId: str  # noqa: N815 - Segment's spelling
    settings: dict[str, Any] = {}
    name: str | UnsetType = UNSET
    enabled: bool = True


class UpdateWarehouse(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /warehouses/{warehouseId}` takes; settings that are not named stay."""

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


class Sync(msgspec.Struct, forbid_unknown_fields=True):
    """What a sync takes: `wait` answers once everything accepted before the call is loaded."""

    wait: bool = False


class WarehouseOperations:
    """Everything under `/warehouses`."""

    def __init__(self, control: Control, pager: Pager, pipeline: Pipeline) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/warehouses/{warehouseId}"
        pair = f"{one}/connected-sources/{{sourceId}}"
        return [
            Operation("GET", "/warehouses", Role.READ_ONLY, self.list),
            Operation("POST", "/warehouses", Role.OWNER, self.create, CreateWarehouse),
            Operation("GET", one, Role.READ_ONLY, self.get),
            Operation("PATCH", one, Role.OWNER, self.update, UpdateWarehouse),
            Operation("DELETE", one, Role.OWNER, self.delete),
            Operation("GET", f"{one}/connected-sources", Role.READ_ONLY, self.sources),
            Operation("POST", pair, Role.MEMBER, self.connect),
            Operation("DELETE", pair, Role.MEMBER, self.disconnect),
            Operation("GET", f"{one}/syncs", Role.READ_ONLY, self.syncs),
            Operation("POST", f"{one}/sync", Role.MEMBER, self.sync, Sync),
            Operation("POST", "/sync", Role.MEMBER, self.sync_all, Sync),
            Operation("GET", "/syncs", Role.READ_ONLY, self.states),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of warehouses, oldest first."""
        found = self._control.warehouses.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "warehouses", found, position)
        return {"warehouses": [self._shape(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Add a warehouse; every source is connected to it."""
        wanted: CreateWarehouse = asked.body
        name, settings = _split(wanted.name, wanted.settings)
        made = self._control.warehouses.create(
            asked.caller.workspace_id, wanted.metadataId, name=name, enabled=wanted.enabled, settings=settings
        )
        return {"warehouse": self._shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one warehouse, by id or name."""
        return {"warehouse": self._shape(self._warehouse(asked))}

    def update(self, asked: Asked) -> Answer:
        """Change name, settings, or whether it is loaded."""
        wanted: UpdateWarehouse = asked.body
        refuse_empty(wanted)
        change = given(wanted)
        name, settings = _split(change.get("name", UNSET), change.get("settings", {}))
        changed = self._control.warehouses.update(
            asked.caller.workspace_id,
            asked.path["warehouseId"],
            name=name,
            enabled=change.get("enabled"),
            settings=settings or None,
        )
        return {"warehouse": self._shape(changed)}

    def delete(self, asked: Asked) -> Answer:
        """Take a warehouse out; its tables stay."""
        self._control.warehouses.delete(asked.caller.workspace_id, asked.path["warehouseId"])
        return {"status": "SUCCESS"}

    def sources(self, asked: Asked) -> Answer:
        """Return a page of the sources that are loaded into a warehouse."""
        entry = self._warehouse(asked)
        found = [each for each in self._control.sources.all(entry.workspace_id) if each.id in entry.source_ids]
        page, pagination = self._pager.page(asked, f"warehouses/{entry.id}/sources", found, position)
        shown = [shapes.source(each, self._control.catalog, asked.caller.role) for each in page]
        return {"sources": shown, "pagination": pagination}

    def connect(self, asked: Asked) -> Answer:
        """Load a source into a warehouse from now on."""
        self._control.warehouses.connect(asked.caller.workspace_id, asked.path["warehouseId"], asked.path["sourceId"])
        return {"status": "CONNECTED"}

    def disconnect(self, asked: Asked) -> Answer:
        """Stop loading a source into a warehouse; its rows stay."""
        self._control.warehouses.disconnect(
            asked.caller.workspace_id, asked.path["warehouseId"], asked.path["sourceId"]
        )
        return {"status": "SUCCESS"}

    async def syncs(self, asked: Asked) -> Answer:
        """Return the newest loads of a warehouse, in Segment's shape."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        found = await self._pipeline.syncs(entry.id, asked.whole("pagination.count", 50, 1, 1_000))
        return {"reports": found.get("syncs", []), "pagination": {"current": ""}}

    async def sync(self, asked: Asked) -> Answer:
        """Load what is waiting for one warehouse now."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        return await self._pipeline.sync(entry.id, wait=asked.body.wait)

    async def sync_all(self, asked: Asked) -> Answer:
        """Load what is waiting for all warehouses now."""
        return await self._pipeline.sync(None, wait=asked.body.wait)

    async def states(self, asked: Asked) -> Answer:
        """Return where every warehouse stands and the newest loads of all."""
        loads = await self._pipeline.syncs(None, asked.whole("pagination.count", 50, 1, 1_000))
        return {**await self._pipeline.warehouses(), "reports": loads.get("syncs", [])}

    def _warehouse(self, asked: Asked) -> WarehouseEntry:
        return self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])

    def _shape(self, entry: WarehouseEntry) -> shapes.Shape:
        return shapes.warehouse(entry, self._control.catalog)


def _split(name: str | UnsetType, settings: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return name and settings; Segment's own tools send the name as a member of the settings."""
    inner = settings.get("name")
    if inner is not None and not isinstance(inner, str):
        raise InvalidRequestError("name is text", field="settings.name")
    rest = {key: value for key, value in settings.items() if key != "name"}
    return (inner if isinstance(name, UnsetType) else name), rest
