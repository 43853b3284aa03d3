"""`/destinations/{destinationId}/subscriptions`: field mappings, in the shape of Segment's destination subscriptions.

Every destination has one action, `event`: the event is sent. `settings` are the fields that a mapping sets in it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control import subscriptions
from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import filters as models
from headwater.control.api.paging import Pager
from headwater.control.api.shapes import Shape
from headwater.control.api.sources import given, position, refuse_empty
from headwater.control.models import Role, SubscriptionEntry
from headwater.control.service import Control
from headwater.errors import InvalidRequestError

ACTION: Final = "event"


class CreateSubscription(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST …/subscriptions` takes."""

    name: str
    trigger: str
    actionId: str = ACTION  # noqa: N815 - Segment's spelling
    enabled: bool = True
    settings: dict[str, Any] = {}


class SubscriptionChange(msgspec.Struct, forbid_unknown_fields=True):
    """What of a subscription can change; `settings` are given as a whole."""

    name: str | UnsetType = UNSET
    trigger: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    fields: dict[str, Any] | UnsetType = msgspec.field(name="settings", default=UNSET)


class UpdateSubscription(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH …/subscriptions/{subscriptionId}` takes: Segment wraps the change in `input`."""

    input: SubscriptionChange


class PreviewSubscription(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST …/subscriptions/preview` takes."""

    trigger: str
    settings: dict[str, Any]
    payload: dict[str, Any]


class SubscriptionOperations:
    """Everything about field mappings."""

    def __init__(self, control: Control, pager: Pager) -> None:
        self._control, self._pager = control, pager

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        many = "/destinations/{destinationId}/subscriptions"
        one = f"{many}/{{subscriptionId}}"
        return [
            Operation(
                "GET", "/destinations/subscriptions", Role.READ_ONLY, self.all, answer=models.Subscriptions, paged=True
            ),
            Operation("GET", many, Role.READ_ONLY, self.list, answer=models.Subscriptions, paged=True),
            Operation("POST", many, Role.SOURCE_ADMIN, self.create, CreateSubscription, answer=models.MadeSubscription),
            Operation(
                "POST",
                f"{many}/preview",
                Role.SOURCE_ADMIN,
                self.preview,
                PreviewSubscription,
                answer=models.Preview,
                cost=TRIAL,
            ),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneSubscription),
            Operation("PATCH", one, Role.SOURCE_ADMIN, self.update, UpdateSubscription, answer=models.OneSubscription),
            Operation("DELETE", one, Role.SOURCE_ADMIN, self.delete, answer=Done),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of a destination's mappings, in the order in which they are tried."""
        destination_id = asked.path["destinationId"]
        found = self._control.subscriptions.all(asked.caller.workspace_id, destination_id)
        page, pagination = self._pager.page(asked, f"destinations/{destination_id}/subscriptions", found, position)
        return {"subscriptions": [_shape(each) for each in page], "pagination": pagination}

    def all(self, asked: Asked) -> Answer:
        """Return a page of the mappings of all destinations, oldest first. Ours alone."""
        found = self._control.subscriptions.of_workspace(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "destinations/subscriptions", found, position)
        return {"subscriptions": [_shape(each) for each in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Add a mapping to a destination."""
        wanted: CreateSubscription = asked.body
        if wanted.actionId != ACTION:
            raise InvalidRequestError(f"The only action here is {ACTION!r}.", field="actionId")
        made = self._control.subscriptions.create(
            asked.caller.workspace_id,
            asked.path["destinationId"],
            name=wanted.name,
            trigger=wanted.trigger,
            fields=wanted.settings,
            enabled=wanted.enabled,
        )
        return {"destinationSubscription": _shape(made)}

    def get(self, asked: Asked) -> Answer:
        """Return one mapping."""
        return {"subscription": _shape(self._control.subscriptions.get(*_which(asked)))}

    def update(self, asked: Asked) -> Answer:
        """Change a mapping; what is not named stays."""
        change: SubscriptionChange = asked.body.input
        refuse_empty(change)
        return {"subscription": _shape(self._control.subscriptions.update(*_which(asked), **given(change)))}

    def delete(self, asked: Asked) -> Answer:
        """Remove a mapping."""
        self._control.subscriptions.delete(*_which(asked))
        return {"status": "SUCCESS"}

    def preview(self, asked: Asked) -> Answer:
        """Return the event as a mapping would send it: null where it does not apply."""
        wanted: PreviewSubscription = asked.body
        self._control.destinations.get(asked.caller.workspace_id, asked.path["destinationId"])
        result = subscriptions.preview(wanted.trigger, wanted.settings, wanted.payload)
        return {"inputPayload": wanted.payload, "result": result}


def _which(asked: Asked) -> tuple[str, str, str]:
    return asked.caller.workspace_id, asked.path["destinationId"], asked.path["subscriptionId"]


def _shape(value: SubscriptionEntry) -> Shape:
    return {
        "id": value.id,
        "name": value.name,
        "actionId": ACTION,
        "actionSlug": ACTION,
        "destinationId": value.destination_id,
        "enabled": value.enabled,
        "trigger": value.trigger,
        "settings": dict(value.fields),
    }
