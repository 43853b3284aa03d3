"""`/insert-function-instances`: Segment's operations on functions that stand before a destination."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import functions as models
from headwater.control.api.paging import Pager
from headwater.control.api.shapes import Shape
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.models import InsertEntry, Role
from headwater.control.moments import text_of
from headwater.control.service import Control

_FUNCTION: Final = Query("functionId", "Only instances of this function.")


class CreateInstance(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /insert-function-instances` takes; `integrationId` is the destination's id."""

    functionId: str  # noqa: N815 - Segment's spelling
    integrationId: str  # noqa: N815
    name: str
    settings: dict[str, Any] = {}
    enabled: bool = False


class UpdateInstance(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /insert-function-instances/{instanceId}` takes; settings that are not named stay."""

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    position: int | UnsetType = UNSET


class InsertFunctionOperations:
    """Everything under `/insert-function-instances`."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        many = "/insert-function-instances"
        one = f"{many}/{{instanceId}}"
        return [
            Operation("GET", many, Role.READ_ONLY, self.list, answer=models.Instances, query=(_FUNCTION,), paged=True),
            Operation("POST", many, Role.MEMBER, self.create, CreateInstance, answer=models.OneInstance),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneInstance),
            Operation("PATCH", one, Role.MEMBER, self.update, UpdateInstance, answer=models.OneInstance),
            Operation("DELETE", one, Role.MEMBER, self.delete, answer=Done),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of instances, or of those of one `functionId`, oldest first."""
        workspace_id, function_id = asked.caller.workspace_id, asked.query.get("functionId")
        if function_id is not None:
            self._control.functions.get(workspace_id, function_id)
        found = sorted(self._control.insert_functions.all(workspace_id, function_id), key=position)
        page, pagination = self._pager.page(asked, f"insert functions/{function_id or ''}", found, position)
        return {"instances": [_shape(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Put a function before a destination, behind those that stand there."""
        wanted: CreateInstance = asked.body
        made = self._control.insert_functions.create(
            asked.caller.workspace_id,
            wanted.functionId,
            wanted.integrationId,
            name=wanted.name,
            settings=wanted.settings,
            enabled=wanted.enabled,
        )
        return {"insertFunctionInstance": _shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one instance."""
        return {"insertFunctionInstance": _shape(self._control.insert_functions.get(*_which(asked)))}

    def update(self, asked: Asked) -> Answer:
        """Change an instance; what is not named stays."""
        refuse_empty(asked.body)
        changed = self._control.insert_functions.update(*_which(asked), **given(asked.body))
        return {"insertFunctionInstance": _shape(changed)}

    def delete(self, asked: Asked) -> Answer:
        """Take a function away from before its destination."""
        self._control.insert_functions.delete(*_which(asked))
        return {"status": "SUCCESS"}


def _which(asked: Asked) -> tuple[str, str]:
    return asked.caller.workspace_id, asked.path["instanceId"]


def _shape(value: InsertEntry) -> Shape:
    """Return an instance; secret settings stand apart, masked."""
    return {
        "id": value.id,
        "name": value.name,
        "integrationId": value.destination_id,
        "classId": value.function_id,
        "enabled": value.enabled,
        "position": value.position,
        "createdAt": text_of(value.created_at),
        "updatedAt": text_of(value.updated_at),
        "settings": {name: each for name, each in value.settings.items() if name not in value.secrets},
        "encryptedSettings": {name: each for name, each in value.settings.items() if name in value.secrets},
    }
