"""`/labels` and `/sources/{sourceId}/labels`: Segment's operations on labels."""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.control.api.door import Answer, Asked, Operation
from headwater.control.api.models import Done
from headwater.control.api.models import labels as models
from headwater.control.models import Label, Role
from headwater.control.service import Control


class GivenLabel(msgspec.Struct, forbid_unknown_fields=True):
    """A label as Segment spells it."""

    key: str
    value: str
    description: str = ""


class CreateLabel(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /labels` takes."""

    label: GivenLabel


class GiveLabels(msgspec.Struct, forbid_unknown_fields=True):
    """Labels for a source; the workspace has them."""

    labels: list[GivenLabel]


class LabelOperations:
    """Everything about labels."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        of_source = "/sources/{sourceId}/labels"
        return [
            Operation("GET", "/labels", Role.READ_ONLY, self.list, answer=models.Labels),
            Operation("POST", "/labels", Role.MEMBER, self.create, CreateLabel, answer=models.OneLabel),
            Operation("DELETE", "/labels/{key}/{value}", Role.MEMBER, self.delete, answer=Done),
            Operation("POST", of_source, Role.SOURCE_ADMIN, self.add, GiveLabels, answer=models.Labels),
            Operation("PUT", of_source, Role.SOURCE_ADMIN, self.replace, GiveLabels, answer=models.Labels),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return the labels of the workspace, by key and value."""
        return {"labels": shaped(self._control.labels.all(asked.caller.workspace_id))}

    def create(self, asked: Asked) -> Answer:
        """Make a label."""
        wanted: GivenLabel = asked.body.label
        made = self._control.labels.create(asked.caller.workspace_id, wanted.key, wanted.value, wanted.description)
        return {"label": shaped([made])[0]}

    def delete(self, asked: Asked) -> Answer:
        """Delete a label, also from the sources that have it."""
        self._control.labels.delete(asked.caller.workspace_id, asked.path["key"], asked.path["value"])
        return {"status": "SUCCESS"}

    def add(self, asked: Asked) -> Answer:
        """Give a source labels of the workspace, beside those that it has."""
        return self._give(asked, replace=False)

    def replace(self, asked: Asked) -> Answer:
        """Give a source labels of the workspace, in the place of those that it has."""
        return self._give(asked, replace=True)

    def _give(self, asked: Asked, *, replace: bool) -> Answer:
        given = [(each.key, each.value) for each in asked.body.labels]
        source = asked.path["sourceId"]
        return {"labels": shaped(self._control.labels.give(asked.caller.workspace_id, source, given, replace=replace))}


def shaped(labels: list[Label]) -> list[dict[str, Any]]:
    """Return labels in Segment's shape."""
    return [{"key": each.key, "value": each.value, "description": each.description} for each in labels]
