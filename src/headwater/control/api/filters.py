"""`/destination/{destinationId}/filters`: Segment's operations on destination filters."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import filters as models
from headwater.control.api.paging import Pager
from headwater.control.api.shapes import Shape
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.models import FilterEntry, Role
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.delivery.filters import preview
from headwater.errors import InvalidRequestError


class Action(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One action of a filter, as Segment spells it."""

    type: str
    fields: dict[str, Any] | UnsetType = UNSET
    percent: float | UnsetType = UNSET
    path: str | UnsetType = UNSET


class CreateFilter(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST …/filters` takes; `sourceId`, where it is named, is the destination's."""

    condition: str = msgspec.field(name="if")
    actions: list[Action]
    title: str
    enabled: bool = True
    description: str = ""
    sourceId: str | UnsetType = UNSET  # noqa: N815 - Segment's spelling


class UpdateFilter(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH …/filters/{filterId}` takes; actions are given as a whole."""

    condition: str | UnsetType = msgspec.field(name="if", default=UNSET)
    actions: list[Action] | UnsetType = UNSET
    title: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class Previewed(msgspec.Struct, forbid_unknown_fields=True):
    """A filter that is tried out."""

    condition: str = msgspec.field(name="if")
    actions: list[Action]


class PreviewFilter(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /destination/filters/preview` takes."""

    filter: Previewed
    payload: dict[str, Any]


class FilterOperations:
    """Everything about filters."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        many = "/destination/{destinationId}/filters"
        one = f"{many}/{{filterId}}"
        return [
            Operation("GET", many, Role.READ_ONLY, self.list, answer=models.Filters, paged=True),
            Operation("POST", many, Role.SOURCE_ADMIN, self.create, CreateFilter, answer=models.OneFilter),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneFilter),
            Operation("PATCH", one, Role.SOURCE_ADMIN, self.update, UpdateFilter, answer=models.OneFilter),
            Operation("DELETE", one, Role.SOURCE_ADMIN, self.delete, answer=Done),
            Operation("GET", "/destination/filters", Role.READ_ONLY, self.all, answer=models.Filters, paged=True),
            Operation(
                "POST",
                "/destination/filters/preview",
                Role.READ_ONLY,
                self.preview,
                PreviewFilter,
                answer=models.Preview,
                cost=TRIAL,
            ),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of a destination's filters, oldest first."""
        destination_id = asked.path["destinationId"]
        found = self._control.filters.all(asked.caller.workspace_id, destination_id)
        page, pagination = self._pager.page(asked, f"destinations/{destination_id}/filters", found, position)
        source_id = self._control.destinations.get(asked.caller.workspace_id, destination_id).source_id
        return {"filters": [_shape(each, source_id) for each in page], "pagination": pagination}

    def all(self, asked: Asked) -> Answer:
        """Return a page of the filters of all destinations, oldest first. Ours alone."""
        workspace_id = asked.caller.workspace_id
        found = self._control.filters.of_workspace(workspace_id)
        page, pagination = self._pager.page(asked, "destination/filters", found, position)
        sources = {each.id: each.source_id for each in self._control.destinations.all(workspace_id)}
        told = [_shape(each, sources[each.destination_id]) for each in page if each.destination_id in sources]
        return {"filters": told, "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Add a filter to a destination."""
        wanted: CreateFilter = asked.body
        destination = self._control.destinations.get(asked.caller.workspace_id, asked.path["destinationId"])
        if wanted.sourceId not in {UNSET, destination.source_id}:
            raise InvalidRequestError("sourceId is the source of this destination, or left out", field="sourceId")
        made = self._control.filters.create(
            destination.workspace_id,
            destination.id,
            title=wanted.title,
            condition=wanted.condition,
            actions=_plain(wanted.actions),
            description=wanted.description,
            enabled=wanted.enabled,
        )
        return {"filter": self._shape(asked, made)}

    def get(self, asked: Asked) -> Answer:
        """Return one filter."""
        return {"filter": self._shape(asked, self._control.filters.get(*self._which(asked)))}

    def update(self, asked: Asked) -> Answer:
        """Change a filter; what is not named stays."""
        wanted: UpdateFilter = asked.body
        refuse_empty(wanted)
        change = given(wanted)
        if not isinstance(wanted.actions, UnsetType):
            change["actions"] = _plain(wanted.actions)
        return {"filter": self._shape(asked, self._control.filters.update(*self._which(asked), **change))}

    def delete(self, asked: Asked) -> Answer:
        """Remove a filter."""
        self._control.filters.delete(*self._which(asked))
        return {"status": "SUCCESS"}

    def preview(self, asked: Asked) -> Answer:
        """Return what a filter would leave of an event: null when it would not be sent."""
        wanted: PreviewFilter = asked.body
        result = preview(wanted.filter.condition, _plain(wanted.filter.actions), wanted.payload)
        return {"inputPayload": wanted.payload, "result": result}

    def _which(self, asked: Asked) -> tuple[str, str, str]:
        return asked.caller.workspace_id, asked.path["destinationId"], asked.path["filterId"]

    def _shape(self, asked: Asked, value: FilterEntry) -> Shape:
        destination = self._control.destinations.get(asked.caller.workspace_id, value.destination_id)
        return _shape(value, destination.source_id)


def _shape(value: FilterEntry, source_id: str) -> Shape:
    return {
        "id": value.id,
        "sourceId": source_id,
        "destinationId": value.destination_id,
        "if": value.condition,
        "actions": list(value.actions),
        "title": value.title,
        "description": value.description,
        "enabled": value.enabled,
        "createdAt": text_of(value.created_at),
        "updatedAt": text_of(value.updated_at),
    }


def _plain(actions: list[Action]) -> list[dict[str, Any]]:
    """Return the actions as they are stored: only the members that were named."""
    found: list[dict[str, Any]] = msgspec.to_builtins(actions)
    return found
