"""`/sources/{sourceId}/settings`: what happens to what is not planned, in Segment's shapes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import protocols as models
from headwater.control.models import Role
from headwater.control.protocols import settings
from headwater.control.protocols.seen import names_seen
from headwater.control.service import Control
from headwater.observing.seen import Seen


class TrackSettings(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """What changes for track calls."""

    allow_unplanned_events: bool | UnsetType = UNSET
    allow_unplanned_event_properties: bool | UnsetType = UNSET
    allow_event_on_violations: bool | UnsetType = UNSET
    allow_properties_on_violations: bool | UnsetType = UNSET
    common_event_on_violations: str | UnsetType = UNSET


class TraitSettings(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """What changes for identify or group calls."""

    allow_unplanned_traits: bool | UnsetType = UNSET
    allow_traits_on_violations: bool | UnsetType = UNSET
    common_event_on_violations: str | UnsetType = UNSET


class UpdateSettings(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """What `PATCH /sources/{sourceId}/settings` takes; what is not named stays, "" ends forwarding."""

    track: TrackSettings | UnsetType = UNSET
    identify: TraitSettings | UnsetType = UNSET
    group: TraitSettings | UnsetType = UNSET
    forwarding_violations_to: str | UnsetType = UNSET
    forwarding_blocked_events_to: str | UnsetType = UNSET


class SourceSettingsOperations:
    """The schema settings of a source."""

    def __init__(self, control: Control, seen: Seen) -> None:
        self._control, self._seen = control, seen

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        path = "/sources/{sourceId}/settings"
        return [
            Operation("GET", path, Role.READ_ONLY, self.get, answer=models.SourceSettings),
            Operation("PATCH", path, Role.SOURCE_ADMIN, self.update, UpdateSettings, answer=models.SourceSettings),
        ]

    def get(self, asked: Asked) -> Answer:
        """Return the schema settings of a source."""
        source = self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])
        found = self._control.schema_controls.settings(asked.caller.workspace_id, source.id)
        return {"sourceId": source.id, "settings": settings.shape(found)}

    def update(self, asked: Asked) -> Answer:
        """Change the schema settings of a source; in force within two seconds."""
        source = self._control.sources.get(asked.caller.workspace_id, asked.path["sourceId"])
        given: dict[str, Any] = msgspec.to_builtins(asked.body)
        present = settings.shape(self._control.schema_controls.settings(source.workspace_id, source.id))
        wanted = [given.get(name, "") for name in settings.FORWARDING]
        self._control.rights.admit_connecting(asked.caller, wanted, {present[name] for name in settings.FORWARDING})
        found = self._control.schema_controls.change(
            asked.caller.workspace_id, source.id, given, lambda: names_seen(self._seen, source.id)
        )
        return {"sourceId": source.id, "settings": settings.shape(found)}
