"""`/sources`: Segment's operations on sources, their write keys and what is connected to them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.accounts import webhook_path
from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import sources as models
from headwater.control.api.models.destinations import Destinations
from headwater.control.api.models.warehouses import Warehouses
from headwater.control.api.paging import Pager
from headwater.control.connecting import Connecting
from headwater.control.models import Role, Source
from headwater.control.moments import text_of
from headwater.control.service import Control
from headwater.errors import ForbiddenError, InvalidRequestError

_RETENTION: Final = {"retentionDays": "retention_days", "retentionBytes": "retention_bytes"}
_NOW: Final = Query("now", "Ends the present address at once.", {"type": "boolean"})


class CreateSource(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /sources` takes; `disconnectAllWarehouses` as in Segment."""

    slug: str
    enabled: bool
    metadataId: str  # noqa: N815 - Segment's spelling
    name: str | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    disconnectAllWarehouses: bool = False  # noqa: N815


class UpdateSource(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /sources/{sourceId}` takes; `slug` only as it is.

    `retentionDays` and `retentionBytes` bound what the log keeps of its events; null ends a bound.
    """

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    retentionDays: int | UnsetType | None = UNSET  # noqa: N815
    retentionBytes: int | UnsetType | None = UNSET  # noqa: N815


class SourceOperations:
    """Everything under `/sources` that changes or shows configuration."""

    def __init__(self, control: Control, pager: Pager, connecting: Connecting) -> None:
        self._control, self._pager, self._connecting = control, pager, connecting

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = "/sources/{sourceId}"
        return [
            Operation("GET", "/sources", Role.READ_ONLY, self.list, answer=models.Sources, paged=True),
            Operation("POST", "/sources", Role.SOURCE_ADMIN, self.create, CreateSource, answer=models.OneSource),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.SourceWithPlan),
            Operation("PATCH", one, Role.SOURCE_ADMIN, self.update, UpdateSource, answer=models.SourceWithPlan),
            Operation("DELETE", one, Role.OWNER, self.delete, answer=Done),
            Operation("POST", f"{one}/writekey", Role.SOURCE_ADMIN, self.add_write_key, answer=models.OneSource),
            Operation(
                "DELETE",
                f"{one}/writekey/{{writeKey}}",
                Role.SOURCE_ADMIN,
                self.remove_write_key,
                answer=models.WriteKeyRemoved,
            ),
            Operation(
                "POST",
                f"{one}/webhook-secret",
                Role.OWNER,
                self.rotate_webhook_secret,
                answer=models.WebhookMoved,
                query=(_NOW,),
            ),
            Operation(
                "GET",
                f"{one}/connected-destinations",
                Role.READ_ONLY,
                self.destinations,
                answer=Destinations,
                paged=True,
            ),
            Operation(
                "GET", f"{one}/connected-warehouses", Role.READ_ONLY, self.warehouses, answer=Warehouses, paged=True
            ),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of sources, oldest first."""
        found = self._control.sources.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "sources", found, position)
        return {"sources": [self._shape(asked, source) for source in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Make a source."""
        wanted: CreateSource = asked.body
        workspace_id = asked.caller.workspace_id
        made = self._control.sources.create(
            workspace_id,
            wanted.slug,
            wanted.metadataId,
            name=wanted.name or None,
            enabled=wanted.enabled,
            settings=wanted.settings or None,
            join_warehouses=not wanted.disconnectAllWarehouses,
        )
        return {"source": self._shape(asked, made)}

    def get(self, asked: Asked) -> Answer:
        """Return one source, by id or slug."""
        return self._with_plan(asked, self._source(asked))

    def update(self, asked: Asked) -> Answer:
        """Change name, settings, whether it accepts anything, or, as an owner, how long its events are kept."""
        wanted: UpdateSource = asked.body
        refuse_empty(wanted)
        source = self._source(asked)
        if wanted.slug is not UNSET and wanted.slug != source.slug:
            raise InvalidRequestError("the slug is fixed: it is the schema in your warehouses", field="slug")
        named = given(wanted, "slug", *_RETENTION)
        if retention := {_RETENTION[name]: value for name, value in given(wanted).items() if name in _RETENTION}:
            if not asked.caller.may(Role.OWNER, "sources:write", source.id):
                raise ForbiddenError("How long events are kept is for an owner to say: what is older is deleted.")
            named["retention"] = retention
        return self._with_plan(asked, self._control.sources.update(source.workspace_id, source.id, **named))

    async def delete(self, asked: Asked) -> Answer:
        """Delete a source with its keys and destinations; an account's webhook is taken down first."""
        source = await asyncio.to_thread(self._source, asked)
        await self._connecting.release(source.workspace_id, source.id)
        await asyncio.to_thread(self._control.sources.delete, source.workspace_id, source.id)
        return {"status": "SUCCESS"}

    def add_write_key(self, asked: Asked) -> Answer:
        """Add a write key."""
        changed = self._control.sources.add_write_key(asked.caller.workspace_id, asked.path["sourceId"])
        return {"source": self._shape(asked, changed)}

    def remove_write_key(self, asked: Asked) -> Answer:
        """Take a write key away."""
        path = asked.path
        changed = self._control.sources.remove_write_key(asked.caller.workspace_id, path["sourceId"], path["writeKey"])
        return {"status": "SUCCESS", "source": self._shape(asked, changed)}

    def rotate_webhook_secret(self, asked: Asked) -> Answer:
        """Make a new webhook address; this answer is the only one that shows it.

        The present one works on for a day; `?now` ends it at once.
        """
        changed = self._control.sources.rotate_webhook_secret(
            asked.caller.workspace_id, asked.path["sourceId"], at_once=asked.query.get("now", "false") != "false"
        )
        return {"source": self._shape(asked, changed), "webhookPath": webhook_path(changed, self._control.catalog)}

    def destinations(self, asked: Asked) -> Answer:
        """Return a page of the destinations connected to a source."""
        source = self._source(asked)
        found = self._control.destinations.all(source.workspace_id, source.id)
        page, pagination = self._pager.page(asked, f"sources/{source.id}/destinations", found, position)
        shown = [shapes.destination(destination, self._control.catalog) for destination in page]
        return {"destinations": shown, "pagination": pagination}

    def warehouses(self, asked: Asked) -> Answer:
        """Return a page of the warehouses a source is loaded into."""
        source = self._source(asked)
        found = [each for each in self._control.warehouses.all(source.workspace_id) if source.id in each.source_ids]
        page, pagination = self._pager.page(asked, f"sources/{source.id}/warehouses", found, position)
        return {
            "warehouses": [shapes.warehouse(each, self._control.catalog) for each in page],
            "pagination": pagination,
        }

    def _source(self, asked: Asked) -> Source:
        return self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])

    def _with_plan(self, asked: Asked, source: Source) -> Answer:
        plan = self._control.tracking_plans.of_source(source.workspace_id, source.id)
        return {"source": self._shape(asked, source), "trackingPlanId": plan.id if plan else None}

    def _shape(self, asked: Asked, source: Source) -> shapes.Shape:
        return shapes.source(source, self._control.catalog, asked.caller)


class _Aged(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...


def position(value: _Aged) -> str:
    """Return where something stands in a list that is sorted by age."""
    return f"{text_of(value.created_at)} {value.id}"


def given(wanted: msgspec.Struct, *without: str) -> dict[str, Any]:
    """Return the members that the request named."""
    return {
        name: value
        for name, value in msgspec.structs.asdict(wanted).items()
        if value is not UNSET and name not in without
    }


def refuse_empty(wanted: msgspec.Struct) -> None:
    """Return when the request names anything to change.

    Raises:
        InvalidRequestError: it does not.
    """
    if not given(wanted):
        names = ", ".join(wanted.__struct_fields__)
        raise InvalidRequestError(f"nothing to change; name one of {names}")
