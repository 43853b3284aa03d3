"""`/destinations`: Segment's operations on destinations."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api import shapes
from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import destinations as models
from headwater.control.api.paging import Pager
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.catalog import Kind
from headwater.control.models import Destination, Role
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control


class CreateDestination(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /destinations` takes."""

    sourceId: str  # noqa: N815 - Segment's spelling
    metadataId: str  # noqa: N815
    settings: dict[str, Any]
    name: str | UnsetType = UNSET
    enabled: bool = True
    delivery: dict[str, Any] = {}


class UpdateDestination(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /destinations/{destinationId}` takes; settings that are not named stay.

    In `delivery`, null goes back to the type's own.
    """

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    delivery: dict[str, Any] | UnsetType = UNSET


class TestDestination(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /destinations/test` takes; with `destinationId`, stored settings stand where none are given."""

    metadataId: str  # noqa: N815
    settings: dict[str, Any] = {}
    destinationId: str | UnsetType = UNSET  # noqa: N815


class DestinationOperations:
    """Everything under `/destinations`."""

    def __init__(self, control: Control, pager: Pager, pipeline: Pipeline) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/destinations/{destinationId}"
        return [
            Operation("GET", "/destinations", Role.READ_ONLY, self.list, answer=models.Destinations, paged=True),
            Operation(
                "POST", "/destinations", Role.MEMBER, self.create, CreateDestination, answer=models.OneDestination
            ),
            Operation(
                "POST", "/destinations/test", Role.MEMBER, self.test, TestDestination, answer=models.Trial, cost=TRIAL
            ),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneDestination),
            Operation("PATCH", one, Role.SOURCE_ADMIN, self.update, UpdateDestination, answer=models.OneDestination),
            Operation("DELETE", one, Role.MEMBER, self.delete, answer=Done),
            Operation("POST", f"{one}/resume", Role.SOURCE_ADMIN, self.resume, answer=models.Resumed),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of destinations, oldest first."""
        found = self._control.destinations.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "destinations", found, position)
        return {"destinations": [self._shape(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Connect a new destination to a source."""
        wanted: CreateDestination = asked.body
        made = self._control.destinations.create(
            asked.caller.workspace_id,
            wanted.sourceId,
            wanted.metadataId,
            name=None if wanted.name is UNSET else wanted.name,
            enabled=wanted.enabled,
            settings=wanted.settings,
            delivery=wanted.delivery,
        )
        return {"destination": self._shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one destination."""
        return {"destination": self._shape(self._destination(asked))}

    def update(self, asked: Asked) -> Answer:
        """Change name, settings, or whether it gets anything."""
        refuse_empty(asked.body)
        destination_id = asked.path["destinationId"]
        changed = self._control.destinations.update(asked.caller.workspace_id, destination_id, **given(asked.body))
        return {"destination": self._shape(changed)}

    def delete(self, asked: Asked) -> Answer:
        """Delete a destination."""
        self._control.destinations.delete(asked.caller.workspace_id, asked.path["destinationId"])
        return {"status": "SUCCESS"}

    async def test(self, asked: Asked) -> Answer:
        """Try settings out, nothing is stored or sent: `ok` and a sentence."""
        wanted: TestDestination = asked.body
        destination_id = None if wanted.destinationId is UNSET else wanted.destinationId
        settings = await asyncio.to_thread(
            self._control.destinations.merged_settings,
            asked.caller.workspace_id,
            wanted.metadataId,
            wanted.settings,
            destination_id,
        )
        entry = self._control.catalog.find(Kind.DESTINATION, wanted.metadataId)
        return await self._pipeline.test_destination(entry.module_name, settings)

    async def resume(self, asked: Asked) -> Answer:
        """Go on with a destination that was paused because its credentials were refused."""
        destination = await asyncio.to_thread(self._destination, asked)
        return await self._pipeline.resume(destination.id)

    def _destination(self, asked: Asked) -> Destination:
        return self._control.destinations.get(asked.caller.workspace_id, asked.path["destinationId"])

    def _shape(self, destination: Destination) -> shapes.Shape:
        return shapes.destination(destination, self._control.catalog)
