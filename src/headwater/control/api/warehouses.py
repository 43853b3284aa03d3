"""`/warehouses`: Segment's operations on warehouses, whether they can be reached, and what is loaded into them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control import loads
from headwater.control.api import shapes
from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import warehouses as models
from headwater.control.api.models.sources import Sources
from headwater.control.api.paging import Pager
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.catalog import Kind
from headwater.control.models import Role, WarehouseEntry
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

_LOADING: Final = ("rules", "schedule", "models", "keepDays")


class CreateWarehouse(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /warehouses` takes; `rules` may be `{"preset": "segment"}`."""

    metadataId: str  # noqa: N815 - Segment's spelling
    settings: dict[str, Any] = {}
    name: str | UnsetType = UNSET
    enabled: bool = True
    rules: dict[str, Any] | UnsetType = UNSET
    schedule: dict[str, Any] | UnsetType = UNSET
    models: dict[str, Any] | UnsetType = UNSET
    keepDays: int | UnsetType | None = UNSET  # noqa: N815


class UpdateWarehouse(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /warehouses/{warehouseId}` takes; settings and members of objects that are not named stay.

    `keepDays` null keeps all rows.
    """

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    rules: dict[str, Any] | UnsetType = UNSET
    schedule: dict[str, Any] | UnsetType = UNSET
    models: dict[str, Any] | UnsetType = UNSET
    keepDays: int | UnsetType | None = UNSET  # noqa: N815


class Validation(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /warehouses/validation` takes; with `warehouseId`, stored settings stand where none are given."""

    metadataId: str  # noqa: N815
    settings: dict[str, Any] = {}
    warehouseId: str | UnsetType = UNSET  # noqa: N815


class RulesChange(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /warehouses/{warehouseId}/rules` takes: a whole set by name, single ones, or both."""

    preset: str | UnsetType = UNSET
    conflicts: str | UnsetType = UNSET
    stringCharsMax: int | UnsetType | None = UNSET  # noqa: N815
    arrays: str | UnsetType = UNSET
    reserved: str | UnsetType = UNSET
    caps: bool | UnsetType = UNSET


class WarehouseOperations:
    """Everything under `/warehouses`."""

    def __init__(self, control: Control, pager: Pager, pipeline: Pipeline) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/warehouses/{warehouseId}"
        pair = f"{one}/connected-sources/{{sourceId}}"
        return [
            Operation("GET", "/warehouses", Role.READ_ONLY, self.list, answer=models.Warehouses, paged=True),
            Operation("POST", "/warehouses", Role.OWNER, self.create, CreateWarehouse, answer=models.OneWarehouse),
            Operation(
                "POST",
                "/warehouses/validation",
                Role.OWNER,
                self.validate,
                Validation,
                answer=models.Validated,
                cost=TRIAL,
            ),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneWarehouse),
            Operation("PATCH", one, Role.OWNER, self.update, UpdateWarehouse, answer=models.OneWarehouse),
            Operation("DELETE", one, Role.OWNER, self.delete, answer=Done),
            Operation("GET", f"{one}/connected-sources", Role.READ_ONLY, self.sources, answer=Sources, paged=True),
            Operation("POST", pair, Role.MEMBER, self.connect, answer=Done),
            Operation("DELETE", pair, Role.MEMBER, self.disconnect, answer=Done),
            Operation("GET", f"{one}/connection-state", Role.MEMBER, self.state, answer=models.Reachable, cost=TRIAL),
            Operation("GET", f"{one}/rules", Role.READ_ONLY, self.rules, answer=models.RulesAndPresets),
            Operation("PATCH", f"{one}/rules", Role.OWNER, self.update_rules, RulesChange, answer=models.Rules),
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
            asked.caller.workspace_id,
            wanted.metadataId,
            name=name,
            enabled=wanted.enabled,
            settings=settings,
            loading=_loading(given(wanted)),
        )
        return {"warehouse": self._shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one warehouse, by id or name."""
        return {"warehouse": self._shape(self._warehouse(asked))}

    def update(self, asked: Asked) -> Answer:
        """Change name, settings, how it is loaded, or whether."""
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
            loading=_loading(change),
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
        shown = [shapes.source(each, self._control.catalog, asked.caller) for each in page]
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

    async def validate(self, asked: Asked) -> Answer:
        """Try settings out, nothing is stored or written: Segment's status, and a sentence that says why."""
        wanted: Validation = asked.body
        _, settings = _split(UNSET, wanted.settings)
        warehouse_id = None if isinstance(wanted.warehouseId, UnsetType) else wanted.warehouseId
        return await self._tried(asked, wanted.metadataId, settings, warehouse_id, "status")

    async def state(self, asked: Asked) -> Answer:
        """Try the stored settings of a warehouse: Segment's state, and a sentence that says why."""
        entry = await asyncio.to_thread(self._warehouse, asked)
        return await self._tried(asked, entry.type, {}, entry.id, "connectionState")

    def rules(self, asked: Asked) -> Answer:
        """Return the rules of a warehouse, and the sets that there are by name."""
        presets = {name: loads.shape(preset) for name, preset in loads.PRESETS.items()}
        return {"rules": shapes.rules(self._warehouse(asked).rules), "presets": presets}

    def update_rules(self, asked: Asked) -> Answer:
        """Change the rules of a warehouse, for what is loaded from now on."""
        refuse_empty(asked.body)
        changed = self._control.warehouses.update(
            asked.caller.workspace_id, asked.path["warehouseId"], loading={"rules": given(asked.body)}
        )
        return {"rules": shapes.rules(changed.rules)}

    async def _tried(
        self, asked: Asked, type_: str, settings: dict[str, Any], warehouse_id: str | None, member: str
    ) -> Answer:
        opened = await asyncio.to_thread(
            self._control.warehouses.merged_settings, asked.caller.workspace_id, type_, settings, warehouse_id
        )
        entry = self._control.catalog.find(Kind.WAREHOUSE, type_)
        found = await self._pipeline.test_warehouse(entry.module_name, opened)
        return {member: "CONNECTED" if found["ok"] else "FAILED", "message": found["message"]}

    def _warehouse(self, asked: Asked) -> WarehouseEntry:
        return self._control.warehouses.get(asked.caller.workspace_id, asked.path["warehouseId"])

    def _shape(self, entry: WarehouseEntry) -> shapes.Shape:
        return shapes.warehouse(entry, self._control.catalog)


def _loading(named: dict[str, Any]) -> dict[str, Any]:
    return {name: named[name] for name in _LOADING if name in named}


def _split(name: str | UnsetType, settings: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return name and settings; Segment's own tools send the name as a member of the settings."""
    inner = settings.get("name")
    if inner is not None and not isinstance(inner, str):
        raise InvalidRequestError("name is text", field="settings.name")
    rest = {key: value for key, value in settings.items() if key != "name"}
    return (inner if isinstance(name, UnsetType) else name), rest
